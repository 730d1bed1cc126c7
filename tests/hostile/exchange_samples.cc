#include "tests/hostile/exchange_samples.h"

#include "base/buffer.h"
#include "base/check.h"
#include "base/digest.h"
#include "codecs/dealing.h"
#include "codecs/sparse_codec.h"
#include "kernels/host_backends.h"
#include "kernels/sketch_hash.h"
#include "tests/util/contribution_builder.h"

namespace tally {
namespace {

constexpr uint32_t kNumElements = 1001;
constexpr uint32_t kGroupElements = 1024;

Layout Checked(absl::StatusOr<Layout> layout) {
  TALLY_CHECK(layout.ok(), layout.status().ToString());
  return *std::move(layout);
}

}  // namespace

Layout SampleLayout() {
  return Checked(
      Layout::Create({{"weights", kNumElements, Treatment::kCompressed, {{3, 4}}}}, 1024));
}

Layout SampleDealtLayout() {
  return Checked(Layout::Create({{"weights", kGroupElements}}, 1024, DealingOptions()));
}

std::string SparsePayload(const std::vector<uint32_t>& indices, const std::vector<float>& values,
                          uint32_t num_elements) {
  const Buffer payload = EncodeSparse(indices, values, num_elements);
  return std::string(reinterpret_cast<const char*>(payload.data()), payload.size());
}

ExchangeSample VoteSample() {
  std::string votes((kNumElements + 7) / 8, '\x5a');
  votes.back() = 1;
  // Every count is 0 or 3: both planes are the votes.
  return {{VoteExchange{VoteResult::kCounts}}, votes, votes + votes};
}

ExchangeSample SparseSample() {
  const std::string payload = SparsePayload({5, 6, 1000}, {1, -2, 3}, kNumElements);
  return {{SparseExchange{3}}, payload, payload};
}

ExchangeSample RelaySample() {
  const std::string signs = SignPayload({1, 2, 3, 4}, kNumElements, {5, 999});
  const std::string block = signs + std::string(2, '\0');
  return {{SignRelayExchange{{ScaleGranularity::Unit::kBlock, 256}}}, signs, block + block + block};
}

ExchangeSample SketchSample(uint64_t seed) {
  // Two elements that are not zero: the candidates.
  const std::vector<uint32_t> candidates = {static_cast<uint32_t>(seed), 200};
  std::vector<float> x(kGroupElements);
  x[candidates[0]] = 4;
  x[candidates[1]] = -8;
  const SketchExchange sketch = {.hash_seed = seed, .rows = 3, .columns = 256, .num_candidates = 2};
  const SketchShape shape = {
      .rows = sketch.rows, .columns = sketch.columns, .key = SketchKey(seed, 0)};
  std::vector<float> table(SketchCells(shape));
  const absl::Status status =
      HostBackends().front()->sketches().Sketch(shape, x, absl::MakeSpan(table));
  TALLY_CHECK(status.ok(), status.ToString());
  return {{sketch}, DensePayload(table), SparsePayload(candidates, {}, kGroupElements)};
}

ExchangeSample ValuesSample(const ExchangeSample& first_half) {
  const std::string values = DensePayload({4, -8});
  const ValuesExchange exchange = {.num_values = 2,
                                   .candidates_digest = Digest64(first_half.result)};
  return {{exchange}, values, values};
}

}  // namespace tally
