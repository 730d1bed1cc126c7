#include "client/optimizers/dense_adam.h"

#include <string>
#include <utility>

#include "base/float_environment.h"
#include "base/status_macros.h"
#include "client/optimizers/adam_state.h"
#include "client/optimizers/dense_carry.h"
#include "client/optimizers/input_guard.h"
#include "client/optimizers/round_driver.h"
#include "client/optimizers/step_arguments.h"
#include "client/saved_state.h"
#include "client/state_scope.h"
#include "codecs/exchange.h"
#include "kernels/backend.h"

namespace tally {
namespace {

class DenseAdam final : public Optimizer {
 public:
  DenseAdam(Exchanger* exchanger, const DenseAdamOptions& options, const Exchange& exchange)
      : options_(options),
        backend_(BackendOf(options.adam)),
        layout_(exchanger->layout()),
        exchange_(exchange),
        driver_(exchanger),
        guard_(options.adam.non_finite, &layout_, &backend_),
        state_(options.adam, options.amsgrad, layout_.num_elements(), &backend_),
        carry_(&layout_, options.dtype, &guard_, &backend_) {}

  absl::string_view name() const override {
    return options_.amsgrad ? "dense_amsgrad" : "dense_adam";
  }

  absl::Status Step(absl::Span<float> parameters, absl::Span<const float> gradients) override {
    TALLY_RETURN_IF_ERROR(CheckStepArguments(layout_, parameters, gradients));
    const ScopedFloatEnvironment float_environment;
    state_.BeginStep();
    const auto encode = [&](uint32_t chunk) -> absl::StatusOr<ChunkContribution> {
      TALLY_ASSIGN_OR_RETURN(absl::optional<Buffer> payload,
                             carry_.Encode(chunk, ChunkOf(gradients, layout_, chunk)));
      return ChunkContribution{exchange_, std::move(payload)};
    };
    const auto apply = [&](const ChunkResult& result, Fate fate) -> absl::Status {
      TALLY_RETURN_IF_ERROR(
          carry_.Settle(result.chunk, fate, ChunkOf(gradients, layout_, result.chunk)));
      if (!result.exchange.has_value()) return absl::OkStatus();
      return state_.StepWithPayload(layout_.chunks()[result.chunk].offset, options_.dtype,
                                    result.payload->bytes(),
                                    ChunkOf(parameters, layout_, result.chunk));
    };
    TALLY_RETURN_IF_ERROR(driver_.Run(encode, apply));
    ++steps_;
    return absl::OkStatus();
  }

  absl::Status SetLearningRate(float learning_rate) override {
    TALLY_RETURN_IF_ERROR(CheckLearningRate(learning_rate));
    options_.adam.learning_rate = learning_rate;
    state_.set_learning_rate(learning_rate);
    return absl::OkStatus();
  }

  OptimizerStatistics statistics() const override {
    return {.steps = steps_, .abstained_chunks = guard_.abstained_chunks()};
  }

  absl::Status Follow(absl::Span<float> parameters) override {
    const InputGuard::Following following(&guard_);
    // Nothing that is not accepted is read.
    return Step(parameters, parameters);
  }

  std::string Save(StateScope scope) const override {
    if (driver_.failed()) return "";
    SavedStateWriter writer(name(), layout_, steps_, scope);
    state_.Save(writer);
    carry_.Save(writer);
    return std::move(writer).Finish();
  }

  absl::Status LoadState(absl::string_view bytes) override {
    TALLY_ASSIGN_OR_RETURN(const SavedState saved, SavedState::Parse(bytes));
    TALLY_RETURN_IF_ERROR(saved.CheckBelongsTo(name(), layout_));
    AdamState state(options_.adam, options_.amsgrad, layout_.num_elements(), &backend_);
    TALLY_RETURN_IF_ERROR(state.Load(saved));
    TALLY_RETURN_IF_ERROR(carry_.Load(saved));
    state_ = std::move(state);
    steps_ = saved.steps();
    return absl::OkStatus();
  }

 private:
  DenseAdamOptions options_;
  const Backend& backend_;
  const Layout& layout_;
  const Exchange exchange_;
  RoundDriver driver_;
  InputGuard guard_;
  AdamState state_;
  DenseCarry carry_;
  uint64_t steps_ = 0;
};

}  // namespace

absl::StatusOr<std::unique_ptr<Optimizer>> CreateDenseAdam(Exchanger* exchanger,
                                                           const DenseAdamOptions& options) {
  TALLY_RETURN_IF_ERROR(ValidateAdamOptions(options.adam));
  const Exchange exchange = {DenseExchange{options.dtype}, Divisor::kParticipants};
  TALLY_RETURN_IF_ERROR(CheckExchange(exchange, exchanger->layout()));
  return std::make_unique<DenseAdam>(exchanger, options, exchange);
}

}  // namespace tally
