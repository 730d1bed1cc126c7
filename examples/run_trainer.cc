#include "examples/run_trainer.h"

#include <unistd.h>

#include <cstdio>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "base/clock.h"
#include "base/logging.h"
#include "base/status_macros.h"
#include "client/client.h"
#include "client/optimizers/create_optimizer.h"
#include "client/optimizers/quality_metrics.h"
#include "client/optimizers/residual_to_keep.h"
#include "examples/checkpoint.h"
#include "examples/progress_line.h"
#include "examples/quality_log.h"
#include "examples/text_data.h"
#include "examples/trainer_warnings.h"
#include "examples/training.h"
#include "examples/training_report.h"

namespace tally {
namespace {

// Trains to the end. If this worker is held for dead while it lives, it comes again, with what it
// had not got across. `parts` have neither client nor optimizer yet.
absl::StatusOr<TrainingReport> TrainThroughEvictions(const TrainerOptions& options,
                                                     ClientOptions client_options,
                                                     TrainingParts parts) {
  std::vector<float> kept_residual;
  while (true) {
    TALLY_ASSIGN_OR_RETURN(const std::unique_ptr<Client> client, Client::Connect(client_options));
    TALLY_ASSIGN_OR_RETURN(const std::unique_ptr<Optimizer> optimizer,
                           CreateOptimizer(options.optimizer, client.get(),
                                           MakeOptimizerOptions(options, client->layout())));
    parts.client = client.get();
    parts.optimizer = optimizer.get();
    parts.kept_residual = kept_residual;
    absl::StatusOr<TrainingReport> report = Train(options, parts);
    if (!absl::IsAborted(report.status())) return report;
    LogWarning(absl::StrCat(report.status().message(), "; a residual of norm ",
                            optimizer->statistics().residual_norm, " comes with it; of ",
                            client->statistics().unsettled_contributions,
                            " contributions nobody could tell, and ",
                            client->statistics().undone_contributions, " were undone"));
    TALLY_ASSIGN_OR_RETURN(kept_residual, ResidualToKeep(client.get(), optimizer.get()));
    client_options.entry = RunEntry::kJoin;
    client_options.saved_run.clear();
    parts.saved_training = {};
  }
}

}  // namespace

absl::Status RunTrainer(const TrainerOptions& options, size_t window_length,
                        ModelFactory create_model) {
  TALLY_ASSIGN_OR_RETURN(const std::vector<std::string> texts, ReadTexts(options.text));
  TALLY_ASSIGN_OR_RETURN(const TextData text,
                         TextData::Create(texts, options.workers, window_length));
  TALLY_ASSIGN_OR_RETURN(const std::unique_ptr<Model> model, create_model(text.vocabulary_size()));
  if (options.rank == 0) {
    for (const std::string& warning : TrainerWarnings(options, model->layout())) {
      LogWarning(absl::StrCat(options.optimizer, ": ", warning));
    }
  }
  TALLY_ASSIGN_OR_RETURN(ClientOptions client_options, MakeClientOptions(options, *model));
  CheckpointFiles checkpoints(options.checkpoints, options.worker);
  std::string saved_training;
  if (options.resume_after > 0) {
    TALLY_ASSIGN_OR_RETURN(Checkpoint checkpoint, checkpoints.Read(options.resume_after));
    client_options.saved_run = std::move(checkpoint.run);
    saved_training = std::move(checkpoint.training);
  }
  const RealClock clock;
  QualityLog quality({.labels = {options.job, options.worker, options.optimizer},
                      .metrics_file = options.metrics_file,
                      .metrics_every = options.metrics_every});
  ProgressLine progress(stdout, isatty(STDOUT_FILENO) != 0, &clock);
  TALLY_ASSIGN_OR_RETURN(const TrainingReport report,
                         TrainThroughEvictions(options, client_options,
                                               {.text = &text,
                                                .model = model.get(),
                                                .clock = &clock,
                                                .progress = options.rank == 0 ? &progress : nullptr,
                                                .quality = &quality,
                                                .checkpoints = &checkpoints,
                                                .saved_training = saved_training}));
  if (options.rank == 0 && quality.last().has_value()) {
    absl::PrintF("%s, step %d: %s\n", options.optimizer, quality.last()->step,
                 QualityLine(*quality.last()));
  }
  if (options.report.empty()) return absl::OkStatus();
  return WriteTextFile(options.report, FormatReport(report));
}

}  // namespace tally
