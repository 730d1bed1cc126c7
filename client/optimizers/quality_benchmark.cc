// What does it cost to measure a round? Rows `Meter` compare an input with an update, tile by tile,
// out of memory, beside a memcpy row that moves as many bytes: nanoseconds an element are what
// every measured compressed element adds to a step at worst. Rows `Step` are whole steps of one
// worker, with and without measuring, the aggregator's arithmetic in the same process but no
// transport: a real step is longer, so the share is smaller. Not answered: several workers on one
// memory.
//
//   bazel run //client/optimizers:quality_benchmark
#include <algorithm>
#include <cstdint>
#include <cstring>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "benchmark/benchmark.h"
#include "client/optimizers/create_optimizer.h"
#include "client/optimizers/quality_meter.h"
#include "client/optimizers/tile.h"
#include "codecs/layout.h"
#include "kernels/host_backends.h"
#include "tests/util/loopback_exchanger.h"

namespace tally {
namespace {

constexpr size_t kMeterElements = 16 << 20;
constexpr uint64_t kStepElements = 4 << 20;

std::vector<float> Gaussian(size_t size, uint32_t seed) {
  std::minstd_rand random(seed);
  std::normal_distribution<float> normal;
  std::vector<float> x(size);
  for (float& value : x) value = normal(random);
  return x;
}

void Check(const absl::Status& status) { TALLY_CHECK(status.ok(), status.ToString()); }

void Meter(benchmark::State& state, const Backend* backend) {
  const std::vector<float> input = Gaussian(kMeterElements, 1);
  const std::vector<float> update(kMeterElements, 0.5f);
  QualityMeter meter(/*interval=*/1, /*num_chunks=*/1, backend);
  for (auto _ : state) {
    meter.BeginStep(1);
    for (size_t begin = 0; begin < kMeterElements; begin += kTileElements) {
      meter.Add(0, absl::MakeConstSpan(input).subspan(begin, kTileElements),
                absl::MakeConstSpan(update).subspan(begin, kTileElements));
    }
    meter.EndStep();
  }
  const auto quality = meter.Report([] { return 0.0; });
  TALLY_CHECK(quality.has_value() && quality->num_elements == kMeterElements, "all is measured");
  const auto elements = static_cast<int64_t>(state.iterations()) * int64_t{kMeterElements};
  state.SetItemsProcessed(elements);
  state.SetBytesProcessed(elements * 8);
}

void Memcpy(benchmark::State& state) {
  const std::vector<float> from(kMeterElements, 1.0f);
  std::vector<float> to(kMeterElements);
  for (auto _ : state) {
    std::memcpy(to.data(), from.data(), kMeterElements * sizeof(float));
    benchmark::DoNotOptimize(to.data());
  }
  const auto elements = static_cast<int64_t>(state.iterations()) * int64_t{kMeterElements};
  state.SetItemsProcessed(elements);
  state.SetBytesProcessed(elements * 8);
}

void Step(benchmark::State& state, const std::string& method, uint64_t interval) {
  OptimizerOptions options;
  options.adam.quality_interval = interval;
  options.warmup_rounds = 1;
  options.sketch = {.num_updated = kStepElements / 200, .columns = kStepElements / 20};
  absl::optional<DealingOptions> dealing;
  if (Sketches(method)) {
    dealing = DealingOptions{.num_groups = NumSketchGroups(options.sketch.columns, kStepElements)};
  }
  LoopbackGroup group(*Layout::Create({{.name = "t", .num_elements = kStepElements}},
                                      kDefaultChunkElements, dealing),
                      {}, FastestHostBackend());
  const auto optimizer = CreateOptimizer(method, group.worker(0), options);
  Check(optimizer.status());
  std::vector<float> x(kStepElements);
  const std::vector<float> gradient = Gaussian(kStepElements, 1);
  for (int warmup = 0; warmup < 2; ++warmup) {
    Check((*optimizer)->Step(absl::MakeSpan(x), gradient));
  }
  TALLY_CHECK((*optimizer)->quality().has_value() == (interval > 0), "it measures if asked to");
  for (auto _ : state) Check((*optimizer)->Step(absl::MakeSpan(x), gradient));
  state.SetItemsProcessed(static_cast<int64_t>(state.iterations()) * int64_t{kStepElements});
}

void RegisterAll() {
  benchmark::RegisterBenchmark("Memcpy", Memcpy);
  for (const Backend* backend : HostBackends()) {
    benchmark::RegisterBenchmark(absl::StrCat("Meter/", backend->name()).c_str(), Meter, backend);
  }
  for (const std::string method :
       {"onebit_adam", "birder", "cd_adam", "sign_sgd", "topk_sgd", "sketched_sgd"}) {
    for (const uint64_t interval : {0, 1}) {
      benchmark::RegisterBenchmark(absl::StrCat("Step/", method, "/interval:", interval).c_str(),
                                   Step, method, interval)
          ->Unit(benchmark::kMillisecond);
    }
  }
}

}  // namespace
}  // namespace tally

int main(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 1;
  tally::RegisterAll();
  benchmark::RunSpecifiedBenchmarks();
  benchmark::Shutdown();
  return 0;
}
