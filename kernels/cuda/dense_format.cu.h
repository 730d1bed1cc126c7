// The number formats of dense payloads, on the device. The bits are those of kernels/scalar/half.h.
#ifndef TALLY_KERNELS_CUDA_DENSE_FORMAT_CU_H_
#define TALLY_KERNELS_CUDA_DENSE_FORMAT_CU_H_

#include <cuda_fp16.h>
#include <cuda_runtime.h>

#include <cstdint>

#include "kernels/dtype.h"

namespace tally::cuda {

struct Float32 {
  using Word = uint32_t;
  __device__ static float Decode(Word word) { return __uint_as_float(word); }
  __device__ static Word Encode(float value) { return __float_as_uint(value); }
};

struct Float16 {
  using Word = uint16_t;
  // The hardware's conversions are exact or round to nearest even, but change NaNs.
  __device__ static float Decode(Word word) {
    const uint32_t magnitude = word & 0x7fffu;
    if (magnitude > 0x7c00u) {
      return __uint_as_float((word & 0x8000u) << 16 | 0x7f800000u | (magnitude & 0x03ffu) << 13);
    }
    return __half2float(__ushort_as_half(word));
  }
  __device__ static Word Encode(float value) {
    const uint32_t bits = __float_as_uint(value);
    if ((bits & 0x7fffffffu) > 0x7f800000u) {
      return static_cast<Word>((bits >> 16 & 0x8000u) | 0x7e00u | (bits >> 13 & 0x03ffu));
    }
    return __half_as_ushort(__float2half_rn(value));
  }
};

struct BFloat16 {
  using Word = uint16_t;
  __device__ static float Decode(Word word) {
    return __uint_as_float(static_cast<uint32_t>(word) << 16);
  }
  __device__ static Word Encode(float value) {
    const uint32_t bits = __float_as_uint(value);
    if ((bits & 0x7fffffffu) > 0x7f800000u) return static_cast<Word>(bits >> 16 | 0x0040u);
    // A tie goes to the even neighbour; a carry moves on to the exponent.
    return static_cast<Word>((bits + 0x7fffu + (bits >> 16 & 1u)) >> 16);
  }
};

// Calls function with the format as a value.
template <typename Function>
auto WithFormat(DType dtype, Function function) {
  switch (dtype) {
    case DType::kFloat16:
      return function(Float16());
    case DType::kBFloat16:
      return function(BFloat16());
    case DType::kFloat32:
      break;
  }
  return function(Float32());
}

}  // namespace tally::cuda

#endif  // TALLY_KERNELS_CUDA_DENSE_FORMAT_CU_H_
