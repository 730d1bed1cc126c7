// CUDA's conversions of fp16, as far as kernels/cuda/ uses them, by the scalar back end's.
#ifndef TALLY_KERNELS_CUDA_EMULATION_CUDA_FP16_H_
#define TALLY_KERNELS_CUDA_EMULATION_CUDA_FP16_H_

#include <cstdint>

#include "kernels/scalar/half.h"

struct __half {
  uint16_t bits;
};

inline __half __ushort_as_half(uint16_t bits) { return {bits}; }
inline uint16_t __half_as_ushort(__half half) { return half.bits; }
inline float __half2float(__half half) { return tally::scalar::DecodeFloat16(half.bits); }
inline __half __float2half_rn(float value) { return {tally::scalar::EncodeFloat16(value)}; }

#endif  // TALLY_KERNELS_CUDA_EMULATION_CUDA_FP16_H_
