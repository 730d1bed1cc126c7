// Question: how near do the GPU's kernels come to what its memory can move, and what do a sketch
// and the choice of its heavy hitters cost on it?
//
// The floor of a row is the bytes that must move (each array once if it is read, once if it is
// written) over the bandwidth of a copy within the device in the same run, which reads and writes.
// Working sets are several times the L2. Every operation runs again and again in one queue, and the
// time is that of the host around it: the median of five such runs. What they compute is not
// looked at here: the conformance tests, which run before (tools/gpu_bundle.sh), hold it to
// scalar's bits.
//
// Not answered: copies between host and device (bench/gpu_pipeline_benchmark.cc), the service.
//
//   bazel run //bench:gpu_benchmark -- --json=/tmp/gpu.json
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/flags/flag.h"
#include "absl/flags/parse.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "base/mix64.h"
#include "base/status_macros.h"
#include "bench/gpu_report.h"
#include "kernels/backends.h"
#include "kernels/device/device.h"
#include "kernels/host_backends.h"
#include "kernels/sketch_kernels.h"

ABSL_FLAG(std::string, json, "", "Where the rows go as JSON; empty: nowhere.");
ABSL_FLAG(std::string, estimates, "",
          "Where the estimates of the sketch go, as fp32: for another program to choose from.");

namespace tally {
namespace {

constexpr int kRuns = 5;
constexpr int kRepetitions = 10;
constexpr uint32_t kBlockElements = 4096;

// Memory of the device for as long as the benchmark runs.
class Memory {
 public:
  explicit Memory(Device* device) : device_(device) {}
  ~Memory() {
    for (const auto& [memory, num_bytes] : allocated_) device_->Free(memory, num_bytes);
  }

  template <typename T>
  absl::StatusOr<absl::Span<T>> Take(size_t size) {
    TALLY_ASSIGN_OR_RETURN(void* const memory, device_->Allocate(size * sizeof(T)));
    allocated_.push_back({memory, size * sizeof(T)});
    return absl::MakeSpan(static_cast<T*>(memory), size);
  }

 private:
  Device* const device_;
  std::vector<std::pair<void*, size_t>> allocated_;
};

class GpuBenchmark {
 public:
  GpuBenchmark(Device* device, DeviceQueue* queue)
      : device_(device), queue_(queue), report_(device->description()) {}

  absl::Status Run() {
    TALLY_RETURN_IF_ERROR(MeasureCopy());
    TALLY_RETURN_IF_ERROR(MeasureSigns());
    TALLY_RETURN_IF_ERROR(MeasureDense());
    TALLY_RETURN_IF_ERROR(MeasureAccumulate());
    TALLY_RETURN_IF_ERROR(MeasureVotes());
    TALLY_RETURN_IF_ERROR(MeasureSketch());
    const std::string path = absl::GetFlag(FLAGS_json);
    return path.empty() ? absl::OkStatus() : report_.WriteJson(path);
  }

 private:
  using Operation = std::function<absl::Status()>;

  // Milliseconds of one operation.
  absl::StatusOr<double> Time(const Operation& operation, int repetitions = kRepetitions) {
    std::vector<double> times;
    for (int run = 0; run <= kRuns; ++run) {
      const absl::Time start = absl::Now();
      for (int i = 0; i < repetitions; ++i) TALLY_RETURN_IF_ERROR(operation());
      TALLY_RETURN_IF_ERROR(queue_->Wait());
      // The first run warms up.
      if (run > 0) times.push_back(absl::ToDoubleMilliseconds(absl::Now() - start) / repetitions);
    }
    std::sort(times.begin(), times.end());
    return times[times.size() / 2];
  }

  absl::Status Measure(const std::string& name, double num_bytes, const Operation& operation,
                       const std::string& note = "") {
    TALLY_ASSIGN_OR_RETURN(const double milliseconds, Time(operation));
    report_.Add({name, milliseconds, num_bytes, copy_bandwidth_, note});
    return absl::OkStatus();
  }

  // Numbers that nothing is known of, at a moderate magnitude; the same for the same seed.
  absl::Status Fill(absl::Span<float> x, uint64_t seed) {
    std::vector<float> values(x.size());
    uint64_t state = Mix64(seed);
    for (float& value : values) {
      state += kGolden64;
      value = static_cast<float>(static_cast<int32_t>(Mix64(state) >> 32)) * 0x1p-31f;
    }
    return CopyIn({reinterpret_cast<const uint8_t*>(values.data()), x.size() * sizeof(float)},
                  x.data());
  }
  absl::Status Fill(absl::Span<uint8_t> bytes, uint64_t seed) {
    std::vector<uint8_t> values(bytes.size());
    uint64_t state = Mix64(seed);
    for (size_t i = 0; i < values.size(); ++i) {
      if (i % 8 == 0) state += kGolden64;
      values[i] = static_cast<uint8_t>(Mix64(state) >> (i % 8 * 8));
    }
    return CopyIn(values, bytes.data());
  }
  absl::Status CopyIn(absl::Span<const uint8_t> host, void* to) {
    TALLY_RETURN_IF_ERROR(queue_->CopyIn(host, to));
    return queue_->Wait();
  }

