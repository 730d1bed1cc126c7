// The shape of what is exchanged: tensors, the flat vector, chunks and segments.
#ifndef TALLY_CODECS_LAYOUT_H_
#define TALLY_CODECS_LAYOUT_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/optional.h"
#include "absl/types/span.h"
#include "codecs/dealing.h"
#include "codecs/limits.h"

namespace tally {

// Elements [begin, end).
struct ElementRange {
  uint64_t begin = 0;
  uint64_t end = 0;
  friend bool operator==(const ElementRange&, const ElementRange&) = default;
};

// How a tensor travels: by the method's compressed exchange, or always uncompressed.
enum class Treatment : uint8_t { kCompressed, kDense };

struct Tensor {
  std::string name;
  uint64_t num_elements = 0;
  Treatment treatment = Treatment::kCompressed;
  // The zero mask: elements whose gradient is always zero. Increasing, not touching.
  std::vector<ElementRange> masked = {};
  friend bool operator==(const Tensor&, const Tensor&) = default;
};

// Which elements share a scale.
struct ScaleGranularity {
  enum class Unit : uint8_t { kBlock, kTensor, kModel };
  Unit unit = Unit::kBlock;
  uint32_t block_elements = 4096;  // kBlock only
  friend bool operator==(const ScaleGranularity&, const ScaleGranularity&) = default;
};

// A model's layout. The compressed tensors in the order given, then the dense ones in the order
// given, form one flat vector of num_elements() floats; its compressed part and its dense part are
// each cut into chunks, numbered through; for sketches the compressed part is dealt out instead,
// and its chunks are the groups. Immutable, so any number of threads may read it.
class Layout {
 public:
  // The unit of transport, aggregation and placement: a contiguous range of the flat vector, or a
  // group of dealing().
  struct Chunk {
    uint64_t offset = 0;  // in the flat vector; of a group: none
    uint32_t num_elements = 0;
    bool dense = false;
    bool dealt = false;  // a group; its number is the chunk's
  };

  // Returns INVALID_ARGUMENT, naming field, value and rule, if there are no tensors or more than
  // kMaxTensors, a name is empty, longer than kMaxTensorNameBytes or not unique, a tensor has no
  // elements, the layout has more than kMaxElements, a masked range is empty, out of its tensor,
  // unsorted or touches the one before, chunk_elements is not a multiple of kChunkElementsMultiple
  // from there to kMaxChunkElements, there are more than kMaxChunks, the chunks with masked
  // elements have bitmaps of more than kMaxMaskBytes in all, or `dealing` has no groups, more than
  // there are blocks, or groups of more than kMaxChunkElements.
  static absl::StatusOr<Layout> Create(std::vector<Tensor> tensors,
                                       uint32_t chunk_elements = kDefaultChunkElements,
                                       absl::optional<DealingOptions> dealing = absl::nullopt);

  uint64_t num_elements() const { return num_elements_; }
  // The compressed part is [0, num_compressed()) of the flat vector.
  uint64_t num_compressed() const { return num_compressed_; }
  uint32_t chunk_elements() const { return chunk_elements_; }
  // How the compressed part is dealt out; unset if it is cut into contiguous chunks.
  const absl::optional<Dealing>& dealing() const { return dealing_; }
  absl::Span<const Tensor> tensors() const { return tensors_; }
  // Where tensor `index` begins in the flat vector.
  uint64_t tensor_offset(size_t index) const { return tensor_offsets_[index]; }
  absl::Span<const Chunk> chunks() const { return chunks_; }

  // Ends, relative to the chunk, of its segments: the pieces of blocks, tensors or the model that
  // fall into it. Not of a group. block_elements divides chunk_elements(), so no block crosses a
  // border between chunks.
  std::vector<uint32_t> SegmentEnds(size_t chunk, const ScaleGranularity& granularity) const;
  // How many these are.
  size_t NumSegments(size_t chunk, const ScaleGranularity& granularity) const;

  // The chunk's zero mask as the kernels take it: bit 1 = lives. Empty if nothing in the chunk is
  // masked. Unused bits of the last byte are 0.
  absl::Span<const uint8_t> live(size_t chunk) const { return live_[chunk]; }

 private:
  Layout() = default;

  // The steps of Create, in this order.
  absl::Status PlaceTensors();
  absl::Status Deal(const DealingOptions& options);
  absl::Status CutChunks();
  absl::Status FillLive();
  uint64_t NumCompressedChunks() const;
  // Where element `index` of the flat vector lies: a chunk, its element, and how many elements
  // follow one another from there in both.
  struct Stretch {
    size_t chunk;
    uint64_t begin;
    uint64_t size;
  };
  Stretch StretchAt(uint64_t index) const;
  // The boundaries strictly inside the chunk.
  absl::Span<const uint64_t> BoundariesInside(const Chunk& chunk) const;

  std::vector<Tensor> tensors_;
  std::vector<uint64_t> tensor_offsets_;
  std::vector<Chunk> chunks_;
  std::vector<std::vector<uint8_t>> live_;
  // Start offsets of the tensors in flat order; increasing, because no tensor is empty.
  std::vector<uint64_t> boundaries_;
  uint64_t num_elements_ = 0;
  uint64_t num_compressed_ = 0;
  uint32_t chunk_elements_ = 0;
  absl::optional<Dealing> dealing_;
};

}  // namespace tally

#endif  // TALLY_CODECS_LAYOUT_H_
