// Number formats of dense payloads.
#ifndef TALLY_KERNELS_DTYPE_H_
#define TALLY_KERNELS_DTYPE_H_

#include <cstddef>
#include <cstdint>

#include "absl/strings/string_view.h"

namespace tally {

// All formats are little-endian on the wire and in memory.
enum class DType : uint8_t {
  kFloat32,
  kFloat16,   // IEEE 754 binary16
  kBFloat16,  // the upper half of a binary32
};

constexpr size_t ElementBytes(DType dtype) { return dtype == DType::kFloat32 ? 4 : 2; }

constexpr absl::string_view DTypeName(DType dtype) {
  switch (dtype) {
    case DType::kFloat32:
      return "FLOAT32";
    case DType::kFloat16:
      return "FLOAT16";
    case DType::kBFloat16:
      return "BFLOAT16";
  }
  return "invalid";
}

}  // namespace tally

#endif  // TALLY_KERNELS_DTYPE_H_