  absl::Status MeasureCopy() {
    constexpr size_t kBytes = size_t{1} << 30;
    Memory memory(device_);
    TALLY_ASSIGN_OR_RETURN(absl::Span<uint8_t> from, memory.Take<uint8_t>(kBytes));
    TALLY_ASSIGN_OR_RETURN(absl::Span<uint8_t> to, memory.Take<uint8_t>(kBytes));
    TALLY_RETURN_IF_ERROR(Fill(from.first(kBytes / 16), 1));
    TALLY_ASSIGN_OR_RETURN(const double milliseconds,
                           Time([&] { return queue_->Copy(from.data(), to.data(), kBytes); }));
    copy_bandwidth_ = 2.0 * kBytes / (milliseconds / 1e3);
    report_.Add({"copy within the device, 1 GiB", milliseconds, 2.0 * kBytes, copy_bandwidth_, ""});
    return absl::OkStatus();
  }

  // Contributions of several workers to one long vector.
  struct Contributions {
    std::vector<uint32_t> segment_ends;
    std::vector<SignBlock> blocks;
  };

  absl::StatusOr<Contributions> MakeContributions(Memory& memory, size_t num_elements,
                                                  size_t num_workers, uint32_t segment_elements) {
    Contributions contributions;
    for (size_t end = segment_elements; end <= num_elements; end += segment_elements) {
      contributions.segment_ends.push_back(static_cast<uint32_t>(end));
    }
    for (size_t n = 0; n < num_workers; ++n) {
      TALLY_ASSIGN_OR_RETURN(absl::Span<uint8_t> bits,
                             memory.Take<uint8_t>(BitmapBytes(num_elements)));
      TALLY_ASSIGN_OR_RETURN(absl::Span<float> scales,
                             memory.Take<float>(contributions.segment_ends.size()));
      TALLY_RETURN_IF_ERROR(Fill(bits, n + 1));
      // From 1 on, so that none is negative.
      TALLY_RETURN_IF_ERROR(Fill(scales, n + 100));
      TALLY_RETURN_IF_ERROR(queue_->Blend(0.25f, scales, 0.25f, scales, scales));
      contributions.blocks.push_back({bits, scales});
    }
    return contributions;
  }

  absl::Status MeasureSigns() {
    constexpr size_t kElements = size_t{256} << 20;
    for (const auto& [num_workers, segment] : std::vector<std::pair<size_t, uint32_t>>{
             {8, kBlockElements}, {32, kBlockElements}, {8, 1 << 20}}) {
      Memory memory(device_);
      TALLY_ASSIGN_OR_RETURN(const Contributions contributions,
                             MakeContributions(memory, kElements, num_workers, segment));
      const size_t num_segments = contributions.segment_ends.size();
      TALLY_ASSIGN_OR_RETURN(absl::Span<float> residual, memory.Take<float>(kElements));
      TALLY_ASSIGN_OR_RETURN(absl::Span<uint8_t> bits,
                             memory.Take<uint8_t>(BitmapBytes(kElements)));
      TALLY_ASSIGN_OR_RETURN(absl::Span<float> scales, memory.Take<float>(num_segments));
      TALLY_RETURN_IF_ERROR(Fill(residual, 7));
      const SignRoundArgs round = {.blocks = contributions.blocks,
                                   .divisor = static_cast<float>(num_workers),
                                   .segment_ends = contributions.segment_ends,
                                   .live = {},
                                   .rule = ScaleRule::kRootMeanSquare,
                                   .residual = residual,
                                   .bits = bits,
                                   .scales = scales};
      const double payload_bytes = BitmapBytes(kElements) + 4.0 * num_segments;
      TALLY_RETURN_IF_ERROR(
          Measure(absl::StrCat("two-way sign round, n = ", num_workers, ", segments of ", segment),
                  8.0 * kElements + payload_bytes * (num_workers + 1),
                  [&] { return queue_->SignRounds({round}); }));
      if (segment != kBlockElements) continue;
      TALLY_RETURN_IF_ERROR(Measure(
          absl::StrCat("sum of signs, n = ", num_workers),
          4.0 * kElements + payload_bytes * num_workers, [&] {
            return queue_->SumSigns(contributions.blocks, contributions.segment_ends, {}, residual);
          }));
    }
    return absl::OkStatus();
  }

