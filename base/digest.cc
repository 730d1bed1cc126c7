#include "base/digest.h"

#include <xxhash.h>

#include <cstdint>
#include <memory>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "base/check.h"

namespace tally {

// The library allocates its state itself: the layout is no part of its stable interface.
struct Digest64Stream::State {
  State() : xxh3(XXH3_createState()) {
    TALLY_CHECK(xxh3 != nullptr && XXH3_64bits_reset(xxh3) == XXH_OK, "out of memory");
  }
  ~State() { XXH3_freeState(xxh3); }
  State(const State&) = delete;
  State& operator=(const State&) = delete;

  XXH3_state_t* const xxh3;
};

uint64_t Digest64(absl::string_view bytes) { return XXH3_64bits(bytes.data(), bytes.size()); }

uint64_t Digest64(absl::Span<const uint8_t> bytes) {
  return XXH3_64bits(bytes.data(), bytes.size());
}

Digest64Stream::Digest64Stream() : state_(std::make_unique<State>()) {}
Digest64Stream::~Digest64Stream() = default;
Digest64Stream::Digest64Stream(Digest64Stream&&) noexcept = default;
Digest64Stream& Digest64Stream::operator=(Digest64Stream&&) noexcept = default;

void Digest64Stream::Update(absl::string_view bytes) {
  Update(absl::MakeConstSpan(reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size()));
}

void Digest64Stream::Update(absl::Span<const uint8_t> bytes) {
  // An empty span may carry a null pointer, which the library calls an error.
  if (bytes.empty()) return;
  TALLY_CHECK(XXH3_64bits_update(state_->xxh3, bytes.data(), bytes.size()) == XXH_OK,
              "the digest refused a non-empty span");
}

uint64_t Digest64Stream::Finish() const { return XXH3_64bits_digest(state_->xxh3); }

}  // namespace tally
