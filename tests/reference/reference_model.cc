#include "tests/reference/reference_model.h"

#include "tests/reference/reference_random.h"

namespace tally {
namespace {

constexpr size_t kDealtBlock = 64;

// The elements of [begin, end) in pieces of `size`.
void Cut(size_t begin, size_t end, size_t size, bool dense, std::vector<ReferenceChunk>& chunks) {
  for (size_t i = begin; i < end; ++i) {
    if ((i - begin) % size == 0) chunks.push_back({.dense = dense});
    chunks.back().elements.push_back(i);
  }
}

// The group to which an element goes.
size_t GroupOf(size_t element, size_t num_groups, uint64_t seed) {
  const size_t block = element / kDealtBlock;
  const size_t stripe = block / num_groups;
  const uint64_t hash = reference::Mix(seed + reference::kGolden * (stripe + 1));
  const size_t rotation =
      reference::Scale(static_cast<uint32_t>(hash >> 32), static_cast<uint32_t>(num_groups));
  return (block % num_groups + rotation) % num_groups;
}

}  // namespace

ReferenceModel::ReferenceModel(const ReferenceModelOptions& options) {
  for (const bool dense : {false, true}) {
    for (const ReferenceTensor& tensor : options.tensors) {
      if (tensor.dense != dense) continue;
      const size_t begin = live.size();
      live.resize(begin + tensor.size, true);
      tensors.push_back({begin, live.size()});
      for (const auto& [from, to] : tensor.masked) {
        for (size_t i = from; i < to; ++i) live[begin + i] = false;
      }
    }
    if (!dense) num_compressed = live.size();
  }
  if (options.num_groups == 0) {
    Cut(0, num_compressed, options.chunk_elements, /*dense=*/false, chunks);
  } else {
    chunks.resize(options.num_groups);
    for (size_t i = 0; i < num_compressed; ++i) {
      chunks[GroupOf(i, options.num_groups, options.dealing_seed)].elements.push_back(i);
    }
  }
  Cut(num_compressed, num_elements(), options.chunk_elements, /*dense=*/true, chunks);
}

}  // namespace tally
