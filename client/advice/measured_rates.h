// Measured rates that the adviser reckons with. docs/benchmarks.md (What the adviser reckons with)
// has the machine, the commands and the figures.
#ifndef TALLY_CLIENT_ADVICE_MEASURED_RATES_H_
#define TALLY_CLIENT_ADVICE_MEASURED_RATES_H_

#include <cstdint>

#include "codecs/exchange.h"

namespace tally {

// What one core moves through gRPC each way, both ways at once, as part of the service: 0.68 GB/s.
inline constexpr double kGrpcBytesPerSecond = 0.68e9;

// What is left of a link's rate when Ethernet, IP and TCP have taken the headers of frames of 1,500
// bytes: 1,448 of 1,538.
inline constexpr double kPayloadShareOfLink = 1448.0 / 1538.0;

// Chunks that may be under way between a worker and an aggregator: the aggregator's default.
inline constexpr uint32_t kWindowChunks = 16;

// What the result of an exchange of so many elements costs one core of an aggregator.
double AggregatorSeconds(const Exchange& exchange, uint32_t num_elements, uint32_t num_workers);

}  // namespace tally

#endif  // TALLY_CLIENT_ADVICE_MEASURED_RATES_H_
