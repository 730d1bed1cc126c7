// The number formats of dense payloads, a vector at a time, with the bits of kernels/scalar/half.h.
// Once per target. The conversions are our own: the library's truncate bfloat16, and on SSE
// binary16.
#include <cstddef>
#include <cstdint>

#include "kernels/simd/tile_hwy-inl.h"

#if defined(TALLY_KERNELS_SIMD_DENSE_FORMAT_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef TALLY_KERNELS_SIMD_DENSE_FORMAT_INL_H_
#undef TALLY_KERNELS_SIMD_DENSE_FORMAT_INL_H_
#else
#define TALLY_KERNELS_SIMD_DENSE_FORMAT_INL_H_
#endif

#include "hwy/highway.h"

#if TALLY_SIMD_HAS_VECTORS
HWY_BEFORE_NAMESPACE();
namespace tally::simd::HWY_NAMESPACE {

// Signed, because every target compares signed integers and magnitudes fit.
using IntTag = hn::RebindToSigned<FloatTag>;
using IntVector = hn::Vec<IntTag>;

struct Float32Format {
  static constexpr size_t kBytes = 4;

  static HWY_INLINE FloatVector Load(const uint8_t* bytes) {
    return hn::BitCast(FloatTag(), hn::LoadU(hn::Repartition<uint8_t, FloatTag>(), bytes));
  }
  static HWY_INLINE void Store(FloatVector x, uint8_t* bytes) {
    const hn::Repartition<uint8_t, FloatTag> byte_tag;
    hn::StoreU(hn::BitCast(byte_tag, x), byte_tag, bytes);
  }
};

// What the 16-bit formats share. Format::Decode takes words in 0 to 65,535 and Format::Encode
// returns such.
template <typename Format>
struct HalfFormat {
  static constexpr size_t kBytes = 2;

  using WordTag = hn::Rebind<uint16_t, FloatTag>;
  using ByteTag = hn::Repartition<uint8_t, WordTag>;

  static HWY_INLINE FloatVector Load(const uint8_t* bytes) {
    const auto words = hn::BitCast(WordTag(), hn::LoadU(ByteTag(), bytes));
    return hn::BitCast(FloatTag(), Format::Decode(hn::PromoteTo(IntTag(), words)));
  }
  static HWY_INLINE void Store(FloatVector x, uint8_t* bytes) {
    const auto words = hn::DemoteTo(WordTag(), Format::Encode(hn::BitCast(IntTag(), x)));
    hn::StoreU(hn::BitCast(ByteTag(), words), ByteTag(), bytes);
  }
};

HWY_INLINE IntVector SetInt(int32_t value) { return hn::Set(IntTag(), value); }

// value / 2^kShift to nearest even, for values that leave room for a carry.
template <int kShift>
HWY_INLINE IntVector ShiftRounded(IntVector value) {
  const IntVector odd = hn::And(hn::ShiftRight<kShift>(value), SetInt(1));
  const IntVector below_half = SetInt((1 << (kShift - 1)) - 1);
  return hn::ShiftRight<kShift>(hn::Add(value, hn::Add(below_half, odd)));
}

inline constexpr int32_t kMagnitudeBits = 0x7fffffff;
inline constexpr int32_t kInfinity32 = 0x7f800000;
inline constexpr int32_t kInfinity16 = 0x7c00;

struct BFloat16Format : HalfFormat<BFloat16Format> {
  static HWY_INLINE IntVector Decode(IntVector words) { return hn::ShiftLeft<16>(words); }

  static HWY_INLINE IntVector Encode(IntVector bits) {
    const IntVector magnitude = hn::And(bits, SetInt(kMagnitudeBits));
    const IntVector sign = hn::And(hn::ShiftRight<16>(bits), SetInt(0x8000));
    const IntVector quiet = hn::Or(hn::ShiftRight<16>(magnitude), SetInt(0x0040));
    const auto is_nan = hn::Gt(magnitude, SetInt(kInfinity32));
    return hn::Or(sign, hn::IfThenElse(is_nan, quiet, ShiftRounded<16>(magnitude)));
  }
};

struct Float16Format : HalfFormat<Float16Format> {
  static HWY_INLINE IntVector Decode(IntVector words) {
    const IntVector magnitude = hn::And(words, SetInt(0x7fff));
    const IntVector sign = hn::ShiftLeft<16>(hn::And(words, SetInt(0x8000)));
    const IntVector shifted = hn::ShiftLeft<kMantissaShift>(magnitude);
    const IntVector normal = hn::Add(shifted, SetInt(kBiasShift));
    const FloatVector unit = hn::Set(FloatTag(), 0x1p-24f);
    const IntVector subnormal =
        hn::BitCast(IntTag(), hn::Mul(hn::ConvertTo(FloatTag(), magnitude), unit));
    const IntVector special = hn::Or(shifted, SetInt(kInfinity32));
    const auto is_subnormal = hn::Lt(magnitude, SetInt(0x0400));
    const auto is_special = hn::Gt(magnitude, SetInt(kInfinity16 - 1));
    const IntVector finite = hn::IfThenElse(is_subnormal, subnormal, normal);
    return hn::Or(sign, hn::IfThenElse(is_special, special, finite));
  }

  static HWY_INLINE IntVector Encode(IntVector bits) {
    const IntVector magnitude = hn::And(bits, SetInt(kMagnitudeBits));
    const IntVector sign = hn::And(hn::ShiftRight<16>(bits), SetInt(0x8000));
    const IntVector rounded = ShiftRounded<kMantissaShift>(hn::Sub(magnitude, SetInt(kBiasShift)));
    const IntVector normal = hn::Min(rounded, SetInt(kInfinity16));
    // Beside 0.5 a binary32 has units of 2^-24, those of a subnormal result: the sum's rounding is
    // the one wanted.
    const FloatVector half = hn::Set(FloatTag(), 0.5f);
    const FloatVector sum = hn::Add(hn::BitCast(FloatTag(), magnitude), half);
    const IntVector subnormal = hn::Sub(hn::BitCast(IntTag(), sum), hn::BitCast(IntTag(), half));
    const IntVector payload = hn::And(hn::ShiftRight<kMantissaShift>(magnitude), SetInt(0x03ff));
    const IntVector quiet = hn::Or(payload, SetInt(kInfinity16 | 0x0200));
    const auto is_subnormal = hn::Lt(magnitude, SetInt(kSmallestNormal));
    const auto is_nan = hn::Gt(magnitude, SetInt(kInfinity32));
    const IntVector number = hn::IfThenElse(is_subnormal, subnormal, normal);
    return hn::Or(sign, hn::IfThenElse(is_nan, quiet, number));
  }

 private:
  static constexpr int kMantissaShift = 13;
  // Difference of the exponents' biases, in place.
  static constexpr int32_t kBiasShift = 112 << 23;
  static constexpr int32_t kSmallestNormal = 113 << 23;  // 2^-14 as binary32
};

}  // namespace tally::simd::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();
#endif  // TALLY_SIMD_HAS_VECTORS

#endif  // TALLY_KERNELS_SIMD_DENSE_FORMAT_INL_H_
