// A model as the references see it: one flat vector, cut into chunks or dealt out to groups.
#ifndef TALLY_TESTS_REFERENCE_REFERENCE_MODEL_H_
#define TALLY_TESTS_REFERENCE_REFERENCE_MODEL_H_

#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

namespace tally {

// Tensors as a user lists them.
struct ReferenceTensor {
  size_t size = 0;
  bool dense = false;
  std::vector<std::pair<size_t, size_t>> masked = {};  // [begin, end)
};

struct ReferenceModelOptions {
  std::vector<ReferenceTensor> tensors;
  size_t chunk_elements = 0;
  // The compressed part is dealt out to so many groups; 0: it is cut into chunks.
  size_t num_groups = 0;
  uint64_t dealing_seed = 0;
};

// A chunk, or a group, is no more than a list of elements.
struct ReferenceChunk {
  bool dense = false;
  std::vector<size_t> elements;  // of the flat vector, in the chunk's order
};

// Where a tensor lies: elements [begin, end) of the flat vector.
struct ReferenceRange {
  size_t begin = 0;
  size_t end = 0;
};

struct ReferenceModel {
  explicit ReferenceModel(const ReferenceModelOptions& options);

  size_t num_elements() const { return live.size(); }

  std::vector<bool> live;  // by element of the flat vector: not masked
  size_t num_compressed = 0;
  std::vector<ReferenceRange> tensors;  // in the order of the flat vector
  std::vector<ReferenceChunk> chunks;
};

}  // namespace tally

#endif  // TALLY_TESTS_REFERENCE_REFERENCE_MODEL_H_
