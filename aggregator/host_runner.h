// Runs exchanges on the host's processor.
#ifndef TALLY_AGGREGATOR_HOST_RUNNER_H_
#define TALLY_AGGREGATOR_HOST_RUNNER_H_

#include "aggregator/exchange_runner.h"
#include "aggregator/exchange_task.h"
#include "base/thread_pool.h"
#include "kernels/backend.h"

namespace tally {

// RunExchange, in several threads. Thread-safe.
class HostRunner final : public ExchangeRunner {
 public:
  // `backend` must outlive the runner; `num_threads` must be positive.
  HostRunner(const Backend* backend, int num_threads) : backend_(backend), pool_(num_threads) {}

  void Submit(ExchangeTask task, Done done) override;

 private:
  const Backend* const backend_;
  ThreadPool pool_;
};

}  // namespace tally

#endif  // TALLY_AGGREGATOR_HOST_RUNNER_H_
