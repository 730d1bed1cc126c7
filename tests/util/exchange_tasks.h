// Exchanges to compute, drawn at random.
#ifndef TALLY_TESTS_UTIL_EXCHANGE_TASKS_H_
#define TALLY_TESTS_UTIL_EXCHANGE_TASKS_H_

#include <cstdint>
#include <memory>
#include <vector>

#include "absl/status/statusor.h"
#include "aggregator/exchange_runner.h"
#include "aggregator/exchange_task.h"
#include "aggregator/job_description.h"
#include "codecs/exchange.h"

namespace tally {

// A task with so many contributions, divided by one more; without residual and snapshot. Sums of
// values are rounded.
ExchangeTask RandomTask(std::shared_ptr<const JobDescription> description, uint32_t chunk,
                        const Exchange& exchange, uint32_t num_participants, uint64_t seed);

// Has all of them computed at once and waits; the outcomes in the same order.
std::vector<absl::StatusOr<ExchangeOutcome>> RunAll(ExchangeRunner& runner,
                                                    const std::vector<ExchangeTask>& tasks);

}  // namespace tally

#endif  // TALLY_TESTS_UTIL_EXCHANGE_TASKS_H_
