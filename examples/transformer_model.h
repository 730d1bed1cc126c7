// A small transformer over characters, on libtorch.
#ifndef TALLY_EXAMPLES_TRANSFORMER_MODEL_H_
#define TALLY_EXAMPLES_TRANSFORMER_MODEL_H_

#include <cstddef>
#include <cstdint>
#include <memory>

#include "absl/status/statusor.h"
#include "examples/model.h"

namespace tally {

struct TransformerOptions {
  size_t vocabulary_size = 0;  // at least 2
  size_t num_layers = 4;
  size_t width = 128;
  size_t num_heads = 4;  // divides width
  size_t context = 64;
  uint32_t chunk_elements = 65'536;
  uint64_t seed = 0;
};

// A decoder: embeddings of character and place, then per layer causal self-attention and a
// two-layer perceptron, each behind a layer norm and beside a residual path, then a last norm and a
// linear output. No biases. All matrices are compressed tensors; the norms' weights, not a five-
// hundredth of all, are the dense ones. Parameters and gradients are views into the flat vectors,
// so nothing is copied between libtorch and Tally.
//
// The header knows nothing of libtorch, which takes long to compile.
// Returns INVALID_ARGUMENT, naming the field, if an option breaks its rule.
absl::StatusOr<std::unique_ptr<Model>> CreateTransformerModel(const TransformerOptions& options);

}  // namespace tally

#endif  // TALLY_EXAMPLES_TRANSFORMER_MODEL_H_
