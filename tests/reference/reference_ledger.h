// Sums that conserve what is put into them (protocol class A: additive), with their accounts.
#ifndef TALLY_TESTS_REFERENCE_REFERENCE_LEDGER_H_
#define TALLY_TESTS_REFERENCE_REFERENCE_LEDGER_H_

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <vector>

namespace tally {

// One worker's, by element.
struct ReferenceLedger {
  explicit ReferenceLedger(size_t num_elements)
      : sums(num_elements), put_in(num_elements), taken_out(num_elements) {}

  void PutIn(size_t element, float input) {
    sums[element] = sums[element] + input;
    put_in[element] += static_cast<double>(input);
    largest_sum = std::max(largest_sum, std::fabs(static_cast<double>(sums[element])));
  }
  void TakeOut(size_t element, float share) {
    sums[element] = sums[element] - share;
    taken_out[element] += static_cast<double>(share);
  }
  std::vector<float> sums;
  // In fp64: inputs, and contributions that were counted.
  std::vector<double> put_in;
  std::vector<double> taken_out;
  double largest_sum = 0.0;
};

}  // namespace tally

#endif  // TALLY_TESTS_REFERENCE_REFERENCE_LEDGER_H_
