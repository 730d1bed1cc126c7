// The arithmetic of one sealed exchange, apart from all protocol.
#ifndef TALLY_AGGREGATOR_EXCHANGE_TASK_H_
#define TALLY_AGGREGATOR_EXCHANGE_TASK_H_

#include <cstdint>
#include <memory>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "aggregator/job_description.h"
#include "aggregator/residual.h"
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
  std::shared_ptr<Residual> residual;
  // The residual of which the outcome is to hold a copy, as it is after the exchange; empty: none
  // is wanted.
  std::shared_ptr<Residual> snapshot_of;
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

// Computes a task: a pure function of its contents. Any thread. Brings residuals to the host.
// Returns INTERNAL if a kernel refuses its arguments, which would be our bug, or a residual is
// lost.
absl::StatusOr<ExchangeOutcome> RunExchange(const ExchangeTask& task, const Backend& backend);

// What follows from a task's result, by whatever means it was computed: the outcome, still without
// a snapshot.
ExchangeOutcome OutcomeOf(const ExchangeTask& task, Buffer payload);
// Completes it by a copy of the residual, and its sum of squares.
void AddSnapshot(Buffer snapshot, double sum_of_squares, ExchangeOutcome& outcome);
// The same from the residual itself, on the host.
absl::Status TakeSnapshot(Residual& residual, const Backend& backend, ExchangeOutcome& outcome);

}  // namespace tally

#endif  // TALLY_AGGREGATOR_EXCHANGE_TASK_H_
