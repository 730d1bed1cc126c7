#include <cstddef>
#include <cstdint>
#include <vector>

#include "kernels/scalar/dense.h"
#include "kernels/simd/dense.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/simd/dense_hwy.cc"
#include "hwy/foreach_target.h"
// After foreach_target.h.
#include "hwy/highway.h"
#include "kernels/simd/dense_format_hwy-inl.h"
#include "kernels/simd/tile_hwy-inl.h"

HWY_BEFORE_NAMESPACE();
namespace tally::simd::HWY_NAMESPACE {

#if TALLY_SIMD_HAS_VECTORS

// Each returns the number of elements done, a multiple of kTileElements (kLanes for the
// conversions).

template <typename Format>
size_t MeanOfTiles(absl::Span<const absl::Span<const uint8_t>> inputs, float divisor,
                   absl::Span<uint8_t> output) {
  const FloatVector divisors = hn::Set(FloatTag(), divisor);
  const size_t num_elements = output.size() / Format::kBytes;
  size_t i = 0;
  for (; i + kTileElements <= num_elements; i += kTileElements) {
    const uint8_t* const first = inputs[0].data() + i * Format::kBytes;
    Tile tile;
    ForEachVector([&](auto j) HWY_ATTR {
      tile.vectors[j] = Format::Load(first + j * kLanes * Format::kBytes);
    });
    for (const absl::Span<const uint8_t>& input : inputs.subspan(1)) {
      const uint8_t* const next = input.data() + i * Format::kBytes;
      ForEachVector([&](auto j) HWY_ATTR {
        const FloatVector x = Format::Load(next + j * kLanes * Format::kBytes);
        tile.vectors[j] = hn::Add(tile.vectors[j], x);
      });
    }
    uint8_t* const mean = output.data() + i * Format::kBytes;
    ForEachVector([&](auto j) HWY_ATTR {
      Format::Store(hn::Div(tile.vectors[j], divisors), mean + j * kLanes * Format::kBytes);
    });
  }
  return i;
}

template <typename Format>
size_t EncodeVectors(absl::Span<const float> x, absl::Span<uint8_t> bytes) {
  size_t i = 0;
  for (; i + kLanes <= x.size(); i += kLanes) {
    Format::Store(hn::LoadU(FloatTag(), x.data() + i), bytes.data() + i * Format::kBytes);
  }
  return i;
}

template <typename Format>
size_t DecodeVectors(absl::Span<const uint8_t> bytes, absl::Span<float> x) {
  size_t i = 0;
  for (; i + kLanes <= x.size(); i += kLanes) {
    hn::StoreU(Format::Load(bytes.data() + i * Format::kBytes), FloatTag(), x.data() + i);
  }
  return i;
}

// Returns function(format) for the format of `dtype`.
template <typename Function>
size_t WithFormat(DType dtype, const Function& function) {
  switch (dtype) {
    case DType::kFloat32:
      return function(Float32Format());
    case DType::kFloat16:
      return function(Float16Format());
    case DType::kBFloat16:
      return function(BFloat16Format());
  }
  return 0;
}

// The elements that fill no vector are left to the scalar back end.

void DenseMeanOf(DType dtype, absl::Span<const absl::Span<const uint8_t>> inputs, float divisor,
                 absl::Span<uint8_t> output) {
  const size_t done = WithFormat(
      dtype, [&](auto format) { return MeanOfTiles<decltype(format)>(inputs, divisor, output); });
  const size_t done_bytes = done * ElementBytes(dtype);
  if (done_bytes == output.size()) return;
  std::vector<absl::Span<const uint8_t>> rests;
  for (const absl::Span<const uint8_t>& input : inputs) rests.push_back(input.subspan(done_bytes));
  scalar::DenseMean(dtype, rests, divisor, output.subspan(done_bytes));
}

void EncodeDenseOf(DType dtype, absl::Span<const float> x, absl::Span<uint8_t> bytes) {
  const size_t done =
      WithFormat(dtype, [&](auto format) { return EncodeVectors<decltype(format)>(x, bytes); });
  scalar::EncodeDense(dtype, x.subspan(done), bytes.subspan(done * ElementBytes(dtype)));
}

void DecodeDenseOf(DType dtype, absl::Span<const uint8_t> bytes, absl::Span<float> x) {
  const size_t done =
      WithFormat(dtype, [&](auto format) { return DecodeVectors<decltype(format)>(bytes, x); });
  scalar::DecodeDense(dtype, bytes.subspan(done * ElementBytes(dtype)), x.subspan(done));
}

#else

void DenseMeanOf(DType dtype, absl::Span<const absl::Span<const uint8_t>> inputs, float divisor,
                 absl::Span<uint8_t> output) {
  scalar::DenseMean(dtype, inputs, divisor, output);
}

void EncodeDenseOf(DType dtype, absl::Span<const float> x, absl::Span<uint8_t> bytes) {
  scalar::EncodeDense(dtype, x, bytes);
}

void DecodeDenseOf(DType dtype, absl::Span<const uint8_t> bytes, absl::Span<float> x) {
  scalar::DecodeDense(dtype, bytes, x);
}

#endif

}  // namespace tally::simd::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace tally::simd {

HWY_EXPORT(DenseMeanOf);
HWY_EXPORT(EncodeDenseOf);
HWY_EXPORT(DecodeDenseOf);

void DenseMean(DType dtype, absl::Span<const absl::Span<const uint8_t>> inputs, float divisor,
               absl::Span<uint8_t> output) {
  HWY_DYNAMIC_DISPATCH(DenseMeanOf)(dtype, inputs, divisor, output);
}

void EncodeDense(DType dtype, absl::Span<const float> x, absl::Span<uint8_t> bytes) {
  HWY_DYNAMIC_DISPATCH(EncodeDenseOf)(dtype, x, bytes);
}

void DecodeDense(DType dtype, absl::Span<const uint8_t> bytes, absl::Span<float> x) {
  HWY_DYNAMIC_DISPATCH(DecodeDenseOf)(dtype, bytes, x);
}

}  // namespace tally::simd
#endif  // HWY_ONCE
