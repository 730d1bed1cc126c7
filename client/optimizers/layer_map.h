// Where the tensors of a layout lie in the flat vector, and which of their elements live.
#ifndef TALLY_CLIENT_OPTIMIZERS_LAYER_MAP_H_
#define TALLY_CLIENT_OPTIMIZERS_LAYER_MAP_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "base/status_macros.h"
#include "client/optimizers/segment_map.h"
#include "codecs/layout.h"

namespace tally {

// For methods that treat each tensor by itself. Layers are numbered in the order of the flat
// vector: the compressed ones come first. Immutable, so any number of threads may read it.
class LayerMap {
 public:
  // Elements [offset, offset + num_elements) of the flat vector, all of them unmasked.
  struct Run {
    uint64_t offset = 0;
    uint64_t num_elements = 0;
    friend bool operator==(const Run&, const Run&) = default;
  };

  struct Layer {
    uint64_t offset = 0;  // in the flat vector
    uint64_t num_elements = 0;
    bool dense = false;
    uint64_t num_live = 0;
    std::vector<Run> runs;  // between masked ranges, in order
    // The chunks in which it has elements.
    uint32_t first_chunk = 0;
    uint32_t last_chunk = 0;
  };

  // `layout` is not dealt out to groups.
  explicit LayerMap(const Layout& layout);

  absl::Span<const Layer> layers() const { return layers_; }

  // Calls visit(layer index, offset, num_elements) for the parts of layers that make up a range of
  // the flat vector, in order. Returns its first error.
  template <typename Visit>
  absl::Status ForEachPart(uint64_t offset, uint64_t num_elements, Visit visit) const {
    const uint64_t end = offset + num_elements;
    for (size_t l = LayerAt(offset); offset < end; ++l) {
      const uint64_t part_end = std::min(end, layers_[l].offset + layers_[l].num_elements);
      TALLY_RETURN_IF_ERROR(visit(l, offset, part_end - offset));
      offset = part_end;
    }
    return absl::OkStatus();
  }

  // Calls visit(offset, num_elements) for the pieces of a layer's runs, in order: a run is cut at
  // multiples of kPieceElements from its own start, whatever chunks it lies in. So norms that are
  // added up piece by piece do not depend on the chunks. Returns its first error.
  template <typename Visit>
  static absl::Status ForEachPiece(const Layer& layer, Visit visit) {
    for (const Run& run : layer.runs) {
      for (uint64_t begin = 0; begin < run.num_elements; begin += kPieceElements) {
        TALLY_RETURN_IF_ERROR(visit(run.offset + begin,
                                    std::min<uint64_t>(kPieceElements, run.num_elements - begin)));
      }
    }
    return absl::OkStatus();
  }

 private:
  // The layer that the element is in.
  size_t LayerAt(uint64_t element) const;

  std::vector<Layer> layers_;
};

}  // namespace tally

#endif  // TALLY_CLIENT_OPTIMIZERS_LAYER_MAP_H_