  absl::Status MeasureDense() {
    constexpr size_t kInputBytes = size_t{256} << 20;
    constexpr size_t kWorkers = 8;
    Memory memory(device_);
    std::vector<absl::Span<const uint8_t>> inputs;
    for (size_t n = 0; n < kWorkers; ++n) {
      TALLY_ASSIGN_OR_RETURN(absl::Span<uint8_t> input, memory.Take<uint8_t>(kInputBytes));
      TALLY_RETURN_IF_ERROR(Fill(input, n + 1));
      inputs.push_back(input);
    }
    TALLY_ASSIGN_OR_RETURN(absl::Span<uint8_t> output, memory.Take<uint8_t>(kInputBytes));
    for (const DType dtype : {DType::kFloat32, DType::kFloat16, DType::kBFloat16}) {
      const DeviceMeanArgs mean = {.dtype = dtype,
                                   .inputs = inputs,
                                   .divisor = static_cast<float>(kWorkers),
                                   .output_dtype = dtype,
                                   .output = output};
      TALLY_RETURN_IF_ERROR(
          Measure(absl::StrCat("dense mean, n = 8, ", std::string(DTypeName(dtype))),
                  (kWorkers + 1.0) * kInputBytes, [&] { return queue_->DenseMeans({mean}); }));
    }
    return absl::OkStatus();
  }

  absl::Status MeasureAccumulate() {
    constexpr size_t kElements = size_t{256} << 20;
    for (const uint32_t segment : {kBlockElements, uint32_t{1} << 20}) {
      Memory memory(device_);
      TALLY_ASSIGN_OR_RETURN(const Contributions counted,
                             MakeContributions(memory, kElements, 1, segment));
      TALLY_ASSIGN_OR_RETURN(absl::Span<float> sum, memory.Take<float>(kElements));
      TALLY_ASSIGN_OR_RETURN(absl::Span<float> input, memory.Take<float>(kElements));
      TALLY_ASSIGN_OR_RETURN(absl::Span<uint8_t> bits,
                             memory.Take<uint8_t>(BitmapBytes(kElements)));
      TALLY_ASSIGN_OR_RETURN(absl::Span<double> norms,
                             memory.Take<double>(counted.segment_ends.size()));
      TALLY_RETURN_IF_ERROR(Fill(sum, 1));
      TALLY_RETURN_IF_ERROR(Fill(input, 2));
      const DeviceAccumulateArgs args = {{.sum = sum,
                                          .input = input,
                                          .counted = counted.blocks[0],
                                          .segment_ends = counted.segment_ends,
                                          .live = {},
                                          .rule = ScaleRule::kRootMeanSquare,
                                          .norms = norms},
                                         bits};
      TALLY_RETURN_IF_ERROR(
          Measure(absl::StrCat("pack with residual, segments of ", segment),
                  12.0 * kElements + 2.0 * BitmapBytes(kElements) + 12.0 * norms.size(),
                  [&] { return queue_->Accumulate(args); }));
    }
    return absl::OkStatus();
  }

  absl::Status MeasureVotes() {
    constexpr size_t kElements = size_t{512} << 20;
    for (const size_t num_voters : {8, 32}) {
      Memory memory(device_);
      std::vector<absl::Span<const uint8_t>> ballots;
      for (size_t n = 0; n < num_voters; ++n) {
        TALLY_ASSIGN_OR_RETURN(absl::Span<uint8_t> ballot,
                               memory.Take<uint8_t>(BitmapBytes(kElements)));
        TALLY_RETURN_IF_ERROR(Fill(ballot, n + 1));
        ballots.push_back(ballot);
      }
      const size_t num_planes = CountPlanes(static_cast<uint32_t>(num_voters));
      TALLY_ASSIGN_OR_RETURN(absl::Span<uint8_t> output,
                             memory.Take<uint8_t>(num_planes * BitmapBytes(kElements)));
      DeviceElectionArgs election = {.ballots = ballots,
                                     .num_elements = kElements,
                                     .draws = {.key = 1, .round = 2, .first_element = 0},
                                     .output = output};
      TALLY_RETURN_IF_ERROR(
          Measure(absl::StrCat("votes counted, n = ", num_voters),
                  static_cast<double>(num_voters + num_planes) * BitmapBytes(kElements),
                  [&] { return queue_->CountVotes({election}); }));
      election.output = output.first(BitmapBytes(kElements));
      TALLY_RETURN_IF_ERROR(Measure(absl::StrCat("votes counted and a bit drawn, n = ", num_voters),
                                    (num_voters + 1.0) * BitmapBytes(kElements),
                                    [&] { return queue_->DrawVotes({election}); }));
    }
    return absl::OkStatus();
  }

