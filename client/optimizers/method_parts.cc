#include "client/optimizers/method_parts.h"

#include <utility>

#include "base/status_macros.h"
#include "kernels/host_backends.h"

namespace tally {

MethodParts::MethodParts(Exchanger* exchanger, const MethodOptions& options)
    : backend_(options.backend != nullptr ? *options.backend : *FastestHostBackend()),
      layout_(exchanger->layout()),
      dense_exchange_{DenseExchange{options.dense_dtype}, Divisor::kParticipants},
      driver_(exchanger),
      guard_(options.non_finite, &layout_, &backend_),
      carry_(&layout_, options.dense_dtype, &guard_, &backend_),
      quality_(options.quality_interval, layout_.chunks().size(), &backend_) {}

absl::StatusOr<bool> MethodParts::TakesPart(uint32_t chunk, absl::Span<const float> gradient) {
  if (guard_.Accepts(gradient)) return true;
  TALLY_RETURN_IF_ERROR(guard_.Refuse(chunk, gradient, DType::kFloat32));
  return false;
}

absl::StatusOr<ChunkContribution> MethodParts::EncodeDense(uint32_t chunk,
                                                           absl::Span<const float> gradient) {
  TALLY_ASSIGN_OR_RETURN(absl::optional<Buffer> payload, carry_.Encode(chunk, gradient));
  return ChunkContribution{dense_exchange_, std::move(payload)};
}

absl::StatusOr<absl::Span<const float>> MethodParts::TakeDense(const ChunkResult& result, Fate fate,
                                                               absl::Span<const float> gradient) {
  TALLY_RETURN_IF_ERROR(carry_.Settle(result.chunk, fate, gradient));
  if (!result.exchange.has_value()) return absl::Span<const float>();
  mean_.resize(gradient.size());
  TALLY_RETURN_IF_ERROR(backend_.DecodeDense(absl::get<DenseExchange>(dense_exchange_.kind).dtype,
                                             result.payload->bytes(), absl::MakeSpan(mean_)));
  return absl::MakeConstSpan(mean_);
}

OptimizerStatistics MethodParts::Statistics() const {
  return {.steps = steps_, .abstained_chunks = guard_.abstained_chunks(), .compressing = true};
}

SavedStateWriter MethodParts::BeginSave(absl::string_view method, StateScope scope) const {
  SavedStateWriter writer(method, layout_, steps_, scope);
  carry_.Save(writer);
  return writer;
}

absl::Status MethodParts::Load(const SavedState& saved) {
  TALLY_RETURN_IF_ERROR(carry_.Load(saved));
  steps_ = saved.steps();
  quality_.Forget();
  return absl::OkStatus();
}

}  // namespace tally
