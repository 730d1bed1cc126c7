#include "tests/util/exchange_tasks.h"

#include <utility>

#include "base/buffer.h"
#include "base/mutex.h"
#include "tests/util/random_payload.h"

namespace tally {

ExchangeTask RandomTask(std::shared_ptr<const JobDescription> description, uint32_t chunk,
                        const Exchange& exchange, uint32_t num_participants, uint64_t seed) {
  ExchangeTask task{.chunk = chunk,
                    .place = {seed, 0},
                    .description = std::move(description),
                    .exchange = exchange};
  for (uint32_t i = 0; i < num_participants; ++i) {
    task.payloads.push_back(std::make_shared<const Buffer>(RandomPayload(
        exchange, task.description->layout, chunk, PayloadValues::kRounded, seed * 1000 + i)));
  }
  task.divisor = num_participants + 1;
  return task;
}

std::vector<absl::StatusOr<ExchangeOutcome>> RunAll(ExchangeRunner& runner,
                                                    const std::vector<ExchangeTask>& tasks) {
  Mutex mutex;
  CondVar all_done;
  size_t num_left = tasks.size();
  std::vector<absl::StatusOr<ExchangeOutcome>> outcomes(tasks.size());
  for (size_t i = 0; i < tasks.size(); ++i) {
    runner.Submit(tasks[i], [&, i](const ExchangeTask&, absl::StatusOr<ExchangeOutcome> outcome) {
      const MutexLock lock(&mutex);
      outcomes[i] = std::move(outcome);
      if (--num_left == 0) all_done.NotifyAll();
    });
  }
  const MutexLock lock(&mutex);
  while (num_left > 0) all_done.Wait(&mutex);
  return outcomes;
}

}  // namespace tally
