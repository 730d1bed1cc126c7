#include "bench/gpu_report.h"

#include <cstdio>
#include <fstream>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace tally {
namespace {

double BytesPerSecond(const GpuRow& row) { return row.num_bytes / (row.milliseconds / 1e3); }

double FloorShare(const GpuRow& row) {
  return row.floor_bandwidth == 0 ? 0 : BytesPerSecond(row) / row.floor_bandwidth;
}

}  // namespace

void GpuReport::Add(GpuRow row) {
  if (rows_.empty()) {
    std::printf("%s\n%-56s %10s %10s %8s\n", device_.c_str(), "", "ms", "GB/s", "of floor");
  }
  std::printf("%-56s %10.3f %10.1f %8s  %s\n", row.name.c_str(), row.milliseconds,
              BytesPerSecond(row) / 1e9,
              row.floor_bandwidth == 0 ? "" : absl::StrFormat("%.2f", FloorShare(row)).c_str(),
              row.note.c_str());
  std::fflush(stdout);
  rows_.push_back(std::move(row));
}

absl::Status GpuReport::WriteJson(const std::string& path) const {
  std::ofstream file(path);
  file << "{\n  \"device\": \"" << device_ << "\",\n  \"rows\": [\n";
  for (size_t i = 0; i < rows_.size(); ++i) {
    const GpuRow& row = rows_[i];
    file << absl::StrFormat(
        "    {\"name\": \"%s\", \"milliseconds\": %.6g, \"bytes\": %.0f, \"bytes_per_second\": "
        "%.6g, \"share_of_floor\": %.4f, \"note\": \"%s\"}%s\n",
        row.name, row.milliseconds, row.num_bytes, BytesPerSecond(row), FloorShare(row), row.note,
        i + 1 == rows_.size() ? "" : ",");
  }
  file << "  ]\n}\n";
  file.close();
  if (!file) return absl::UnavailableError(absl::StrCat("cannot write `", path, "`"));
  return absl::OkStatus();
}

}  // namespace tally
