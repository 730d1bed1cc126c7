// The digest of payloads, headers and chains.
#ifndef TALLY_BASE_DIGEST_H_
#define TALLY_BASE_DIGEST_H_

#include <cstdint>
#include <memory>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace tally {

// Returns the XXH3-64 digest (seed 0) of `bytes`, the same number on every machine. It finds damage
// and tells payloads apart; it is no defence against somebody who builds collisions on purpose.
uint64_t Digest64(absl::string_view bytes);
uint64_t Digest64(absl::Span<const uint8_t> bytes);

// The digest of bytes that arrive in pieces: equals Digest64 of all pieces joined, wherever the
// cuts were. Not safe for concurrent use; a moved-from stream may only be destroyed or assigned to.
class Digest64Stream {
 public:
  Digest64Stream();
  ~Digest64Stream();
  Digest64Stream(Digest64Stream&&) noexcept;
  Digest64Stream& operator=(Digest64Stream&&) noexcept;

  // Reads `bytes` during the call only.
  void Update(absl::string_view bytes);
  void Update(absl::Span<const uint8_t> bytes);

  // Returns the digest of all bytes so far; further updates go on from here.
  uint64_t Finish() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace tally

#endif  // TALLY_BASE_DIGEST_H_
