// Several participants' bits and scales for one run of elements, laid out for the inner loop over
// participants.
#ifndef TALLY_KERNELS_SIMD_SIGN_TERMS_H_
#define TALLY_KERNELS_SIMD_SIGN_TERMS_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/types/span.h"
#include "kernels/sign_block.h"

namespace tally::simd {

// One participant: its scale, and its bits from the first element of the run on.
struct SignTerm {
  const uint8_t* bits;
  float scale;
};

// Moves over the blocks of several participants together. Not thread-safe; one per call of a
// kernel.
class SignTerms {
 public:
  // `blocks` must outlive the object. No run is longer than `max_run_elements`.
  SignTerms(absl::Span<const SignBlock> blocks, size_t max_run_elements);

  // Moves to `num_elements` elements of `segment` from element `begin` of the chunk on.
  void MoveTo(size_t segment, size_t begin, size_t num_elements);
  // The same; the bits may be read up to max_run_elements, and what they are beyond num_elements is
  // unspecified.
  void MoveToPadded(size_t segment, size_t begin, size_t num_elements);

  // One term per participant, until the next move.
  absl::Span<const SignTerm> terms() const { return terms_; }

 private:
  uint8_t* Window(size_t participant) { return windows_.data() + participant * window_bytes_; }

  const absl::Span<const SignBlock> blocks_;
  const size_t window_bytes_;
  std::vector<uint8_t> windows_;
  std::vector<SignTerm> terms_;
};

}  // namespace tally::simd

#endif  // TALLY_KERNELS_SIMD_SIGN_TERMS_H_
