// A transport that fails on purpose.
#ifndef TALLY_CLIENT_TRANSPORT_FAULTY_TRANSPORT_H_
#define TALLY_CLIENT_TRANSPORT_FAULTY_TRANSPORT_H_

#include <cstddef>
#include <memory>

#include "base/fault_plan.h"
#include "client/transport.h"

namespace tally {

// Puts the plan's faults between a client and `transport`: cuts streams, sends late, kills the
// process. Streams stay ordered, and what they carry complete, as those of HTTP/2 are: what a
// network loses shows as a cut. `num_aggregators` is the number of streams.
std::unique_ptr<Transport> MakeFaultyTransport(std::unique_ptr<Transport> transport,
                                               const FaultPlan& plan, size_t num_aggregators);

}  // namespace tally

#endif  // TALLY_CLIENT_TRANSPORT_FAULTY_TRANSPORT_H_
