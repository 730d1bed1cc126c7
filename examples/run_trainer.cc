#include "examples/run_trainer.h"

#include <unistd.h>

#include <cstdio>
#include <string>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/status_macros.h"
#include "client/client.h"
#include "client/optimizers/create_optimizer.h"
#include "examples/progress_line.h"
#include "examples/text_data.h"
#include "examples/training.h"
#include "examples/training_report.h"

namespace tally {

absl::Status RunTrainer(const TrainerOptions& options, size_t window_length,
                        ModelFactory create_model) {
  TALLY_ASSIGN_OR_RETURN(const std::vector<std::string> texts, ReadTexts(options.text));
  TALLY_ASSIGN_OR_RETURN(const TextData text,
                         TextData::Create(texts, options.workers, window_length));
  TALLY_ASSIGN_OR_RETURN(const std::unique_ptr<Model> model, create_model(text.vocabulary_size()));
  TALLY_ASSIGN_OR_RETURN(ClientOptions client_options, MakeClientOptions(options, *model));
  TALLY_ASSIGN_OR_RETURN(const std::unique_ptr<Client> client,
                         Client::Connect(std::move(client_options)));
  TALLY_ASSIGN_OR_RETURN(const std::unique_ptr<Optimizer> optimizer,
                         CreateOptimizer(options.optimizer, client.get(),
                                         MakeOptimizerOptions(options, client->layout())));
  const RealClock clock;
  ProgressLine progress(stdout, isatty(STDOUT_FILENO) != 0, &clock);
  TALLY_ASSIGN_OR_RETURN(const TrainingReport report,
                         Train(options, {.text = &text,
                                         .model = model.get(),
                                         .client = client.get(),
                                         .optimizer = optimizer.get(),
                                         .clock = &clock,
                                         .progress = options.rank == 0 ? &progress : nullptr}));
  if (options.report.empty()) return absl::OkStatus();
  return WriteTextFile(options.report, FormatReport(report));
}

}  // namespace tally
