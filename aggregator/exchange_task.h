// The arithmetic of one sealed exchange, apart from all protocol.
#ifndef TALLY_AGGREGATOR_EXCHANGE_TASK_H_
#define TALLY_AGGREGATOR_EXCHANGE_TASK_H_

#include <cstdint>
#include <memory>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "aggregator/job_description.h"
#include "base/buffer.h"
#include "codecs/exchange.h"
#include "codecs/place.h"
#include "kernels/backend.h"

namespace tally {

// What there is to compute. Self-contained: while a task is out, nobody else touches its residual.
struct ExchangeTask {
  // Names the job's life in the engine; chunk and place name the exchange.
  uint64_t job_serial = 0;
  uint32_t chunk = 0;
  Place place;
  std::shared_ptr<const JobDescription> description;
  Exchange exchange;
  // Valid payloads of the participants, in roster order; at least one.
  std::vector<SharedBuffer> payloads;
  // Of DIVISOR_PARTICIPANTS or DIVISOR_ROSTER.
  uint32_t divisor = 1;
  // [num_elements of the chunk] the aggregator's residual, changed in place; empty for kinds
  // without one.
  std::shared_ptr<std::vector<float>> residual;
  // The residual of which the outcome is to hold a copy, as it is after the exchange; empty: none
  // is wanted.
  std::shared_ptr<const std::vector<float>> snapshot_of;
};

struct ExchangeOutcome {
  uint64_t job_serial = 0;
  uint32_t chunk = 0;
  Place place;
  SharedBuffer payload;
  uint64_t payload_digest = 0;
  // [num_elements] fp32, little-endian; null if the task wants none.
  SharedBuffer snapshot;
  uint64_t snapshot_digest = 0;
  // Norm (2) of that residual.
  double residual_norm = 0;
};

// Computes a task: a pure function of its contents. Any thread.
// Returns INTERNAL if a kernel refuses its arguments, which would be our bug.
absl::StatusOr<ExchangeOutcome> RunExchange(const ExchangeTask& task, const Backend& backend);

}  // namespace tally

#endif  // TALLY_AGGREGATOR_EXCHANGE_TASK_H_
