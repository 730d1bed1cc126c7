#include "tests/reference/reference_payload.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>

namespace tally::reference {
namespace {

// A format of 16 bits: its significant bits, the exponents of its smallest step and of its largest
// value, and how many bits hold the fraction.
struct Narrow {
  int precision;
  int smallest_step;
  int largest_exponent;
};

Narrow NarrowOf(Format format) {
  if (format == Format::kFloat16) return {11, -24, 15};
  return {8, -133, 127};
}

// Lays out sign, biased exponent and fraction of a value that the format has.
uint16_t NarrowBits(const Narrow& narrow, float value) {
  const int fraction_bits = narrow.precision - 1;
  const uint16_t sign = std::signbit(value) ? 0x8000 : 0;
  const double magnitude = std::fabs(static_cast<double>(value));
  const int all_ones = 2 * narrow.largest_exponent + 1;
  if (std::isinf(value)) return static_cast<uint16_t>(sign | (all_ones << fraction_bits));
  const double smallest_normal = std::ldexp(1.0, 1 - narrow.largest_exponent);
  if (magnitude < smallest_normal) {
    return static_cast<uint16_t>(
        sign | static_cast<int>(magnitude / std::ldexp(1.0, narrow.smallest_step)));
  }
  int exponent;
  const double half_to_one = std::frexp(magnitude, &exponent);
  const int fraction = static_cast<int>(std::ldexp(2.0 * half_to_one - 1.0, fraction_bits));
  const int biased = exponent - 1 + narrow.largest_exponent;
  return static_cast<uint16_t>(sign | (biased << fraction_bits) | fraction);
}

void Append(std::string& bytes, uint32_t word, int num_bytes) {
  for (int i = 0; i < num_bytes; ++i) bytes += static_cast<char>((word >> (8 * i)) & 0xff);
}

void AppendFloat(std::string& bytes, float value) {
  uint32_t word;
  std::memcpy(&word, &value, sizeof(word));
  Append(bytes, word, 4);
}

}  // namespace

float Rounded(Format format, float value) {
  if (format == Format::kFloat32 || value == 0.0f || !std::isfinite(value)) return value;
  const Narrow narrow = NarrowOf(format);
  int exponent;
  std::frexp(value, &exponent);
  const int step_exponent = std::max(exponent - narrow.precision, narrow.smallest_step);
  const double step = std::ldexp(1.0, step_exponent);
  const double steps = std::fabs(static_cast<double>(value)) / step;
  double rounded = std::floor(steps);
  const double left_out = steps - rounded;
  if (left_out > 0.5 || (left_out == 0.5 && std::fmod(rounded, 2.0) == 1.0)) rounded += 1.0;
  double result = rounded * step;
  if (result >= std::ldexp(1.0, narrow.largest_exponent + 1)) {
    result = std::numeric_limits<double>::infinity();
  }
  return static_cast<float>(std::copysign(result, value));
}

bool MayBeSent(Format format, float value) {
  return std::fabs(Rounded(format, value)) <= std::ldexp(1.0f, 64);
}

std::string DensePayload(Format format, const std::vector<float>& values) {
  std::string bytes;
  for (const float value : values) {
    if (format == Format::kFloat32) {
      AppendFloat(bytes, value);
    } else {
      Append(bytes, NarrowBits(NarrowOf(format), Rounded(format, value)), 2);
    }
  }
  return bytes;
}

std::string Bitmap(const std::vector<bool>& bits) {
  std::string bytes;
  for (size_t i = 0; i < bits.size(); ++i) {
    if (i % 8 == 0) bytes += '\0';
    if (bits[i]) bytes.back() = static_cast<char>(bytes.back() | (1 << (i % 8)));
  }
  return bytes;
}

std::string SignPayload(const std::vector<float>& scales, const std::vector<bool>& bits) {
  return DensePayload(Format::kFloat32, scales) + Bitmap(bits);
}

std::string SparsePayload(const std::vector<size_t>& indices, const std::vector<float>& values,
                          size_t num_elements) {
  std::string bytes;
  Append(bytes, static_cast<uint32_t>(indices.size()), 4);
  for (const float value : values) AppendFloat(bytes, value);
  int b = 0;
  while (!indices.empty() && indices.size() * (size_t{2} << b) <= 11 * num_elements / 16) ++b;
  std::vector<bool> bits;
  size_t next = 0;
  for (const size_t index : indices) {
    const size_t gap = index - next;
    for (size_t i = 0; i < gap >> b; ++i) bits.push_back(false);
    bits.push_back(true);
    for (int i = 0; i < b; ++i) bits.push_back((gap >> i) % 2 == 1);
    next = index + 1;
  }
  return bytes + Bitmap(bits);
}

std::vector<size_t> Largest(const std::vector<float>& values, const std::vector<bool>& allowed,
                            size_t count) {
  std::vector<size_t> positions;
  for (size_t i = 0; i < values.size(); ++i) {
    if (allowed[i]) positions.push_back(i);
  }
  const auto comes_first = [&](size_t a, size_t b) {
    const float of_a = std::fabs(values[a]);
    const float of_b = std::fabs(values[b]);
    return of_a != of_b ? of_a > of_b : a < b;
  };
  count = std::min(count, positions.size());
  const auto end = positions.begin() + static_cast<std::ptrdiff_t>(count);
  std::partial_sort(positions.begin(), end, positions.end(), comes_first);
  positions.resize(count);
  std::sort(positions.begin(), positions.end());
  return positions;
}

}  // namespace tally::reference
