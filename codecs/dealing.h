// How the elements of a sketched vector are dealt out to groups.
#ifndef TALLY_CODECS_DEALING_H_
#define TALLY_CODECS_DEALING_H_

#include <cstddef>
#include <cstdint>

#include "absl/types/span.h"

namespace tally {

// The hash family that this build deals with.
inline constexpr uint32_t kDealingHashVersion = 1;
// Elements that stay together.
inline constexpr uint32_t kDealtBlockElements = 64;

// What a layout says about it.
struct DealingOptions {
  uint32_t num_groups = 1;
  uint64_t seed = 0;
  friend bool operator==(const DealingOptions&, const DealingOptions&) = default;
};

// Deals `num_elements` elements, in blocks of 64, out to groups of almost equal size, so that
// neighbours part and layers of any scale spread over all groups:
//
//   stripe s = blocks [s * G, (s + 1) * G);  block s * G + j goes to group (j + rotation(s)) mod G
//
// where rotation(s) is drawn from a hash of seed and s (docs/wire-format.md has its constants). A
// group has at most one block of each stripe; its elements are numbered in the order of the flat
// vector, so the vector's last, shorter block is the last of its group. Immutable.
class Dealing {
 public:
  // `num_groups` is from 1 to the number of blocks.
  Dealing(uint64_t num_elements, const DealingOptions& options);

  const DealingOptions& options() const { return options_; }
  uint64_t num_elements(uint32_t group) const;
  // Number, in the flat vector, of the group's block `position` (0, 1, 2...).
  uint64_t BlockOf(uint32_t group, uint64_t position) const;
  // Where block `block` of the flat vector went.
  struct Position {
    uint32_t group;
    uint64_t block;  // of the group
  };
  Position PositionOf(uint64_t block) const;
  // Index in the flat vector of the group's element `index`.
  uint64_t ElementOf(uint32_t group, uint64_t index) const {
    return BlockOf(group, index / kDealtBlockElements) * kDealtBlockElements +
           index % kDealtBlockElements;
  }

  // Copies elements [begin, begin + out.size()) of the group out of `flat` [num_elements]; `begin`
  // is a multiple of 64.
  void Gather(uint32_t group, uint64_t begin, absl::Span<const float> flat,
              absl::Span<float> out) const;
  // Copies `values` to the group's elements [begin, begin + values.size()) of `flat`; `begin` is a
  // multiple of 64.
  void Scatter(uint32_t group, uint64_t begin, absl::Span<const float> values,
               absl::Span<float> flat) const;

 private:
  uint64_t num_elements_;
  DealingOptions options_;
};

}  // namespace tally

#endif  // TALLY_CODECS_DEALING_H_
