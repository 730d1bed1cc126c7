#include "examples/training.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/time/clock.h"
#include "base/buffer.h"
#include "base/logging.h"
#include "base/status_macros.h"
#include "client/optimizers/take_inheritances.h"
#include "client/optimizers/training_state.h"
#include "client/state_scope.h"
#include "examples/counter_random.h"
#include "examples/parameters_digest.h"

namespace tally {
namespace {

// Windows per call of the model: bounds the memory of its activations.
constexpr size_t kValidationBatch = 32;

class TrainingLoop {
 public:
  TrainingLoop(const TrainerOptions& options, const TrainingParts& parts)
      : options_(options),
        parts_(parts),
        start_(parts.clock->Now()),
        statistics_(parts.optimizer->statistics()) {
    report_.optimizer = options.optimizer;
    report_.variant = options.variant;
    report_.worker = options.worker;
    report_.rank = options.rank;
    report_.workers = options.workers;
    report_.aggregators = options.aggregators.size();
    report_.parameters = parts.model->layout().num_elements();
    if (options.rank == 0) validation_windows_ = parts.text->ValidationWindows();
  }

  absl::StatusOr<TrainingReport> Run() {
    TALLY_ASSIGN_OR_RETURN(const uint64_t first_round, Begin());
    bool point_is_due = false;
    const uint64_t last_round = options_.leave_after == 0
                                    ? options_.rounds
                                    : std::min(options_.leave_after, options_.rounds);
    for (uint64_t round = first_round; round <= last_round || !HasCommonParameters(); ++round) {
      checkpoint_is_due_ |=
          options_.checkpoint_every != 0 && round % options_.checkpoint_every == 0;
      if (checkpoint_is_due_) parts_.client->SaveNextRound();
      TALLY_RETURN_IF_ERROR(parts_.client->takes_part() ? Step(round) : Follow(round));
      TALLY_RETURN_IF_ERROR(TakeInheritances(parts_.client, parts_.optimizer));
      TALLY_RETURN_IF_ERROR(CompareReplicas(round));
      TALLY_RETURN_IF_ERROR(WriteCheckpointIfDue(round));
      TALLY_RETURN_IF_ERROR(GiveStateIfWanted());
      report_.rounds = round;
      point_is_due |= round >= options_.rounds ||
                      (options_.validate_every != 0 && round % options_.validate_every == 0);
      if (!point_is_due || !HasCommonParameters()) continue;
      TALLY_RETURN_IF_ERROR(Validate(round));
      point_is_due = false;
    }
    report_.seconds = absl::ToDoubleSeconds(TrainingTime());
    TALLY_RETURN_IF_ERROR(Leave(/*others_go_on=*/last_round < options_.rounds));
    const ClientStatistics traffic = parts_.client->statistics();
    report_.bytes_up = BytesUp(traffic);
    report_.bytes_down = BytesDown(traffic);
    report_.other_bytes_down = traffic.other_bytes_received;
    if (report_.compressed_rounds == 0) {
      report_.compressed_rounds = report_.rounds;
      report_.compressed_bytes_up = traffic.contribution_bytes;
      report_.compressed_bytes_down = traffic.result_bytes;
    }
    report_.missed_contributions = traffic.missed_contributions;
    if (parts_.quality != nullptr) {
      TALLY_RETURN_IF_ERROR(parts_.quality->Finish());
      report_.measured_rounds = parts_.quality->num_rounds();
      report_.mean_cosine = parts_.quality->mean_cosine();
      report_.mean_relative_error = parts_.quality->mean_relative_error();
    }
    report_.parameters_digest = ParametersDigest(parts_.model->parameters());
    return report_;
  }

 private:
  // Number of the first round.
  absl::StatusOr<uint64_t> Begin() {
    const Buffer* const state = parts_.client->joined_state();
    if (state == nullptr && parts_.saved_training.empty()) {
      TALLY_RETURN_IF_ERROR(Validate(0));
      return uint64_t{1};
    }
    const absl::string_view bytes =
        state == nullptr
            ? parts_.saved_training
            : absl::string_view(reinterpret_cast<const char*>(state->data()), state->size());
    TALLY_RETURN_IF_ERROR(LoadTrainingState(bytes, parts_.client->layout(),
                                            parts_.model->parameters(), parts_.optimizer));
    if (!parts_.kept_residual.empty()) {
      TALLY_RETURN_IF_ERROR(parts_.optimizer->Inherit(0, parts_.kept_residual));
    }
    statistics_ = parts_.optimizer->statistics();
    if (state != nullptr) {
      report_.joined_after = statistics_.steps;
      LogInfo(
          absl::StrCat("worker `", options_.worker, "` came in after step ", statistics_.steps));
    }
    TALLY_RETURN_IF_ERROR(Validate(statistics_.steps));
    return statistics_.steps + 1;
  }

