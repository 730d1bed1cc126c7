// What the GPU's benchmarks have found: a table for people, JSON for tools.
#ifndef TALLY_BENCH_GPU_REPORT_H_
#define TALLY_BENCH_GPU_REPORT_H_

#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"

namespace tally {

// One measured thing.
struct GpuRow {
  std::string name;
  double milliseconds = 0;  // the median of the repetitions
  // What must move at least, each array counted once if it is read and once if it is written.
  double num_bytes = 0;
  // Bandwidth that `num_bytes` is held against, bytes per second; 0: nothing.
  double floor_bandwidth = 0;
  std::string note;
};

class GpuReport {
 public:
  explicit GpuReport(std::string device) : device_(std::move(device)) {}

  // Prints the row too.
  void Add(GpuRow row);
  // Returns UNAVAILABLE if the file cannot be written.
  absl::Status WriteJson(const std::string& path) const;

 private:
  const std::string device_;
  std::vector<GpuRow> rows_;
};

}  // namespace tally

#endif  // TALLY_BENCH_GPU_REPORT_H_
