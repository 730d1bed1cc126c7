// Text as bytes.
#ifndef TALLY_BASE_BYTES_H_
#define TALLY_BASE_BYTES_H_

#include <cstdint>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace tally {

// The memory of `text`, which must outlive the span.
inline absl::Span<const uint8_t> BytesOf(absl::string_view text) {
  return {reinterpret_cast<const uint8_t*>(text.data()), text.size()};
}

}  // namespace tally

#endif  // TALLY_BASE_BYTES_H_
