// Question: how much of what the bus to the GPU can carry does the aggregator's pipeline use, from
// contributions in the host's memory to results there, its residuals resident on the device?
//
// A model of 250 M parameters in chunks of 1 Mi, two-way sign rounds, n = 8, blocks of 4,096. All
// chunks of a round are submitted at once; a run is several rounds, one after the other. What must
// cross the bus is the payloads, in and out, which it carries at once; the floor is the longer of
// the two at the bandwidth of one large copy from or to pinned memory in the same run. Rows differ
// in where the payloads lie, and in the number of lanes.
//
// Not answered: how fast gRPC delivers contributions (bench/service_benchmark.cc).
//
//   bazel run //bench:gpu_pipeline_benchmark -- --json=/tmp/gpu_pipeline.json
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/flags/flag.h"
#include "absl/flags/parse.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "aggregator/device_runner.h"
#include "aggregator/exchange_task.h"
#include "aggregator/host_runner.h"
#include "aggregator/job_description.h"
#include "aggregator/residual.h"
#include "base/buffer.h"
#include "base/mix64.h"
#include "base/mutex.h"
#include "base/status_macros.h"
#include "bench/gpu_report.h"
#include "codecs/layout.h"
#include "codecs/sign_codec.h"
#include "kernels/backends.h"
#include "kernels/device/device.h"
#include "kernels/host_backends.h"

ABSL_FLAG(std::string, json, "", "Where the rows go as JSON; empty: nowhere.");
ABSL_FLAG(uint64_t, parameters, 250'000'000, "Of the model.");

namespace tally {
namespace {

constexpr uint32_t kWorkers = 8;
constexpr int kRounds = 6;
constexpr uint64_t kPinnedBytes = uint64_t{1} << 30;
constexpr uint64_t kBatchBytes = uint64_t{16} << 20;

SharedBuffer RandomSigns(size_t num_elements, size_t num_segments, uint64_t seed,
                         const std::shared_ptr<BufferMemory>& memory) {
  Buffer payload(SignPayloadBytes(num_elements, num_segments), memory);
  const SignPayloadParts parts = SignPartsOf(payload.bytes(), num_elements, num_segments);
  std::fill(parts.scales.begin(), parts.scales.end(), 0.5f + static_cast<float>(seed % 7));
  uint64_t state = Mix64(seed);
  for (size_t i = 0; i < parts.bits.size(); ++i) {
    if (i % 8 == 0) state += kGolden64;
    parts.bits[i] = static_cast<uint8_t>(Mix64(state) >> (i % 8 * 8));
  }
  if (num_elements % 8 != 0) parts.bits.back() &= (1 << num_elements % 8) - 1;
  return std::make_shared<const Buffer>(std::move(payload));
}

// All chunks of a model, to be aggregated round after round.
class Model {
 public:
  static absl::StatusOr<Model> Create(uint64_t num_parameters,
                                      const std::shared_ptr<BufferMemory>& memory) {
    TALLY_ASSIGN_OR_RETURN(Layout layout, Layout::Create({{"weights", num_parameters}}));
    Model model;
    const auto shared = std::make_shared<const JobDescription>(
        JobDescription{.job = "benchmark", .layout = std::move(layout), .aggregators = {"agg-0"}});
    const SignExchange sign;
    for (uint32_t chunk = 0; chunk < shared->layout.chunks().size(); ++chunk) {
      const size_t num_elements = shared->layout.chunks()[chunk].num_elements;
      const size_t num_segments = shared->layout.NumSegments(chunk, sign.granularity);
      ExchangeTask task{.chunk = chunk, .description = shared, .exchange = {.kind = sign}};
      for (uint32_t n = 0; n < kWorkers; ++n) {
        task.payloads.push_back(
            RandomSigns(num_elements, num_segments, chunk * kWorkers + n + 1, memory));
      }
      task.divisor = kWorkers;
      task.residual = std::make_shared<Residual>(num_elements);
      model.payload_bytes_ += task.payloads[0]->size();
      model.tasks_.push_back(std::move(task));
    }
    return model;
  }

  // Runs one round.
  absl::Status Run(ExchangeRunner& runner) {
    Mutex mutex;
    CondVar is_done;
    size_t num_done = 0;
    absl::Status status;
    for (const ExchangeTask& task : tasks_) {
      runner.Submit(task, [&](const ExchangeTask&, absl::StatusOr<ExchangeOutcome> outcome) {
        const MutexLock lock(&mutex);
        ++num_done;
        if (!outcome.ok()) status = outcome.status();
        if (num_done == tasks_.size()) is_done.NotifyAll();
      });
    }
    const MutexLock lock(&mutex);
    while (num_done < tasks_.size()) is_done.Wait(&mutex);
    return status;
  }

  // Of one worker, or of the result.
  double payload_bytes() const { return static_cast<double>(payload_bytes_); }

