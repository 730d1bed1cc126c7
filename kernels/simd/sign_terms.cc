#include "kernels/simd/sign_terms.h"

#include "kernels/simd/bit_window.h"

namespace tally::simd {

SignTerms::SignTerms(absl::Span<const SignBlock> blocks, size_t max_run_elements)
    : blocks_(blocks),
      window_bytes_(BitmapBytes(max_run_elements)),
      windows_(blocks.size() * window_bytes_),
      terms_(blocks.size()) {}

void SignTerms::MoveTo(size_t segment, size_t begin, size_t num_elements) {
  for (size_t n = 0; n < blocks_.size(); ++n) {
    terms_[n] = {BitsFrom(blocks_[n].bits, begin, num_elements, Window(n)),
                 blocks_[n].scales[segment]};
  }
}

void SignTerms::MoveToPadded(size_t segment, size_t begin, size_t num_elements) {
  for (size_t n = 0; n < blocks_.size(); ++n) {
    CopyBits(blocks_[n].bits, begin, num_elements, Window(n));
    terms_[n] = {Window(n), blocks_[n].scales[segment]};
  }
}

}  // namespace tally::simd
