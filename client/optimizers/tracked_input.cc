#include "client/optimizers/tracked_input.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"

namespace tally {
namespace {

constexpr double kSmallestUnitShare = 1.0 / 16;
constexpr float kSmallestUnit = 0x1p-60f;
constexpr float kLargestUnit = 0x1p60f;

}  // namespace

TrackedInput::TrackedInput(Tracking tracking, float beta1, uint64_t num_compressed,
                           const Backend* backend)
    : tracking_(tracking),
      beta1_(beta1),
      num_compressed_(num_compressed),
      backend_(backend),
      momentum_(tracking == Tracking::kMomentum ? num_compressed : 0) {}

absl::Status TrackedInput::Advance(uint64_t offset, absl::Span<const float> gradient) {
  if (momentum_.empty()) return absl::OkStatus();
  const absl::Span<float> momentum = absl::MakeSpan(momentum_).subspan(offset, gradient.size());
  return backend_->Blend(beta1_, momentum, 1.0f - beta1_, gradient, momentum);
}

void TrackedInput::Write(uint64_t offset, absl::Span<const float> gradient,
                         absl::Span<float> out) const {
  const absl::Span<const float> input =
      momentum_.empty() ? gradient
                        : absl::MakeConstSpan(momentum_).subspan(offset, gradient.size());
  if (units_.empty()) {
    std::copy(input.begin(), input.end(), out.begin());
    return;
  }
  const float* const units = units_.data() + offset;
  for (size_t i = 0; i < input.size(); ++i) out[i] = input[i] / units[i];
}

void TrackedInput::WithoutUnits(uint64_t offset, absl::Span<const float> tracked,
                                absl::Span<float> out) const {
  if (units_.empty()) {
    std::copy(tracked.begin(), tracked.end(), out.begin());
    return;
  }
  const float* const units = units_.data() + offset;
  for (size_t i = 0; i < tracked.size(); ++i) out[i] = tracked[i] * units[i];
}

void TrackedInput::SetUnits(absl::Span<const float> root, absl::Span<const float> momentum,
                            size_t block_elements) {
  units_.resize(root.size());
  for (size_t begin = 0; begin < root.size(); begin += block_elements) {
    const absl::Span<const float> block = root.subspan(begin, block_elements);
    double sum = 0.0;
    for (const float value : block) sum += value;
    const double mean = sum / static_cast<double>(block.size());
    // Where nothing ever moved any unit will do.
    const float smallest = mean > 0.0 ? static_cast<float>(mean * kSmallestUnitShare) : 1.0f;
    for (size_t i = 0; i < block.size(); ++i) {
      units_[begin + i] = std::clamp(std::max(block[i], smallest), kSmallestUnit, kLargestUnit);
    }
  }
  if (!momentum_.empty()) momentum_.assign(momentum.begin(), momentum.end());
}

void TrackedInput::Save(SavedStateWriter& writer) const {
  if (!momentum_.empty()) writer.AddValues<float>("tracked_momentum", momentum_);
  if (!units_.empty()) writer.AddValues<float>("tracking_units", units_);
}

absl::Status TrackedInput::Load(const SavedState& saved, bool has_units) {
  const std::pair<absl::string_view, bool> sections[] = {{"tracked_momentum", !momentum_.empty()},
                                                         {"tracking_units", has_units}};
  for (const auto& [section, expected] : sections) {
    if (saved.Has(section) == expected) continue;
    return absl::InvalidArgumentError(absl::StrCat("saved state: section `", section, "` is ",
                                                   expected ? "missing" : "one too many",
                                                   ": it was saved under other options"));
  }
  std::vector<float> momentum(momentum_.size());
  std::vector<float> units;
  if (!momentum.empty()) {
    TALLY_RETURN_IF_ERROR(saved.Values("tracked_momentum", absl::MakeSpan(momentum)));
  }
  if (has_units) {
    units.resize(num_compressed_);
    TALLY_RETURN_IF_ERROR(saved.Values("tracking_units", absl::MakeSpan(units)));
  }
  momentum_ = std::move(momentum);
  units_ = std::move(units);
  return absl::OkStatus();
}

}  // namespace tally