 private:
  std::vector<ExchangeTask> tasks_;
  uint64_t payload_bytes_ = 0;
};

absl::StatusOr<double> MedianMilliseconds(Model& model, ExchangeRunner& runner) {
  std::vector<double> times;
  for (int round = 0; round <= kRounds; ++round) {
    const absl::Time start = absl::Now();
    TALLY_RETURN_IF_ERROR(model.Run(runner));
    // The first round makes residuals and staging memory.
    if (round > 0) times.push_back(absl::ToDoubleMilliseconds(absl::Now() - start));
  }
  std::sort(times.begin(), times.end());
  return times[times.size() / 2];
}

// Bytes per second of one large copy.
absl::StatusOr<double> CopyBandwidth(Device& device, bool to_device, GpuReport& report) {
  constexpr size_t kBytes = size_t{1} << 30;
  constexpr int kCopies = 5;
  TALLY_ASSIGN_OR_RETURN(const std::unique_ptr<DeviceQueue> queue, device.NewQueue());
  TALLY_ASSIGN_OR_RETURN(void* const memory, device.Allocate(kBytes));
  TALLY_ASSIGN_OR_RETURN(void* const pinned, device.AllocatePinned(kBytes));
  std::memset(pinned, 1, kBytes);
  const absl::Span<uint8_t> host(static_cast<uint8_t*>(pinned), kBytes);
  absl::Time start;
  for (int i = 0; i <= kCopies; ++i) {
    if (i == 1) start = absl::Now();
    TALLY_RETURN_IF_ERROR(to_device ? queue->CopyIn(host, memory) : queue->CopyOut(memory, host));
    TALLY_RETURN_IF_ERROR(queue->Wait());
  }
  const double milliseconds = absl::ToDoubleMilliseconds(absl::Now() - start) / kCopies;
  device.FreePinned(pinned, kBytes);
  device.Free(memory, kBytes);
  const double bandwidth = kBytes / (milliseconds / 1e3);
  report.Add({absl::StrCat("copy of 1 GiB ", to_device ? "to" : "from", " the device, pinned"),
              milliseconds, static_cast<double>(kBytes), bandwidth, ""});
  return bandwidth;
}

absl::Status RunBenchmark() {
  TALLY_ASSIGN_OR_RETURN(const Backend* const backend, FindBackend("cuda"));
  Device& device = *backend->device();
  GpuReport report(device.description());
  TALLY_ASSIGN_OR_RETURN(const double bandwidth_in, CopyBandwidth(device, true, report));
  TALLY_ASSIGN_OR_RETURN(const double bandwidth_out, CopyBandwidth(device, false, report));
  const uint64_t num_parameters = absl::GetFlag(FLAGS_parameters);
  for (const bool is_pinned : {true, false}) {
    for (const int num_lanes : {2, 4, 8}) {
      TALLY_ASSIGN_OR_RETURN(
          const std::unique_ptr<DeviceRunner> runner,
          DeviceRunner::Create(&device, FastestHostBackend(),
                               {.num_lanes = num_lanes,
                                .max_batch_bytes = kBatchBytes,
                                .max_pinned_bytes = is_pinned ? kPinnedBytes : 0,
                                .on_residual_lost = [](const absl::Status& status) {
                                  std::fprintf(stderr, "%s\n", status.ToString().c_str());
                                  std::abort();
                                }}));
      TALLY_ASSIGN_OR_RETURN(Model model, Model::Create(num_parameters, runner->payload_memory()));
      TALLY_ASSIGN_OR_RETURN(const double milliseconds, MedianMilliseconds(model, *runner));
      const double bytes_in = model.payload_bytes() * kWorkers;
      const bool in_is_longer = bytes_in / bandwidth_in > model.payload_bytes() / bandwidth_out;
      report.Add({absl::StrCat("round of ", num_parameters, " parameters, n = 8, ",
                               is_pinned ? "pinned" : "ordinary", " memory, ", num_lanes, " lanes"),
                  milliseconds, in_is_longer ? bytes_in : model.payload_bytes(),
                  in_is_longer ? bandwidth_in : bandwidth_out, ""});
    }
  }
  TALLY_ASSIGN_OR_RETURN(Model model, Model::Create(num_parameters, nullptr));
  HostRunner host(FastestHostBackend(), /*num_threads=*/8);
  TALLY_ASSIGN_OR_RETURN(const double milliseconds, MedianMilliseconds(model, host));
  report.Add({"the same round on the host's SIMD, 8 threads", milliseconds,
              model.payload_bytes() * kWorkers, 0, ""});
  const std::string path = absl::GetFlag(FLAGS_json);
  return path.empty() ? absl::OkStatus() : report.WriteJson(path);
}

}  // namespace
}  // namespace tally

int main(int argc, char** argv) {
  absl::ParseCommandLine(argc, argv);
  const absl::Status status = tally::RunBenchmark();
  if (status.ok()) return EXIT_SUCCESS;
  std::fprintf(stderr, "gpu_pipeline_benchmark: %s\n", status.ToString().c_str());
  return EXIT_FAILURE;
}