  absl::Status MeasureSketch() {
    constexpr size_t kElements = 100'000'000;
    constexpr size_t kChosen = 100'000;
    constexpr SketchShape kShape = {.rows = 5, .columns = 5'000'000 / 16 * 16, .key = 12345};
    Memory memory(device_);
    TALLY_ASSIGN_OR_RETURN(absl::Span<float> x, memory.Take<float>(kElements));
    TALLY_ASSIGN_OR_RETURN(absl::Span<float> table, memory.Take<float>(SketchCells(kShape)));
    TALLY_ASSIGN_OR_RETURN(absl::Span<float> estimates, memory.Take<float>(kElements));
    TALLY_ASSIGN_OR_RETURN(absl::Span<uint32_t> indices, memory.Take<uint32_t>(kChosen));
    TALLY_ASSIGN_OR_RETURN(absl::Span<float> values, memory.Take<float>(kChosen));
    TALLY_RETURN_IF_ERROR(Fill(x, 3));
    const double cells = 4.0 * SketchCells(kShape);
    TALLY_RETURN_IF_ERROR(Measure("sketch encode, d = 1e8, 5 rows of 5 M, plan kept",
                                  4.0 * kElements + cells,
                                  [&] { return queue_->Sketch(kShape, x, table); }));
    TALLY_RETURN_IF_ERROR(Measure("estimate all, d = 1e8", 4.0 * kElements + cells,
                                  [&] { return queue_->Estimate(kShape, table, estimates); }));
    TALLY_RETURN_IF_ERROR(Measure("largest 1e5 of 1e8", 4.0 * kElements, [&] {
      return queue_->SelectLargest(estimates, {}, indices, values);
    }));
    const auto recover = [&]() -> absl::Status {
      TALLY_RETURN_IF_ERROR(queue_->Estimate(kShape, table, estimates));
      return queue_->SelectLargest(estimates, {}, indices, values);
    };
    TALLY_RETURN_IF_ERROR(Measure("estimate all and choose 1e5", cells, recover));
    return CompareWithHost(kShape, table, estimates, kChosen);
  }

  // The same on the host's fastest back end, one core.
  absl::Status CompareWithHost(const SketchShape& shape, absl::Span<const float> device_table,
                               absl::Span<const float> device_estimates, size_t num_chosen) {
    std::vector<float> table(device_table.size());
    std::vector<float> estimates(device_estimates.size());
    TALLY_RETURN_IF_ERROR(
        queue_->CopyOut(device_table.data(),
                        {reinterpret_cast<uint8_t*>(table.data()), table.size() * sizeof(float)}));
    TALLY_RETURN_IF_ERROR(queue_->CopyOut(
        device_estimates.data(),
        {reinterpret_cast<uint8_t*>(estimates.data()), estimates.size() * sizeof(float)}));
    TALLY_RETURN_IF_ERROR(queue_->Wait());
    const std::string path = absl::GetFlag(FLAGS_estimates);
    if (!path.empty()) {
      std::ofstream(path, std::ios::binary)
          .write(reinterpret_cast<const char*>(estimates.data()),
                 static_cast<std::streamsize>(estimates.size() * sizeof(float)));
    }
    std::vector<uint32_t> indices(num_chosen);
    const SketchKernels& host = FastestHostBackend()->sketches();
    const absl::Time start = absl::Now();
    TALLY_RETURN_IF_ERROR(host.Estimate(shape, table, absl::MakeSpan(estimates)));
    TALLY_RETURN_IF_ERROR(host.SelectLargest(estimates, {}, absl::MakeSpan(indices)));
    report_.Add({"estimate all and choose 1e5, the host's SIMD, one core",
                 absl::ToDoubleMilliseconds(absl::Now() - start), 4.0 * table.size(), 0, ""});
    return absl::OkStatus();
  }

  Device* const device_;
  DeviceQueue* const queue_;
  GpuReport report_;
  double copy_bandwidth_ = 0;
};

absl::Status RunBenchmark() {
  TALLY_ASSIGN_OR_RETURN(const Backend* const backend, FindBackend("cuda"));
  TALLY_ASSIGN_OR_RETURN(const std::unique_ptr<DeviceQueue> queue, backend->device()->NewQueue());
  return GpuBenchmark(backend->device(), queue.get()).Run();
}

}  // namespace
}  // namespace tally

int main(int argc, char** argv) {
  absl::ParseCommandLine(argc, argv);
  const absl::Status status = tally::RunBenchmark();
  if (status.ok()) return EXIT_SUCCESS;
  std::fprintf(stderr, "gpu_benchmark: %s\n", status.ToString().c_str());
  return EXIT_FAILURE;
}
