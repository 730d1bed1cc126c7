#include "tests/util/exchange_tasks.h"

#include <algorithm>
#include <utility>

#include "absl/types/variant.h"
#include "base/check.h"
#include "base/choices.h"
#include "base/mutex.h"
#include "codecs/dense_codec.h"
#include "codecs/sign_codec.h"
#include "codecs/sparse_codec.h"
#include "kernels/backends.h"

namespace tally {
namespace {

class Writer {
 public:
  Writer(const Layout& layout, uint32_t chunk, uint64_t seed)
      : layout_(layout),
        chunk_(chunk),
        num_elements_(layout.chunks()[chunk].num_elements),
        choices_(seed, 0) {}

  Buffer operator()(const DenseExchange& dense) { return Values(dense.dtype, num_elements_); }
  Buffer operator()(const ValuesExchange& values) {
    return Values(values.dtype, values.num_values);
  }
  Buffer operator()(const SketchExchange& sketch) {
    return Values(sketch.dtype, uint64_t{sketch.rows} * sketch.columns);
  }
  Buffer operator()(const SignExchange& sign) { return Signs(sign.granularity); }
  Buffer operator()(const SignRelayExchange& relay) { return Signs(relay.granularity); }
  Buffer operator()(const VoteExchange&) {
    Buffer votes(BitmapBytes(num_elements_));
    FillBits(votes.bytes());
    return votes;
  }
  Buffer operator()(const SparseExchange& sparse) {
    std::vector<uint32_t> indices;
    std::vector<float> values;
    for (uint32_t i = 0; i < num_elements_ && indices.size() < sparse.max_values; ++i) {
      if (!choices_.OneIn(3)) continue;
      indices.push_back(i);
      values.push_back(Value());
    }
    return EncodeSparse(indices, values, num_elements_);
  }

 private:
  float Value() { return (static_cast<float>(choices_.Below(2001)) - 1000.0f) / 300.0f; }

  Buffer Values(DType dtype, uint64_t count) {
    std::vector<float> values(count);
    for (float& value : values) value = Value();
    Buffer payload(DensePayloadBytes(dtype, count));
    const absl::Status encoded =
        SupportedBackends().front()->EncodeDense(dtype, values, payload.bytes());
    TALLY_CHECK(encoded.ok(), encoded.ToString());
    return payload;
  }

  Buffer Signs(const ScaleGranularity& granularity) {
    const size_t num_segments = layout_.NumSegments(chunk_, granularity);
    Buffer payload(SignPayloadBytes(num_elements_, num_segments));
    const SignPayloadParts parts = SignPartsOf(payload.bytes(), num_elements_, num_segments);
    for (float& scale : parts.scales) scale = static_cast<float>(choices_.Below(1000)) / 300.0f;
    FillBits(parts.bits);
    return payload;
  }

  void FillBits(absl::Span<uint8_t> bits) {
    std::fill(bits.begin(), bits.end(), uint8_t{0});
    for (uint32_t i = 0; i < num_elements_; ++i) {
      if (choices_.OneIn(2)) bits[i / 8] |= static_cast<uint8_t>(1u << (i % 8));
    }
  }

  const Layout& layout_;
  const uint32_t chunk_;
  const uint32_t num_elements_;
  Choices choices_;
};

}  // namespace

Buffer RandomContribution(const Exchange& exchange, const Layout& layout, uint32_t chunk,
                          uint64_t seed) {
  return absl::visit(Writer(layout, chunk, seed), exchange.kind);
}

ExchangeTask RandomTask(std::shared_ptr<const JobDescription> description, uint32_t chunk,
                        const Exchange& exchange, uint32_t num_participants, uint64_t seed) {
  ExchangeTask task{.chunk = chunk,
                    .place = {seed, 0},
                    .description = std::move(description),
                    .exchange = exchange};
  for (uint32_t i = 0; i < num_participants; ++i) {
    task.payloads.push_back(std::make_shared<const Buffer>(
        RandomContribution(exchange, task.description->layout, chunk, seed * 1000 + i)));
  }
  task.divisor = num_participants + 1;
  return task;
}

std::vector<absl::StatusOr<ExchangeOutcome>> RunAll(ExchangeRunner& runner,
                                                    const std::vector<ExchangeTask>& tasks) {
  Mutex mutex;
  CondVar all_done;
  size_t num_left = tasks.size();
  std::vector<absl::StatusOr<ExchangeOutcome>> outcomes(tasks.size());
  for (size_t i = 0; i < tasks.size(); ++i) {
    runner.Submit(tasks[i], [&, i](const ExchangeTask&, absl::StatusOr<ExchangeOutcome> outcome) {
      const MutexLock lock(&mutex);
      outcomes[i] = std::move(outcome);
      if (--num_left == 0) all_done.NotifyAll();
    });
  }
  const MutexLock lock(&mutex);
  while (num_left > 0) all_done.Wait(&mutex);
  return outcomes;
}

}  // namespace tally
