// Exchanges of which the result is known, because all workers contribute the same.
#ifndef TALLY_TESTS_HOSTILE_EXCHANGE_SAMPLES_H_
#define TALLY_TESTS_HOSTILE_EXCHANGE_SAMPLES_H_

#include <cstdint>
#include <string>
#include <vector>

#include "codecs/exchange.h"
#include "codecs/layout.h"

namespace tally {

struct ExchangeSample {
  Exchange exchange;
  std::string contribution;  // of each of three workers
  std::string result;        // what comes of it
};

// One chunk of 1,001 elements, of which element 3 is masked.
Layout SampleLayout();
// One group of 1,024 elements.
Layout SampleDealtLayout();

std::string SparsePayload(const std::vector<uint32_t>& indices, const std::vector<float>& values,
                          uint32_t num_elements);

// Of SampleLayout: counted votes of which the last one is a 1; 3 elements of at most 3; signs with
// scales over blocks of 256.
ExchangeSample VoteSample();
ExchangeSample SparseSample();
ExchangeSample RelaySample();

// Of SampleDealtLayout: 3 rows of 256 columns choose 2 candidates; others for another seed.
ExchangeSample SketchSample(uint64_t seed = 7);
// The values of the candidates of a first half.
ExchangeSample ValuesSample(const ExchangeSample& first_half);

}  // namespace tally

#endif  // TALLY_TESTS_HOSTILE_EXCHANGE_SAMPLES_H_
