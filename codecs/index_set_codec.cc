#include "codecs/index_set_codec.h"

#include <algorithm>
#include <bit>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

namespace tally {
namespace {

// Writes bits from the least significant one of each byte on.
class BitWriter {
 public:
  explicit BitWriter(std::vector<uint8_t>& bytes) : bytes_(bytes) {}

  // The lower `num_bits` (at most 32) of `bits`.
  void Write(uint32_t bits, uint32_t num_bits) {
    pending_ |= uint64_t{bits} << num_pending_;
    num_pending_ += num_bits;
    for (; num_pending_ >= 8; num_pending_ -= 8, pending_ >>= 8) {
      bytes_.push_back(static_cast<uint8_t>(pending_));
    }
  }
  void WriteZeros(uint64_t num_bits) {
    for (; num_bits > 32; num_bits -= 32) Write(0, 32);
    Write(0, static_cast<uint32_t>(num_bits));
  }
  // Pads the last byte.
  void Finish() {
    if (num_pending_ > 0) bytes_.push_back(static_cast<uint8_t>(pending_));
  }

 private:
  std::vector<uint8_t>& bytes_;
  uint64_t pending_ = 0;
  uint32_t num_pending_ = 0;
};

// Reads them. Past the end everything is zero.
class BitReader {
 public:
  explicit BitReader(absl::Span<const uint8_t> bytes) : bytes_(bytes) {}

  uint64_t position() const { return position_; }
  bool past_end() const { return position_ > uint64_t{8} * bytes_.size(); }

  // The next `num_bits`, at most 32.
  uint32_t Read(uint32_t num_bits) {
    const uint64_t window = Window();
    position_ += num_bits;
    return static_cast<uint32_t>(window & ((uint64_t{1} << num_bits) - 1));
  }

  // Skips zeros and the one behind them; the number of zeros. Stops past the end.
  uint64_t ReadUnary() {
    uint64_t zeros = 0;
    while (!past_end()) {
      const uint64_t window = Window() & 0xffffffff;
      if (window != 0) {
        const auto more = static_cast<uint64_t>(std::countr_zero(window));
        position_ += more + 1;
        return zeros + more;
      }
      zeros += 32;
      position_ += 32;
    }
    return zeros;
  }

 private:
  // At least 32 bits from the present position on.
  uint64_t Window() const {
    uint64_t window = 0;
    const uint64_t first = position_ / 8;
    const uint64_t last = std::min<uint64_t>(first + 5, bytes_.size());
    for (uint64_t i = first; i < last; ++i) window |= uint64_t{bytes_[i]} << (8 * (i - first));
    return window >> (position_ % 8);
  }

  const absl::Span<const uint8_t> bytes_;
  uint64_t position_ = 0;
};

}  // namespace

uint32_t IndexSetParameter(uint32_t num_elements, uint32_t count) {
  if (count == 0) return 0;
  const uint64_t mean_gap = uint64_t{num_elements} * 11 / 16 / count;
  return mean_gap == 0 ? 0 : static_cast<uint32_t>(std::bit_width(mean_gap)) - 1;
}

size_t MaxIndexSetBytes(uint32_t num_elements, uint32_t max_count) {
  // A set of n indices takes n * (b + 1) bits and at most num_elements >> b zeros, which are fewer
  // than 3 * n, because n << (b + 1) is more than 11 / 16 of num_elements. Fewer indices do not
  // take more: where b is larger by j, n is at most max_count / 2^(j - 1), and the zeros are fewer
  // than 3 * max_count / 2^j.
  return (uint64_t{max_count} * (IndexSetParameter(num_elements, max_count) + 4) + 7) / 8;
}

void AppendIndexSet(absl::Span<const uint32_t> indices, uint32_t num_elements,
                    std::vector<uint8_t>& bytes) {
  const uint32_t parameter = IndexSetParameter(num_elements, static_cast<uint32_t>(indices.size()));
  BitWriter writer(bytes);
  uint32_t next = 0;
  for (const uint32_t index : indices) {
    const uint32_t gap = index - next;
    writer.WriteZeros(gap >> parameter);
    writer.Write(1, 1);
    writer.Write(gap & ((uint32_t{1} << parameter) - 1), parameter);
    next = index + 1;
  }
  writer.Finish();
}

absl::StatusOr<std::vector<uint32_t>> DecodeIndexSet(absl::Span<const uint8_t> bytes,
                                                     uint32_t num_elements, uint32_t count) {
  const uint32_t parameter = IndexSetParameter(num_elements, count);
  std::vector<uint32_t> indices;
  // Every index takes a bit, so a count that the bytes cannot hold costs no memory.
  indices.reserve(std::min<size_t>(count, bytes.size() * 8));
  BitReader reader(bytes);
  uint64_t next = 0;
  for (uint32_t k = 0; k < count; ++k) {
    const uint64_t quotient = reader.ReadUnary();
    const uint32_t rest = reader.Read(parameter);
    if (reader.past_end()) {
      return absl::InvalidArgumentError(absl::StrCat("`payload.indices` has ", bytes.size(),
                                                     " bytes and ends within indices[", k,
                                                     "], must hold ", count, " indices"));
    }
    const uint64_t index = next + (quotient << parameter) + rest;
    if (index >= num_elements) {
      return absl::InvalidArgumentError(absl::StrCat("`payload.indices[", k, "]` = ", index,
                                                     ", must be less than ", num_elements));
    }
    indices.push_back(static_cast<uint32_t>(index));
    next = index + 1;
  }
  const uint64_t needed_bytes = (reader.position() + 7) / 8;
  if (bytes.size() != needed_bytes) {
    return absl::InvalidArgumentError(absl::StrCat("`payload.indices` has ", bytes.size(),
                                                   " bytes, must have ", needed_bytes,
                                                   " for these ", count, " indices"));
  }
  if (reader.position() % 8 != 0 && bytes.back() >> (reader.position() % 8) != 0) {
    return absl::InvalidArgumentError(
        "`payload.indices` ends with ones behind its last index, must be padded with zeros");
  }
  return indices;
}

}  // namespace tally
