// Where the arithmetic of exchanges runs, apart from all protocol.
#ifndef TALLY_AGGREGATOR_EXCHANGE_RUNNER_H_
#define TALLY_AGGREGATOR_EXCHANGE_RUNNER_H_

#include <functional>
#include <memory>

#include "absl/status/statusor.h"
#include "aggregator/exchange_task.h"
#include "base/buffer.h"

namespace tally {

// Thread-safe.
class ExchangeRunner {
 public:
  // Called once per task, from a thread of the runner: with the outcome, or with INTERNAL where a
  // kernel refuses its arguments.
  using Done = std::function<void(const ExchangeTask& task, absl::StatusOr<ExchangeOutcome>)>;

  // Runs what was submitted to its end first.
  virtual ~ExchangeRunner() = default;
  ExchangeRunner(const ExchangeRunner&) = delete;
  ExchangeRunner& operator=(const ExchangeRunner&) = delete;

  // Queues the task and returns at once. Tasks run side by side, in no order: two that share a
  // residual must not be out together.
  virtual void Submit(ExchangeTask task, Done done) = 0;

  // Where contributions are best put together; null: anywhere.
  virtual std::shared_ptr<BufferMemory> payload_memory() const { return nullptr; }

 protected:
  ExchangeRunner() = default;
};

}  // namespace tally

#endif  // TALLY_AGGREGATOR_EXCHANGE_RUNNER_H_
