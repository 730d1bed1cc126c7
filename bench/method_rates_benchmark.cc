// Question: what does a round of each method cost the worker and the aggregator beside the wire,
// per parameter? The adviser (client/advice/advice.h) reckons with the answers.
//
// worker: one thread steps a model of 8 Mi parameters, in chunks of 1 Mi or groups of 1,024
// columns. Results are canned: the worker's own payload comes back, and of a sketch always the
// same elements. So encoding, decoding and the step are counted; transport and aggregator are not.
// Methods with a warm-up are timed after it.
//
// aggregator: one thread computes the results of such a round from as many contributions as n says,
// all of them copies of the same worker's; each chunk has its residual. A sparse result of equal
// contributions is as small as it can be.
//
// items_per_second counts parameters, by processor time. memcpy copies the gradient: the yardstick.
//
// Not answered: what digests, checks and gRPC cost (service_benchmark), and several threads.
//
//   bazel run //bench:method_rates_benchmark
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <memory>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/types/optional.h"
#include "absl/types/variant.h"
#include "aggregator/exchange_task.h"
#include "aggregator/job_description.h"
#include "aggregator/residual.h"
#include "base/buffer.h"
#include "base/check.h"
#include "benchmark/benchmark.h"
#include "client/exchanger.h"
#include "client/optimizers/create_optimizer.h"
#include "client/optimizers/optimizer.h"
#include "client/optimizers/sketch_options.h"
#include "codecs/exchange.h"
#include "codecs/layout.h"
#include "codecs/sparse_codec.h"
#include "kernels/host_backends.h"

namespace tally {
namespace {

constexpr uint64_t kNumElements = uint64_t{8} << 20;

struct Method {
  std::string label;
  std::string name;
  OptimizerOptions options;
};

std::vector<Method> Methods() {
  OptimizerOptions defaults;
  defaults.warmup_rounds = 1;
  defaults.sketch = {.num_updated = kNumElements / 200, .columns = kNumElements / 20};
  std::vector<Method> methods;
  for (const absl::string_view name : OptimizerNames()) {
    methods.push_back({std::string(name), std::string(name), defaults});
  }
  methods.push_back({"dense_adam_bfloat16", "dense_adam", defaults});
  methods.back().options.dtype = DType::kBFloat16;
  methods.push_back({"birder_counts", "birder", defaults});
  methods.back().options.vote_counts = true;
  methods.push_back({"cd_adam_topk", "cd_adam", defaults});
  methods.back().options.compressor = CdAdamCompressor::kTopk;
  return methods;
}

// What a worker put into an exchange.
struct Contribution {
  uint32_t chunk;
  Exchange exchange;
  SharedBuffer payload;
};

// Gives back what it is given.
class CannedExchanger final : public Exchanger {
 public:
  explicit CannedExchanger(Layout layout) : layout_(std::move(layout)) {}

  const Layout& layout() const override { return layout_; }
  uint64_t run_seed() const override { return 1; }
  absl::string_view worker() const override { return "w-0"; }
  uint64_t next_round() const override { return round_; }

  absl::Status StartRound() override {
    ++round_;
    last_round_.clear();
    return absl::OkStatus();
  }
  absl::Status Contribute(uint32_t chunk, const Exchange& exchange, Buffer payload) override {
    last_round_.push_back({chunk, exchange, std::make_shared<const Buffer>(std::move(payload))});
    const auto* sketch = absl::get_if<SketchExchange>(&exchange.kind);
    results_.push_back(
        {.chunk = chunk,
         .round = round_ - 1,
         .half = IsSecondHalf(exchange) ? 1u : 0u,
         .exchange = exchange,
         .counted = true,
         .num_participants = 1,
         .payload = sketch != nullptr ? Candidates(chunk, *sketch) : last_round_.back().payload});
    return absl::OkStatus();
  }
  absl::Status Abstain(uint32_t, const Exchange&) override {
    return absl::InternalError("no input of this benchmark is broken");
  }
  absl::StatusOr<ChunkResult> NextResult() override {
    if (results_.empty()) return absl::InternalError("no result is outstanding");
    ChunkResult result = std::move(results_.front());
    results_.pop_front();
    return result;
  }
  absl::StatusOr<absl::optional<ChunkResult>> PollResult() override {
    if (results_.empty()) return absl::optional<ChunkResult>();
    return absl::optional<ChunkResult>(*NextResult());
  }

  const std::vector<Contribution>& last_round() const { return last_round_; }

 private:
  // As many elements as are asked for, evenly spread.
  SharedBuffer Candidates(uint32_t chunk, const SketchExchange& sketch) {
    candidates_.resize(layout_.chunks().size());
    if (candidates_[chunk] != nullptr) return candidates_[chunk];
    const uint64_t size = layout_.chunks()[chunk].num_elements;
    std::vector<uint32_t> indices;
    for (uint64_t k = 0; k < sketch.num_candidates; ++k) {
      indices.push_back(static_cast<uint32_t>(k * size / sketch.num_candidates));
    }
    candidates_[chunk] =
        std::make_shared<const Buffer>(EncodeSparse(indices, {}, static_cast<uint32_t>(size)));
    return candidates_[chunk];
  }

