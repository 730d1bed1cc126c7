#include "client/optimizers/lamb_state.h"

#include <algorithm>
#include <cmath>

#include "base/status_macros.h"

namespace tally {

LambState::LambState(const AdamOptions& options, const LayerRateOptions& rates,
                     const Layout* layout, const Backend* backend)
    : options_(options),
      backend_(backend),
      map_(*layout),
      moments_(options, /*amsgrad=*/false, layout->num_elements(), backend),
      rates_(map_.layers().size(), LayerRate(rates)),
      moved_(layout->chunks().size()),
      update_(kPieceElements) {}

void LambState::BeginStep() {
  moments_.BeginStep();
  std::fill(moved_.begin(), moved_.end(), uint8_t{0});
}

bool LambState::HasMoved(size_t layer) const {
  const LayerMap::Layer& of = layers()[layer];
  return std::all_of(moved_.begin() + of.first_chunk, moved_.begin() + of.last_chunk + 1,
                     [](uint8_t moved) { return moved != 0; });
}

absl::StatusOr<LambState::Squares> LambState::SquaresOf(size_t layer, float second_correction,
                                                        absl::Span<const float> parameters) {
  Squares squares;
  const auto add = [&](uint64_t offset, uint64_t num_elements) -> absl::Status {
    const absl::Span<float> update = absl::MakeSpan(update_).first(num_elements);
    const absl::Span<const float> weights = parameters.subspan(offset, num_elements);
    TALLY_RETURN_IF_ERROR(moments_.Direction(offset, second_correction, update));
    squares.direction += backend_->SumOfSquares(update);
    TALLY_RETURN_IF_ERROR(backend_->Blend(1.0f, update, options_.weight_decay, weights, update));
    squares.update += backend_->SumOfSquares(update);
    squares.weights += backend_->SumOfSquares(weights);
    return absl::OkStatus();
  };
  TALLY_RETURN_IF_ERROR(LayerMap::ForEachPiece(layers()[layer], add));
  return squares;
}

absl::Status LambState::StepLayer(size_t layer, absl::Span<float> parameters) {
  const float correction = moments_.second_correction();
  TALLY_ASSIGN_OR_RETURN(const Squares squares, SquaresOf(layer, correction, parameters));
  const double coefficient =
      rates_[layer].Coefficient(std::sqrt(squares.weights), std::sqrt(squares.update));
  return StepLayer(layer, coefficient, correction, parameters);
}

absl::Status LambState::StepLayer(size_t layer, double coefficient, float second_correction,
                                  absl::Span<float> parameters) {
  const auto rate = static_cast<float>(options_.learning_rate * coefficient);
  for (const LayerMap::Run& run : layers()[layer].runs) {
    TALLY_RETURN_IF_ERROR(moments_.StepWithFixedVariance(
        run.offset, second_correction, rate, parameters.subspan(run.offset, run.num_elements)));
  }
  return absl::OkStatus();
}

void LambState::Save(SavedStateWriter& writer) const {
  moments_.Save(writer);
  std::vector<LayerRate::State> rates;
  for (const LayerRate& rate : rates_) rates.push_back(rate.state());
  writer.AddValues<LayerRate::State>("layer_rates", rates);
}

absl::Status LambState::Load(const SavedState& saved) {
  TALLY_RETURN_IF_ERROR(moments_.Load(saved));
  std::vector<LayerRate::State> rates(rates_.size());
  TALLY_RETURN_IF_ERROR(saved.Values("layer_rates", absl::MakeSpan(rates)));
  for (size_t l = 0; l < rates.size(); ++l) rates_[l].set_state(rates[l]);
  return absl::OkStatus();
}

}  // namespace tally
