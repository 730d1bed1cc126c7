#include "codecs/layout.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "base/status_macros.h"
#include "kernels/sign_block.h"

namespace tally {
namespace {

absl::Status CheckNames(absl::Span<const Tensor> tensors) {
  absl::flat_hash_set<absl::string_view> names;
  names.reserve(tensors.size());
  for (size_t t = 0; t < tensors.size(); ++t) {
    const std::string& name = tensors[t].name;
    if (name.empty() || name.size() > kMaxTensorNameBytes) {
      return absl::InvalidArgumentError(absl::StrCat("`tensors[", t, "].name` has ", name.size(),
                                                     " bytes, must have 1 to ",
                                                     kMaxTensorNameBytes));
    }
    if (!names.insert(name).second) {
      return absl::InvalidArgumentError(
          absl::StrCat("`tensors[", t, "].name` = \"", name, "\", must be unique in the layout"));
    }
  }
  return absl::OkStatus();
}

absl::Status CheckMask(absl::Span<const Tensor> tensors, size_t t) {
  const std::vector<ElementRange>& masked = tensors[t].masked;
  for (size_t r = 0; r < masked.size(); ++r) {
    const ElementRange& range = masked[r];
    const auto error = [&](absl::string_view field, uint64_t value, const std::string& rule) {
      return absl::InvalidArgumentError(
          absl::StrCat("`tensors[", t, "].masked[", r, "].", field, "` = ", value, ", ", rule));
    };
    if (range.begin >= range.end) {
      return error("begin", range.begin, absl::StrCat("must be less than end (", range.end, ")"));
    }
    if (range.end > tensors[t].num_elements) {
      return error("end", range.end,
                   absl::StrCat("must be at most num_elements (", tensors[t].num_elements, ")"));
    }
    if (r > 0 && range.begin <= masked[r - 1].end) {
      return error(
          "begin", range.begin,
          absl::StrCat("must be past the end of the range before (", masked[r - 1].end, ")"));
    }
  }
  return absl::OkStatus();
}

// A bitmap of `num_elements` ones; unused bits of the last byte are 0.
std::vector<uint8_t> AllLive(uint32_t num_elements) {
  std::vector<uint8_t> bitmap(BitmapBytes(num_elements), 0xff);
  if (num_elements % 8 != 0) bitmap.back() = static_cast<uint8_t>((1u << (num_elements % 8)) - 1);
  return bitmap;
}

// Clears bits [begin, end); begin < end.
void ClearBits(std::vector<uint8_t>& bitmap, uint64_t begin, uint64_t end) {
  const uint64_t first = begin / 8;
  const uint64_t last = (end - 1) / 8;
  // What stays of the first and of the last byte.
  const uint8_t below = static_cast<uint8_t>((1u << (begin % 8)) - 1);
  const uint8_t above = static_cast<uint8_t>(~0u << ((end - 1) % 8 + 1));
  if (first == last) {
    bitmap[first] &= static_cast<uint8_t>(below | above);
    return;
  }
  bitmap[first] &= below;
  std::memset(bitmap.data() + first + 1, 0, last - first - 1);
  bitmap[last] &= above;
}

uint64_t DivideRoundingUp(uint64_t dividend, uint64_t divisor) {
  return (dividend + divisor - 1) / divisor;
}

}  // namespace

absl::StatusOr<Layout> Layout::Create(std::vector<Tensor> tensors, uint32_t chunk_elements,
                                      absl::optional<DealingOptions> dealing) {
  Layout layout;
  layout.tensors_ = std::move(tensors);
  layout.chunk_elements_ = chunk_elements;
  TALLY_RETURN_IF_ERROR(layout.PlaceTensors());
  if (dealing.has_value()) TALLY_RETURN_IF_ERROR(layout.Deal(*dealing));
  TALLY_RETURN_IF_ERROR(layout.CutChunks());
  TALLY_RETURN_IF_ERROR(layout.FillLive());
  return layout;
}

absl::Status Layout::PlaceTensors() {
  if (tensors_.empty() || tensors_.size() > kMaxTensors) {
    return absl::InvalidArgumentError(
        absl::StrCat("`tensors` has ", tensors_.size(), " entries, must have 1 to ", kMaxTensors));
  }
  TALLY_RETURN_IF_ERROR(CheckNames(tensors_));
  for (size_t t = 0; t < tensors_.size(); ++t) {
    const uint64_t num_elements = tensors_[t].num_elements;
    if (num_elements == 0 || num_elements > kMaxElements - num_elements_) {
      return absl::InvalidArgumentError(
          absl::StrCat("`tensors[", t, "].num_elements` = ", num_elements, ", must be from 1 to ",
                       kMaxElements - num_elements_, " (at most ", kMaxElements,
                       " in all, the tensors before have ", num_elements_, ")"));
    }
    TALLY_RETURN_IF_ERROR(CheckMask(tensors_, t));
    num_elements_ += num_elements;
  }
  uint64_t offset = 0;
  tensor_offsets_.resize(tensors_.size());
  boundaries_.reserve(tensors_.size());
  for (const Treatment treatment : {Treatment::kCompressed, Treatment::kDense}) {
    for (size_t t = 0; t < tensors_.size(); ++t) {
      if (tensors_[t].treatment != treatment) continue;
      tensor_offsets_[t] = offset;
      boundaries_.push_back(offset);
      offset += tensors_[t].num_elements;
    }
    if (treatment == Treatment::kCompressed) num_compressed_ = offset;
  }
  return absl::OkStatus();
}

absl::Status Layout::Deal(const DealingOptions& options) {
  const uint64_t num_blocks = DivideRoundingUp(num_compressed_, kDealtBlockElements);
  const uint64_t max_groups = std::min<uint64_t>(num_blocks, kMaxChunks);
  // The largest group has a block of every stripe.
  const uint64_t stripes_allowed = kMaxChunkElements / kDealtBlockElements;
  const uint64_t min_groups = std::max<uint64_t>(1, DivideRoundingUp(num_blocks, stripes_allowed));
  if (options.num_groups < min_groups || options.num_groups > max_groups) {
    return absl::InvalidArgumentError(
        absl::StrCat("`dealing.num_groups` = ", options.num_groups, ", must be from ", min_groups,
                     " to ", max_groups, " for ", num_compressed_,
                     " compressed elements in blocks of ", kDealtBlockElements));
  }
  dealing_.emplace(num_compressed_, options);
  return absl::OkStatus();
}

absl::Status Layout::CutChunks() {
  if (chunk_elements_ == 0 || chunk_elements_ % kChunkElementsMultiple != 0 ||
      chunk_elements_ > kMaxChunkElements) {
    return absl::InvalidArgumentError(
        absl::StrCat("`chunk_elements` = ", chunk_elements_, ", must be a multiple of ",
                     kChunkElementsMultiple, " from there to ", kMaxChunkElements));
  }
  const uint64_t num_chunks =
      NumCompressedChunks() + DivideRoundingUp(num_elements_ - num_compressed_, chunk_elements_);
  if (num_chunks > kMaxChunks) {
    return absl::InvalidArgumentError(absl::StrCat(
        "`chunk_elements` = ", chunk_elements_, ", must be larger: ", num_elements_,
        " elements make ", num_chunks, " chunks of it, at most ", kMaxChunks, " are allowed"));
  }
  chunks_.reserve(num_chunks);
  uint64_t begin = 0;
  if (dealing_.has_value()) {
    for (uint32_t group = 0; group < dealing_->options().num_groups; ++group) {
      const auto size = static_cast<uint32_t>(dealing_->num_elements(group));
      chunks_.push_back({.num_elements = size, .dealt = true});
    }
    begin = num_compressed_;
  }
  for (uint64_t offset = begin; offset < num_elements_; offset += chunks_.back().num_elements) {
    const bool dense = offset >= num_compressed_;
    const uint64_t part_end = dense ? num_elements_ : num_compressed_;
    const uint64_t size = std::min<uint64_t>(chunk_elements_, part_end - offset);
    chunks_.push_back({offset, static_cast<uint32_t>(size), dense});
  }
  return absl::OkStatus();
}

absl::Status Layout::FillLive() {
  live_.resize(chunks_.size());
  uint64_t mask_bytes = 0;
  for (size_t t = 0; t < tensors_.size(); ++t) {
    for (const ElementRange& range : tensors_[t].masked) {
      uint64_t begin = tensor_offsets_[t] + range.begin;
      const uint64_t end = tensor_offsets_[t] + range.end;
      while (begin < end) {
        const Stretch stretch = StretchAt(begin);
        const Chunk& chunk = chunks_[stretch.chunk];
        std::vector<uint8_t>& live = live_[stretch.chunk];
        if (live.empty()) {
          mask_bytes += BitmapBytes(chunk.num_elements);
          if (mask_bytes > kMaxMaskBytes) {
            return absl::InvalidArgumentError(
                absl::StrCat("`tensors[", t, "].masked` brings the bitmaps of masked chunks to ",
                             mask_bytes, " bytes, must be at most ", kMaxMaskBytes, " in all"));
          }
          live = AllLive(chunk.num_elements);
        }
        const uint64_t size = std::min(end - begin, stretch.size);
        ClearBits(live, stretch.begin, stretch.begin + size);
        begin += size;
      }
    }
  }
  return absl::OkStatus();
}

uint64_t Layout::NumCompressedChunks() const {
  if (dealing_.has_value()) return dealing_->options().num_groups;
  return DivideRoundingUp(num_compressed_, chunk_elements_);
}

Layout::Stretch Layout::StretchAt(uint64_t index) const {
  if (index < num_compressed_ && dealing_.has_value()) {
    const uint64_t within = index % kDealtBlockElements;
    const Dealing::Position position = dealing_->PositionOf(index / kDealtBlockElements);
    const uint64_t begin = position.block * kDealtBlockElements + within;
    return {position.group, begin,
            std::min(kDealtBlockElements - within, chunks_[position.group].num_elements - begin)};
  }
  const uint64_t chunk = index < num_compressed_
                             ? index / chunk_elements_
                             : NumCompressedChunks() + (index - num_compressed_) / chunk_elements_;
  const uint64_t begin = index - chunks_[chunk].offset;
  return {chunk, begin, chunks_[chunk].num_elements - begin};
}

absl::Span<const uint64_t> Layout::BoundariesInside(const Chunk& chunk) const {
  const auto begin = std::upper_bound(boundaries_.begin(), boundaries_.end(), chunk.offset);
  const auto end = std::lower_bound(begin, boundaries_.end(), chunk.offset + chunk.num_elements);
  return absl::MakeConstSpan(boundaries_).subspan(begin - boundaries_.begin(), end - begin);
}

std::vector<uint32_t> Layout::SegmentEnds(size_t chunk, const ScaleGranularity& granularity) const {
  const Chunk& place = chunks_[chunk];
  std::vector<uint32_t> ends;
  ends.reserve(NumSegments(chunk, granularity));
  switch (granularity.unit) {
    case ScaleGranularity::Unit::kBlock:
      // Chunks begin at multiples of the block, so counting from the chunk's start is the same.
      for (uint32_t end = granularity.block_elements; end < place.num_elements;
           end += granularity.block_elements) {
        ends.push_back(end);
      }
      break;
    case ScaleGranularity::Unit::kTensor:
      for (const uint64_t boundary : BoundariesInside(place)) {
        ends.push_back(static_cast<uint32_t>(boundary - place.offset));
      }
      break;
    case ScaleGranularity::Unit::kModel:
      break;
  }
  ends.push_back(place.num_elements);
  return ends;
}

size_t Layout::NumSegments(size_t chunk, const ScaleGranularity& granularity) const {
  const Chunk& place = chunks_[chunk];
  switch (granularity.unit) {
    case ScaleGranularity::Unit::kBlock:
      return DivideRoundingUp(place.num_elements, granularity.block_elements);
    case ScaleGranularity::Unit::kTensor:
      return BoundariesInside(place).size() + 1;
    case ScaleGranularity::Unit::kModel:
      break;
  }
  return 1;
}

}  // namespace tally
