// What happens to input that no exchange can carry.
#ifndef TALLY_CLIENT_OPTIMIZERS_INPUT_GUARD_H_
#define TALLY_CLIENT_OPTIMIZERS_INPUT_GUARD_H_

#include <cstdint>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "client/optimizers/optimizer.h"
#include "codecs/layout.h"
#include "codecs/limits.h"
#include "kernels/backend.h"
#include "kernels/dtype.h"

namespace tally {

// Applies a NonFinitePolicy and counts the chunks that abstained. Not thread-safe.
class InputGuard {
 public:
  // `layout` and `backend` must outlive the guard.
  InputGuard(NonFinitePolicy policy, const Layout* layout, const Backend* backend)
      : policy_(policy), layout_(*layout), backend_(*backend) {}

  // As long as it lives nothing is accepted, and that is nobody's fault: the worker only follows.
  class Following {
   public:
    explicit Following(InputGuard* guard) : guard_(*guard) { guard_.follows_ = true; }
    ~Following() { guard_.follows_ = false; }
    Following(const Following&) = delete;
    Following& operator=(const Following&) = delete;

   private:
    InputGuard& guard_;
  };

  // True if every value may be sent: finite and at most kMaxMagnitude.
  bool Accepts(absl::Span<const float> values) const {
    return !follows_ && backend_.AllWithin(values, kMaxMagnitude);
  }

  // Takes a chunk whose values, converted to `dtype`, were not accepted. `values`
  // [chunk.num_elements] are those before the conversion. Counts the abstention under kAbstain.
  // Returns OUT_OF_RANGE under kStop, naming the chunk, the first such element and its value.
  absl::Status Refuse(uint32_t chunk, absl::Span<const float> values, DType dtype);

  // Whether a Following lives.
  bool follows() const { return follows_; }
  uint64_t abstained_chunks() const { return abstained_chunks_; }

 private:
  const NonFinitePolicy policy_;
  const Layout& layout_;
  const Backend& backend_;
  bool follows_ = false;
  uint64_t abstained_chunks_ = 0;
};

}  // namespace tally

#endif  // TALLY_CLIENT_OPTIMIZERS_INPUT_GUARD_H_
