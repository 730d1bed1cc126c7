// Residuals as they come off a stream, in slices.
#ifndef TALLY_CODECS_RESIDUAL_ASSEMBLER_H_
#define TALLY_CODECS_RESIDUAL_ASSEMBLER_H_

#include <cstdint>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "base/buffer.h"
#include "codecs/layout.h"
#include "codecs/slices.h"
#include "proto/tally/v1/exchange.pb.h"

namespace tally {

// Puts the slices of a chunk's residual together: [num_elements of the chunk] fp32, little-endian.
// Not thread-safe.
class ResidualAssembler {
 public:
  // `layout` outlives this; `field` names the message in errors, and is a literal.
  ResidualAssembler(const Layout* layout, absl::string_view field)
      : layout_(layout), field_(field) {}

  bool in_progress() const { return assembler_.in_progress(); }

  // Takes the next slice; `digest` of the payload counts in the first one. Returns the residual
  // that it completes, or null. Returns INVALID_ARGUMENT, naming field, value and rule, if the
  // chunk does not exist or is not the first slice's, the payload has not 4 bytes for each of its
  // elements or another digest than declared, or the slices do not follow each other.
  absl::StatusOr<SharedBuffer> Take(uint32_t chunk, const v1::Slice& slice, uint64_t digest,
                                    absl::string_view piece);

 private:
  absl::Status Append(uint32_t chunk, const v1::Slice& slice, absl::string_view piece);

  const Layout* layout_;
  absl::string_view field_;
  SliceAssembler assembler_;
  uint32_t chunk_ = 0;
  uint64_t digest_ = 0;
};

}  // namespace tally

#endif  // TALLY_CODECS_RESIDUAL_ASSEMBLER_H_
