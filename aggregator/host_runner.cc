#include "aggregator/host_runner.h"

#include <utility>

namespace tally {

void HostRunner::Submit(ExchangeTask task, Done done) {
  pool_.Schedule([this, task = std::move(task), done = std::move(done)] {
    done(task, RunExchange(task, *backend_));
  });
}

}  // namespace tally
