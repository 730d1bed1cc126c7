// Layouts and exchanges for tests that hold for all of them.
#ifndef TALLY_CODECS_SAMPLE_EXCHANGES_H_
#define TALLY_CODECS_SAMPLE_EXCHANGES_H_

#include <cstddef>
#include <vector>

#include "codecs/exchange.h"
#include "codecs/layout.h"

namespace tally {

// Chunks 0 and 1 (512 and 88 elements, element 3 of chunk 0 masked) are compressed, chunk 2 (10
// elements, the first one masked) is dense.
Layout ContiguousLayout();

// Chunks 0 and 1 are groups of 700 elements in all, of which one is masked in each; chunk 2 (10
// elements) is dense.
Layout DealtLayout();

// Exchanges of every kind that fits the chunk, with every value of every enumeration, every
// granularity, and counts from the smallest to the largest allowed.
std::vector<Exchange> SampleExchanges(const Layout& layout, size_t chunk);

}  // namespace tally

#endif  // TALLY_CODECS_SAMPLE_EXCHANGES_H_
