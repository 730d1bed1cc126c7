// A small perceptron over characters, with its gradient written out.
#ifndef TALLY_EXAMPLES_MLP_MODEL_H_
#define TALLY_EXAMPLES_MLP_MODEL_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "examples/model.h"

namespace tally {

struct MlpOptions {
  size_t vocabulary_size = 0;  // 2 to 256
  size_t context = 8;          // characters that it reads; the sizes below are positive as well
  size_t embedding_width = 16;
  size_t hidden_width = 128;
  uint32_t chunk_elements = 4096;
  uint64_t seed = 0;
};

// Predicts a character from the few before it:
//
//   x = the embeddings of the characters, side by side    [context * embedding_width]
//   h = tanh(x A + a)                                      [hidden_width]
//   p = softmax(h B + b)                                   [vocabulary_size]
//
// The matrices are compressed tensors, the biases a and b dense ones. Needs nothing but C++, so
// that whole runs fit into tests and into sanitizers.
class MlpModel final : public Model {
 public:
  // Returns INVALID_ARGUMENT, naming the field, if an option breaks its rule.
  static absl::StatusOr<std::unique_ptr<MlpModel>> Create(const MlpOptions& options);

  const Layout& layout() const override { return layout_; }
  size_t window_length() const override { return options_.context + 1; }
  absl::Span<float> parameters() override { return absl::MakeSpan(parameters_); }
  absl::Span<const float> gradients() const override { return gradients_; }
  double ComputeGradients(const TextWindows& batch) override;
  double Loss(const TextWindows& batch) override;

 private:
  MlpModel(const MlpOptions& options, Layout layout);

  enum TensorIndex : size_t { kEmbedding, kHidden, kOutput, kHiddenBias, kOutputBias };
  static std::vector<Tensor> Tensors(const MlpOptions& options);

  absl::Span<const float> Parameter(TensorIndex tensor) const;
  absl::Span<float> Gradient(TensorIndex tensor);

  // Fills the activations below, and returns the loss in nats.
  double Forward(absl::Span<const uint8_t> window);
  // Adds `weight` times the derivatives of the last Forward's loss to the gradients.
  void Backward(absl::Span<const uint8_t> window, float weight);

  const MlpOptions options_;
  const Layout layout_;
  std::vector<float> parameters_;
  std::vector<float> gradients_;
  // Of one window.
  std::vector<float> input_;
  std::vector<float> hidden_;
  std::vector<float> probabilities_;
  std::vector<float> input_gradient_;
  std::vector<float> hidden_gradient_;
};

}  // namespace tally

#endif  // TALLY_EXAMPLES_MLP_MODEL_H_
