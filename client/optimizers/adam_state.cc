#include "client/optimizers/adam_state.h"

#include <algorithm>
#include <cmath>
#include <cstddef>

#include "base/status_macros.h"
#include "client/optimizers/tile.h"

namespace tally {
namespace {

// Almost everywhere there is a variance; so many elements at once are seen to have one in a loop of
// fixed length, which compilers turn into vectors.
constexpr size_t kGroupElements = 64;

bool AllPositive(const float* group) {
  uint32_t num_positive = 0;
  for (size_t i = 0; i < kGroupElements; ++i) num_positive += group[i] > 0.0f ? 1u : 0u;
  return num_positive == kGroupElements;
}

}  // namespace

AdamState::AdamState(const AdamOptions& options, bool amsgrad, uint64_t num_elements,
                     const Backend* backend)
    : factors_(options),
      backend_(backend),
      first_moment_(num_elements),
      second_moment_(num_elements),
      largest_moment_(amsgrad ? num_elements : 0),
      gradient_(kTileElements) {}

absl::Status AdamState::MoveMoments(uint64_t offset, absl::Span<const float> gradient) {
  const absl::Span<float> first = first_moment(offset, gradient.size());
  const absl::Span<float> second = absl::MakeSpan(second_moment_).subspan(offset, gradient.size());
  const float beta2 = factors_.options().beta2;
  const float one_minus_beta2 = 1.0f - beta2;
  for (size_t i = 0; i < gradient.size(); ++i) {
    second[i] = beta2 * second[i] + one_minus_beta2 * (gradient[i] * gradient[i]);
  }
  return backend_->Blend(beta1(), first, one_minus_beta1(), gradient, first);
}

void AdamState::DropWithoutVariance(uint64_t offset, absl::Span<float> values) const {
  const absl::Span<const float> second = second_moment(offset, values.size());
  for (size_t begin = 0; begin < values.size(); begin += kGroupElements) {
    const size_t end = std::min(begin + kGroupElements, values.size());
    if (end - begin == kGroupElements && AllPositive(second.data() + begin)) continue;
    for (size_t i = begin; i < end; ++i) values[i] = second[i] > 0.0f ? values[i] : 0.0f;
  }
}

AdamArgs AdamState::Arguments(uint64_t offset, absl::Span<const float> gradient,
                              absl::Span<float> parameters) {
  const auto range = [&](std::vector<float>& moment) {
    return moment.empty() ? absl::Span<float>()
                          : absl::MakeSpan(moment).subspan(offset, parameters.size());
  };
  AdamArgs arguments = factors_.Step();
  arguments.parameters = parameters;
  arguments.first_moment = range(first_moment_);
  arguments.second_moment = range(second_moment_);
  arguments.largest_moment = range(largest_moment_);
  arguments.gradient = gradient;
  return arguments;
}

MomentumArgs AdamState::FixedArguments(uint64_t offset, float second_correction,
                                       absl::Span<float> parameters) {
  MomentumArgs arguments = factors_.MomentumStep(second_correction);
  arguments.parameters = parameters;
  arguments.first_moment = first_moment(offset, parameters.size());
  arguments.second_moment = second_moment(offset, parameters.size());
  return arguments;
}

absl::Status AdamState::Step(uint64_t offset, absl::Span<const float> gradient,
                             absl::Span<float> parameters) {
  return backend_->AdamStep(Arguments(offset, gradient, parameters));
}

absl::Status AdamState::StepWithMomentum(uint64_t offset, absl::Span<const float> momentum,
                                         absl::Span<float> parameters) {
  AdamArgs arguments = Arguments(offset, momentum, parameters);
  const double beta1 = factors_.options().beta1;
  arguments.beta1 = 0.0f;
  arguments.one_minus_beta1 = 1.0f;
  arguments.one_minus_beta2 = static_cast<float>((1.0 - static_cast<double>(arguments.beta2)) *
                                                 (1.0 + beta1) / (1.0 - beta1));
  return backend_->AdamStep(arguments);
}

void AdamState::WriteRoot(uint64_t offset, absl::Span<float> out) const {
  const std::vector<float>& moment = largest_moment_.empty() ? second_moment_ : largest_moment_;
  const float correction = second_correction();
  for (size_t i = 0; i < out.size(); ++i) {
    out[i] = std::sqrt(moment[offset + i] * correction) + factors_.options().epsilon;
  }
}

absl::Status AdamState::StepWithPayload(uint64_t offset, DType dtype,
                                        absl::Span<const uint8_t> payload,
                                        absl::Span<float> parameters) {
  for (size_t begin = 0; begin < parameters.size(); begin += kTileElements) {
    const size_t size = std::min<size_t>(kTileElements, parameters.size() - begin);
    const absl::Span<float> gradient = absl::MakeSpan(gradient_).first(size);
    TALLY_RETURN_IF_ERROR(backend_->DecodeDense(
        dtype, payload.subspan(begin * ElementBytes(dtype), size * ElementBytes(dtype)), gradient));
    TALLY_RETURN_IF_ERROR(Step(offset + begin, gradient, parameters.subspan(begin, size)));
  }
  return absl::OkStatus();
}

absl::Status AdamState::StepWithFixedVariance(uint64_t offset, float second_correction,
                                              absl::Span<float> parameters) {
  return backend_->MomentumStep(FixedArguments(offset, second_correction, parameters));
}

absl::Status AdamState::StepWithFixedVariance(uint64_t offset, float second_correction,
                                              float learning_rate, absl::Span<float> parameters) {
  MomentumArgs arguments = FixedArguments(offset, second_correction, parameters);
  arguments.learning_rate = learning_rate;
  return backend_->MomentumStep(arguments);
}

absl::Status AdamState::Direction(uint64_t offset, float second_correction, absl::Span<float> out) {
  // A step of -1 from the origin.
  std::fill(out.begin(), out.end(), 0.0f);
  MomentumArgs arguments = FixedArguments(offset, second_correction, out);
  arguments.learning_rate = -1.0f;
  arguments.weight_decay = 0.0f;
  return backend_->MomentumStep(arguments);
}

void AdamState::Save(SavedStateWriter& writer) const {
  factors_.Save(writer);
  writer.AddValues<float>("first_moment", first_moment_);
  writer.AddValues<float>("second_moment", second_moment_);
  writer.AddValues<float>("largest_moment", largest_moment_);
}

absl::Status AdamState::Load(const SavedState& saved) {
  TALLY_RETURN_IF_ERROR(factors_.Load(saved));
  TALLY_RETURN_IF_ERROR(saved.Values("first_moment", absl::MakeSpan(first_moment_)));
  TALLY_RETURN_IF_ERROR(saved.Values("second_moment", absl::MakeSpan(second_moment_)));
  return saved.Values("largest_moment", absl::MakeSpan(largest_moment_));
}

}  // namespace tally
