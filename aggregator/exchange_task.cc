#include "aggregator/exchange_task.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/types/variant.h"
#include "base/digest.h"
#include "base/float_environment.h"
#include "codecs/sign_codec.h"

namespace tally {
namespace {

// Runs the kernel of each kind of exchange, payloads in, payload out.
class Arithmetic {
 public:
  Arithmetic(const ExchangeTask& task, const Backend& backend, absl::Span<uint8_t> output)
      : task_(task),
        backend_(backend),
        layout_(task.description->layout),
        num_elements_(layout_.chunks()[task.chunk].num_elements),
        output_(output) {}

  absl::Status operator()(const DenseExchange& dense) const {
    std::vector<absl::Span<const uint8_t>> inputs;
    inputs.reserve(task_.payloads.size());
    for (const SharedBuffer& payload : task_.payloads) inputs.push_back(payload->bytes());
    return backend_.DenseMean(dense.dtype, inputs, static_cast<float>(task_.divisor), output_);
  }

  absl::Status operator()(const SignExchange& sign) const {
    const std::vector<uint32_t> segment_ends = layout_.SegmentEnds(task_.chunk, sign.granularity);
    std::vector<SignBlock> blocks;
    blocks.reserve(task_.payloads.size());
    for (const SharedBuffer& payload : task_.payloads) {
      blocks.push_back(SignBlockOf(payload->bytes(), num_elements_, segment_ends.size()));
    }
    if (sign.zero_residual) std::fill(task_.residual->begin(), task_.residual->end(), 0.0f);
    const SignPayloadParts out = SignPartsOf(output_, num_elements_, segment_ends.size());
    return backend_.SignRound({.blocks = blocks,
                               .divisor = static_cast<float>(task_.divisor),
                               .segment_ends = segment_ends,
                               .live = layout_.live(task_.chunk),
                               .rule = sign.scale_rule,
                               .residual = absl::MakeSpan(*task_.residual),
                               .bits = out.bits,
                               .scales = out.scales});
  }

 private:
  const ExchangeTask& task_;
  const Backend& backend_;
  const Layout& layout_;
  const size_t num_elements_;
  const absl::Span<uint8_t> output_;
};

}  // namespace

absl::StatusOr<ExchangeOutcome> RunExchange(const ExchangeTask& task, const Backend& backend) {
  const ScopedFloatEnvironment float_environment;
  Buffer payload(PayloadBytes(task.exchange, task.description->layout, task.chunk));
  const absl::Status status =
      absl::visit(Arithmetic(task, backend, payload.bytes()), task.exchange.kind);
  if (!status.ok()) {
    return absl::InternalError(absl::StrCat(ExchangeName(task.exchange), " of chunk ", task.chunk,
                                            ", round ", task.round, ": ", status.message()));
  }
  const uint64_t digest = Digest64(payload.bytes());
  return ExchangeOutcome{.job_serial = task.job_serial,
                         .chunk = task.chunk,
                         .round = task.round,
                         .payload = std::make_shared<const Buffer>(std::move(payload)),
                         .payload_digest = digest};
}

}  // namespace tally
