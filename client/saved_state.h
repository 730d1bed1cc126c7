// Saved states of optimizers, and of runs, as bytes.
//
//   bytes              content (integers little-endian)
//   8                  "TALLYOPT"
//   4                  format version, 1
//   4 + n              method: length n, name
//   8                  digest of the layout
//   8                  steps taken
//   4                  number of sections
//   4 + n + 8 + size   each section: length n, name, size, content
//   8                  XXH3-64 of all bytes before (base/digest.h)
#ifndef TALLY_CLIENT_SAVED_STATE_H_
#define TALLY_CLIENT_SAVED_STATE_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "client/state_scope.h"
#include "codecs/layout.h"

namespace tally {

// An empty section that marks states for other workers.
inline constexpr absl::string_view kSharedSection = "shared_state";

// Builds a state, section by section.
class SavedStateWriter {
 public:
  SavedStateWriter(absl::string_view method, const Layout& layout, uint64_t steps,
                   StateScope scope = StateScope::kWhole);

  // Sections of the worker's own, its residual, are not wanted.
  bool is_shared() const { return scope_ == StateScope::kShared; }

  // `name` is new.
  void AddBytes(absl::string_view name, absl::string_view content);
  // Values as they lie in memory (little-endian).
  template <typename T>
  void AddValues(absl::string_view name, absl::Span<const T> values) {
    static_assert(std::is_trivially_copyable_v<T>);
    AddBytes(name, {reinterpret_cast<const char*>(values.data()), values.size() * sizeof(T)});
  }

  // The state; the writer is spent.
  std::string Finish() &&;

 private:
  const StateScope scope_;
  std::string head_;
  uint32_t num_sections_ = 0;
  std::string sections_;
};

// Reads a state that may be anything. Refers to the bytes that it was parsed from.
class SavedState {
 public:
  // Returns DATA_LOSS if the bytes are cut, do not begin as a state does, or do not have the digest
  // they close with; INVALID_ARGUMENT if they are of another format version.
  static absl::StatusOr<SavedState> Parse(absl::string_view bytes);

  // Returns INVALID_ARGUMENT, naming both, if the state belongs to another method or layout.
  absl::Status CheckBelongsTo(absl::string_view method, const Layout& layout) const;

  uint64_t steps() const { return steps_; }
  // It has no sections of a worker's own: these start as in a new worker.
  bool is_shared() const { return Has(kSharedSection); }

  bool Has(absl::string_view name) const;
  // Returns INVALID_ARGUMENT if there is no such section (the state was saved under other options).
  absl::StatusOr<absl::string_view> Bytes(absl::string_view name) const;
  // Copies a section that is exactly as long as `values`.
  // Returns INVALID_ARGUMENT if there is none, or none of that size.
  template <typename T>
  absl::Status Values(absl::string_view name, absl::Span<T> values) const {
    static_assert(std::is_trivially_copyable_v<T>);
    return Copy(name, values.data(), values.size() * sizeof(T));
  }

 private:
  SavedState() = default;
  absl::Status Copy(absl::string_view name, void* to, size_t size_bytes) const;

  absl::string_view method_;
  uint64_t layout_digest_ = 0;
  uint64_t steps_ = 0;
  std::vector<std::pair<absl::string_view, absl::string_view>> sections_;
};

}  // namespace tally

#endif  // TALLY_CLIENT_SAVED_STATE_H_