  const Layout layout_;
  uint64_t round_ = 0;
  std::deque<ChunkResult> results_;
  std::vector<Contribution> last_round_;
  std::vector<SharedBuffer> candidates_;  // by chunk
};

std::vector<float> Gradient() {
  std::mt19937 random(1);
  std::normal_distribution<float> normal;
  std::vector<float> gradient(kNumElements);
  for (float& g : gradient) g = normal(random);
  return gradient;
}

// A worker past its warm-up.
struct Worker {
  explicit Worker(const Method& method)
      : exchanger(LayoutFor(method)), gradient(Gradient()), parameters(kNumElements, 0.25f) {
    auto created = CreateOptimizer(method.name, &exchanger, method.options);
    TALLY_CHECK(created.ok(), created.status().ToString());
    optimizer = *std::move(created);
    for (int warmup = 0; warmup < 2; ++warmup) Step();
  }

  static Layout LayoutFor(const Method& method) {
    absl::optional<DealingOptions> dealing;
    if (Sketches(method.name)) {
      dealing = DealingOptions{NumSketchGroups(method.options.sketch.columns, kNumElements), 1};
    }
    auto layout = Layout::Create({{"weights", kNumElements}}, kDefaultChunkElements, dealing);
    TALLY_CHECK(layout.ok(), layout.status().ToString());
    return *std::move(layout);
  }

  void Step() {
    const absl::Status status = optimizer->Step(absl::MakeSpan(parameters), gradient);
    TALLY_CHECK(status.ok(), status.ToString());
  }

  CannedExchanger exchanger;
  std::vector<float> gradient;
  std::vector<float> parameters;
  std::unique_ptr<Optimizer> optimizer;
};

void CountParameters(benchmark::State& state) {
  state.SetItemsProcessed(state.iterations() * static_cast<int64_t>(kNumElements));
}

void BenchmarkWorker(benchmark::State& state, const Method& method) {
  Worker worker(method);
  for (auto _ : state) worker.Step();
  CountParameters(state);
}

SharedBuffer CopyOf(const Buffer& payload) {
  Buffer copy(payload.size());
  if (copy.size() > 0) std::memcpy(copy.data(), payload.data(), copy.size());
  return std::make_shared<const Buffer>(std::move(copy));
}

void BenchmarkAggregator(benchmark::State& state, const Method& method, uint32_t num_workers) {
  const Worker worker(method);
  auto description = std::make_shared<JobDescription>(
      JobDescription{.layout = worker.exchanger.layout(), .aggregators = {"agg-0"}});
  std::vector<ExchangeTask> tasks;
  for (const Contribution& contribution : worker.exchanger.last_round()) {
    ExchangeTask& task = tasks.emplace_back();
    task.chunk = contribution.chunk;
    task.description = description;
    task.exchange = contribution.exchange;
    // Copies: one payload would stay in the cache.
    for (uint32_t i = 0; i < num_workers; ++i) {
      task.payloads.push_back(CopyOf(*contribution.payload));
    }
    task.divisor = num_workers;
    if (absl::holds_alternative<SignExchange>(contribution.exchange.kind)) {
      task.residual =
          std::make_shared<Residual>(description->layout.chunks()[contribution.chunk].num_elements);
    }
  }
  for (auto _ : state) {
    for (const ExchangeTask& task : tasks) {
      const auto outcome = RunExchange(task, *FastestHostBackend());
      TALLY_CHECK(outcome.ok(), outcome.status().ToString());
    }
  }
  CountParameters(state);
}

void BenchmarkMemcpy(benchmark::State& state) {
  const std::vector<float> from = Gradient();
  std::vector<float> to(kNumElements);
  for (auto _ : state) {
    std::memcpy(to.data(), from.data(), kNumElements * sizeof(float));
    benchmark::ClobberMemory();
  }
  CountParameters(state);
}

void RegisterAll() {
  benchmark::RegisterBenchmark("memcpy", BenchmarkMemcpy);
  for (const Method& method : Methods()) {
    benchmark::RegisterBenchmark(
        absl::StrCat("worker/", method.label).c_str(),
        [method](benchmark::State& state) { BenchmarkWorker(state, method); });
    for (const uint32_t n : {4, 16}) {
      benchmark::RegisterBenchmark(
          absl::StrCat("aggregator/", method.label, "/n:", n).c_str(),
          [method, n](benchmark::State& state) { BenchmarkAggregator(state, method, n); });
    }
  }
}

}  // namespace
}  // namespace tally

int main(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);
  tally::RegisterAll();
  benchmark::RunSpecifiedBenchmarks();
  return EXIT_SUCCESS;
}
