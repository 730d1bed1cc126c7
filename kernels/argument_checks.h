// Checks of kernel arguments whose sizes, values and memory must fit each other. All return
// INVALID_ARGUMENT with the argument's name, what it is and what it must be.
#ifndef TALLY_KERNELS_ARGUMENT_CHECKS_H_
#define TALLY_KERNELS_ARGUMENT_CHECKS_H_

#include <cstddef>
#include <cstdint>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "kernels/dtype.h"
#include "kernels/sign_block.h"

namespace tally {

// An argument's name in messages: `sum`, or `inputs[3]` where it is one of a list.
struct ArgumentName {
  static constexpr ptrdiff_t kNoIndex = -1;

  ArgumentName(const char* list_name, size_t list_index)
      : name(list_name), index(static_cast<ptrdiff_t>(list_index)) {}
  // Implicit, so that a plain name can stand where a name is asked for.
  ArgumentName(const char* plain_name) : name(plain_name), index(kNoIndex) {}

  absl::string_view name;
  ptrdiff_t index;
};

// The memory of one argument.
struct ArgumentMemory {
  template <typename T>
  static ArgumentMemory Read(ArgumentName name, absl::Span<T> span) {
    return {name, reinterpret_cast<uintptr_t>(span.data()), span.size() * sizeof(T), false};
  }
  template <typename T>
  static ArgumentMemory Written(ArgumentName name, absl::Span<T> span) {
    return {name, reinterpret_cast<uintptr_t>(span.data()), span.size() * sizeof(T), true};
  }

  ArgumentName name;
  uintptr_t begin;
  size_t num_bytes;
  bool is_written;
};

// Returns INVALID_ARGUMENT if memory that is written overlaps that of another argument. Empty
// memory overlaps nothing.
absl::Status CheckDisjoint(absl::Span<const ArgumentMemory> arguments);

// Returns INVALID_ARGUMENT if `size` differs from `expected`, the number of `unit`s for
// `num_elements` elements.
absl::Status CheckSize(ArgumentName name, size_t size, size_t expected, absl::string_view unit,
                       size_t num_elements);

// Returns INVALID_ARGUMENT if `ends` is not strictly increasing from above 0 up to `num_elements`.
absl::Status CheckSegmentEnds(SegmentEnds ends, size_t num_elements);

// Returns INVALID_ARGUMENT if `live` is neither empty nor a bitmap over `num_elements` elements.
absl::Status CheckLive(absl::Span<const uint8_t> live, size_t num_elements);

// Returns INVALID_ARGUMENT if the block has not `num_elements` bits and `num_segments` scales, or a
// scale is not finite or is negative.
absl::Status CheckSignBlock(ArgumentName name, const SignBlock& block, size_t num_elements,
                            size_t num_segments);

// Returns INVALID_ARGUMENT if `divisor` is not finite and positive.
absl::Status CheckDivisor(float divisor);

// Returns INVALID_ARGUMENT if `dtype` is none of the enumerators.
absl::Status CheckDType(DType dtype);

}  // namespace tally

#endif  // TALLY_KERNELS_ARGUMENT_CHECKS_H_
