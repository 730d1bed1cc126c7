#include "examples/run_trainer.h"

#include <unistd.h>

#include <cstdio>
#include <string>
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
  TALLY_ASSIGN_OR_RETURN(const std::unique_ptr<Client> client,
                         Client::Connect(MakeClientOptions(options, *model)));
  OptimizerOptions optimizer_options;
  optimizer_options.adam.learning_rate = static_cast<float>(options.learning_rate);
  optimizer_options.adam.epsilon = static_cast<float>(options.epsilon);
  // A trainer whose gradients are no numbers should say so, not go on without them.
  optimizer_options.adam.non_finite = NonFinitePolicy::kStop;
  optimizer_options.warmup_rounds = options.warmup_rounds;
  TALLY_ASSIGN_OR_RETURN(const std::unique_ptr<Optimizer> optimizer,
                         CreateOptimizer(options.optimizer, client.get(), optimizer_options));
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