  // A round in which nobody waits for this worker.
  absl::Status Follow(uint64_t round) {
    TALLY_RETURN_IF_ERROR(parts_.optimizer->SetLearningRate(LearningRate(round)));
    TALLY_RETURN_IF_ERROR(parts_.optimizer->Follow(parts_.model->parameters()));
    statistics_ = parts_.optimizer->statistics();
    return absl::OkStatus();
  }

  // Stops if this worker's parameters were found to be others than those of most.
  absl::Status CompareReplicas(uint64_t round) const {
    if (HasCommonParameters() && parts_.client->replica_digest_wanted()) {
      parts_.client->TellReplicaDigest(ParametersDigest(parts_.model->parameters()));
    }
    for (const std::string& worker : parts_.client->drifted_workers()) {
      if (worker != options_.worker) continue;
      return absl::DataLossError(absl::StrCat(
          "round ", round, ": this worker's parameters are not those of most workers"));
    }
    return absl::OkStatus();
  }

  // The run can do without a checkpoint: what stands in its way is told, and the next one is tried.
  absl::Status WriteCheckpointIfDue(uint64_t round) {
    if (!checkpoint_is_due_ || !HasCommonParameters()) return absl::OkStatus();
    checkpoint_is_due_ = false;
    if (!parts_.client->takes_part()) return absl::OkStatus();
    absl::StatusOr<std::string> run = parts_.client->SaveRun();
    if (absl::IsFailedPrecondition(run.status()) || absl::IsDeadlineExceeded(run.status())) {
      LogWarning(absl::StrCat("no checkpoint after round ", round, ": ", run.status().message()));
      return absl::OkStatus();
    }
    TALLY_RETURN_IF_ERROR(run.status());
    return parts_.checkpoints->Write(
        round, {.run = *std::move(run),
                .training = SaveTrainingState(*parts_.optimizer, parts_.client->layout(),
                                              parts_.model->parameters(), StateScope::kWhole)});
  }

  absl::Status GiveStateIfWanted() {
    if (!HasCommonParameters() || !parts_.client->state_wanted()) return absl::OkStatus();
    const std::string state = SaveTrainingState(*parts_.optimizer, parts_.client->layout(),
                                                parts_.model->parameters(), StateScope::kShared);
    Buffer bytes(state.size());
    std::memcpy(bytes.data(), state.data(), state.size());
    return parts_.client->GiveState(std::move(bytes));
  }

  // Where everybody ends nobody could take a residual.
  absl::Status Leave(bool others_go_on) {
    if (!others_go_on) {
      const absl::Status status = parts_.client->Leave();
      if (!absl::IsAborted(status)) return status;
      LogWarning(absl::StrCat(status.message(), "; it had done all of its rounds"));
      return absl::OkStatus();
    }
    TALLY_RETURN_IF_ERROR(TakeInheritances(parts_.client, parts_.optimizer));
    const absl::Status status = parts_.client->Leave(parts_.optimizer->Residual());
    const ClientStatistics statistics = parts_.client->statistics();
    report_.handed_over_norm = statistics.handed_over_norm;
    report_.discarded_norm = statistics.discarded_norm;
    LogInfo(absl::StrCat("worker `", options_.worker, "` has left after round ", report_.rounds,
                         ": handed over a residual of norm ", report_.handed_over_norm,
                         ", lost one of norm ", report_.discarded_norm));
    return status;
  }

  static uint64_t BytesUp(const ClientStatistics& traffic) {
    return traffic.contribution_bytes + traffic.other_bytes_sent;
  }
  static uint64_t BytesDown(const ClientStatistics& traffic) {
    return traffic.result_bytes + traffic.other_bytes_received;
  }

  bool HasCommonParameters() const { return statistics_.common_parameters; }

  absl::Duration TrainingTime() const { return parts_.clock->Now() - start_ - validation_time_; }

