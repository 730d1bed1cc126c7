#include "kernels/scalar/dense.h"

#include <bit>
#include <cstddef>
#include <cstring>

#include "kernels/scalar/half.h"

namespace tally::scalar {
namespace {

// Formats as types, so that each loop below is written once.
struct Float32 {
  using Word = uint32_t;
  static float Decode(Word word) { return std::bit_cast<float>(word); }
  static Word Encode(float value) { return std::bit_cast<Word>(value); }
};

struct Float16 {
  using Word = uint16_t;
  static float Decode(Word word) { return DecodeFloat16(word); }
  static Word Encode(float value) { return EncodeFloat16(value); }
};

struct BFloat16 {
  using Word = uint16_t;
  static float Decode(Word word) { return DecodeBFloat16(word); }
  static Word Encode(float value) { return EncodeBFloat16(value); }
};

template <typename Function>
void WithFormat(DType dtype, Function function) {
  switch (dtype) {
    case DType::kFloat32:
      return function(Float32());
    case DType::kFloat16:
      return function(Float16());
    case DType::kBFloat16:
      return function(BFloat16());
  }
}

template <typename Format>
float Load(absl::Span<const uint8_t> bytes, size_t i) {
  typename Format::Word word;
  std::memcpy(&word, bytes.data() + i * sizeof(word), sizeof(word));
  return Format::Decode(word);
}

template <typename Format>
void Store(float value, absl::Span<uint8_t> bytes, size_t i) {
  const typename Format::Word word = Format::Encode(value);
  std::memcpy(bytes.data() + i * sizeof(word), &word, sizeof(word));
}

}  // namespace

static_assert(std::endian::native == std::endian::little, "payloads are little-endian");

void DenseMean(DType dtype, absl::Span<const absl::Span<const uint8_t>> inputs, float divisor,
               absl::Span<uint8_t> output) {
  WithFormat(dtype, [&](auto format) {
    using Format = decltype(format);
    const size_t num_elements = output.size() / ElementBytes(dtype);
    for (size_t i = 0; i < num_elements; ++i) {
      float sum = Load<Format>(inputs[0], i);
      for (size_t n = 1; n < inputs.size(); ++n) sum += Load<Format>(inputs[n], i);
      Store<Format>(sum / divisor, output, i);
    }
  });
}

void EncodeDense(DType dtype, absl::Span<const float> x, absl::Span<uint8_t> bytes) {
  WithFormat(dtype, [&](auto format) {
    for (size_t i = 0; i < x.size(); ++i) Store<decltype(format)>(x[i], bytes, i);
  });
}

void DecodeDense(DType dtype, absl::Span<const uint8_t> bytes, absl::Span<float> x) {
  WithFormat(dtype, [&](auto format) {
    for (size_t i = 0; i < x.size(); ++i) x[i] = Load<decltype(format)>(bytes, i);
  });
}

}  // namespace tally::scalar
