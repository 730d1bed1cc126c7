// What kernels are given for an exchange, beside payloads: the same wherever they run.
#ifndef TALLY_AGGREGATOR_EXCHANGE_ARGUMENTS_H_
#define TALLY_AGGREGATOR_EXCHANGE_ARGUMENTS_H_

#include <cstdint>

#include "aggregator/job_description.h"
#include "base/philox.h"
#include "codecs/exchange.h"
#include "codecs/layout.h"
#include "kernels/sketch_hash.h"

namespace tally {

// The draws that decide a vote of the chunk in that round.
DrawStream ResultDraws(const JobDescription& description, uint32_t chunk, uint64_t round);

SketchShape ShapeOf(const SketchExchange& sketch, uint32_t chunk);

// How many elements a sketch exchange chooses: never a masked one.
uint32_t NumCandidates(const SketchExchange& sketch, const Layout& layout, uint32_t chunk);

}  // namespace tally

#endif  // TALLY_AGGREGATOR_EXCHANGE_ARGUMENTS_H_
