#include "codecs/dealing.h"

#include <algorithm>

#include "base/mix64.h"

namespace tally {
namespace {

// Where stripe `stripe` begins to deal.
uint32_t Rotation(const DealingOptions& options, uint64_t stripe) {
  return ScaleTo(static_cast<uint32_t>(Mix64(options.seed + kGolden64 * (stripe + 1)) >> 32),
                 options.num_groups);
}

// Calls copy(flat offset, group offset, size) for every block among elements [begin, begin + size)
// of the group.
template <typename Copy>
void ForEachBlock(const Dealing& dealing, uint32_t group, uint64_t begin, size_t size, Copy copy) {
  for (size_t done = 0; done < size; done += kDealtBlockElements) {
    const uint64_t block = dealing.BlockOf(group, (begin + done) / kDealtBlockElements);
    copy(block * kDealtBlockElements, done, std::min<size_t>(kDealtBlockElements, size - done));
  }
}

}  // namespace

Dealing::Dealing(uint64_t num_elements, const DealingOptions& options)
    : num_elements_(num_elements), options_(options) {}

uint64_t Dealing::BlockOf(uint32_t group, uint64_t position) const {
  const uint32_t rotation = Rotation(options_, position);
  const uint32_t within =
      group >= rotation ? group - rotation : group + options_.num_groups - rotation;
  return position * options_.num_groups + within;
}

Dealing::Position Dealing::PositionOf(uint64_t block) const {
  const uint64_t stripe = block / options_.num_groups;
  const uint64_t group = block % options_.num_groups + Rotation(options_, stripe);
  return {static_cast<uint32_t>(group % options_.num_groups), stripe};
}

uint64_t Dealing::num_elements(uint32_t group) const {
  const uint64_t num_blocks = (num_elements_ + kDealtBlockElements - 1) / kDealtBlockElements;
  const uint64_t full_stripes = num_blocks / options_.num_groups;
  const uint64_t last = BlockOf(group, full_stripes);  // Is it there?
  const uint64_t blocks = full_stripes + (last < num_blocks ? 1 : 0);
  const uint64_t missing = num_blocks * kDealtBlockElements - num_elements_;
  const bool has_short_block = BlockOf(group, blocks - 1) == num_blocks - 1;
  return blocks * kDealtBlockElements - (has_short_block ? missing : 0);
}

void Dealing::Gather(uint32_t group, uint64_t begin, absl::Span<const float> flat,
                     absl::Span<float> out) const {
  ForEachBlock(*this, group, begin, out.size(), [&](uint64_t from, size_t to, size_t size) {
    std::copy_n(flat.begin() + static_cast<ptrdiff_t>(from), size,
                out.begin() + static_cast<ptrdiff_t>(to));
  });
}

void Dealing::Scatter(uint32_t group, uint64_t begin, absl::Span<const float> values,
                      absl::Span<float> flat) const {
  ForEachBlock(*this, group, begin, values.size(), [&](uint64_t to, size_t from, size_t size) {
    std::copy_n(values.begin() + static_cast<ptrdiff_t>(from), size,
                flat.begin() + static_cast<ptrdiff_t>(to));
  });
}

}  // namespace tally