  absl::Status Step(uint64_t round) {
    const double loss = parts_.model->ComputeGradients(
        parts_.text->DrawBatch(options_.seed, options_.rank, round, options_.batch));
    TALLY_RETURN_IF_ERROR(CheckFinite("training", round, loss));
    report_.training_loss.push_back({round, loss});
    DelayArrival(round);
    TALLY_RETURN_IF_ERROR(parts_.optimizer->SetLearningRate(LearningRate(round)));
    const bool compressing = statistics_.compressing;
    const ClientStatistics before = parts_.client->statistics();
    const absl::Time begin = parts_.clock->Now();
    TALLY_RETURN_IF_ERROR(
        parts_.optimizer->Step(parts_.model->parameters(), parts_.model->gradients()));
    report_.longest_round_seconds =
        std::max(report_.longest_round_seconds, absl::ToDoubleSeconds(parts_.clock->Now() - begin));
    statistics_ = parts_.optimizer->statistics();
    if (parts_.quality != nullptr) {
      TALLY_RETURN_IF_ERROR(parts_.quality->Take(round, parts_.optimizer->quality()));
    }
    const ClientStatistics after = parts_.client->statistics();
    if (compressing) {
      ++report_.compressed_rounds;
      report_.compressed_bytes_up += after.contribution_bytes - before.contribution_bytes;
      report_.compressed_bytes_down += after.result_bytes - before.result_bytes;
    }
    if (parts_.progress != nullptr) {
      parts_.progress->Show({options_.optimizer, round, std::max(round, options_.rounds), loss,
                             BytesUp(after), BytesDown(after), compressing, TrainingTime()});
    }
    return absl::OkStatus();
  }

  // From the full rate in the first round to its final share in the last one that was asked for.
  float LearningRate(uint64_t round) const {
    const double done = options_.rounds > 1
                            ? static_cast<double>(std::min(round, options_.rounds) - 1) /
                                  static_cast<double>(options_.rounds - 1)
                            : 0.0;
    const double share = 1.0 - done * (1.0 - options_.final_learning_rate_share);
    return static_cast<float>(options_.learning_rate * share);
  }

  // Keeps the contributions of this round back for a random time.
  void DelayArrival(uint64_t round) const {
    if (options_.arrival_jitter_ms == 0) return;
    const uint64_t bits =
        RandomBits(options_.seed, DrawPurpose::kArrivalDelay, options_.rank, round, 0);
    absl::SleepFor(absl::Microseconds(
        static_cast<int64_t>(RandomBelow(options_.arrival_jitter_ms * uint64_t{1000} + 1, bits))));
  }

  absl::Status Validate(uint64_t round) {
    if (options_.rank != 0) return absl::OkStatus();
    const absl::Time begin = parts_.clock->Now();
    const double loss = ValidationLoss();
    validation_time_ += parts_.clock->Now() - begin;
    report_.validation_loss.push_back({round, loss});
    return CheckFinite("validation", round, loss);
  }

  double ValidationLoss() const {
    const TextWindows& all = validation_windows_;
    double sum = 0;
    for (size_t first = 0; first < all.num_windows; first += kValidationBatch) {
      TextWindows batch;
      batch.length = all.length;
      batch.num_windows = std::min(kValidationBatch, all.num_windows - first);
      const auto begin = all.symbols.begin() + static_cast<std::ptrdiff_t>(first * all.length);
      batch.symbols.assign(begin,
                           begin + static_cast<std::ptrdiff_t>(batch.num_windows * batch.length));
      sum += parts_.model->Loss(batch) * static_cast<double>(batch.num_windows);
    }
    return sum / static_cast<double>(all.num_windows);
  }

  static absl::Status CheckFinite(absl::string_view which, uint64_t round, double loss) {
    if (std::isfinite(loss)) return absl::OkStatus();
    return absl::OutOfRangeError(
        absl::StrCat("round ", round, ": the ", which, " loss is ", loss,
                     ", must be finite; a smaller --learning_rate may help"));
  }

  const TrainerOptions& options_;
  const TrainingParts& parts_;
  const absl::Time start_;
  TextWindows validation_windows_;
  // Until the next time that parameters are common.
  bool checkpoint_is_due_ = false;
  absl::Duration validation_time_ = absl::ZeroDuration();
  OptimizerStatistics statistics_;  // after the last step; asking costs a pass over the residual
  TrainingReport report_;
};

}  // namespace

absl::StatusOr<TrainingReport> Train(const TrainerOptions& options, const TrainingParts& parts) {
  return TrainingLoop(options, parts).Run();
}

}  // namespace tally
