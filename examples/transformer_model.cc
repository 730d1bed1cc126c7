#include "examples/transformer_model.h"

#include <torch/torch.h>

#include <cmath>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "base/status_macros.h"
#include "examples/counter_random.h"

namespace tally {
namespace {

constexpr double kNormEpsilon = 1e-5;
constexpr float kEmbeddingDeviation = 0.4f;

using Shape = std::vector<int64_t>;

// One matrix or vector of the model, and how it starts.
struct ParameterPlan {
  std::string name;
  Shape shape;
  float deviation = 0;  // 0: all ones
  size_t num_elements() const {
    size_t product = 1;
    for (const int64_t size : shape) product *= static_cast<size_t>(size);
    return product;
  }
};

// Places of the parameters in the plan. All matrices come before all norms, because that is the
// flat order (compressed tensors, then dense ones).
constexpr size_t kCharacterEmbedding = 0;
constexpr size_t kPlaceEmbedding = 1;
constexpr size_t kOutput = 2;
constexpr size_t kFirstLayer = 3;
enum LayerMatrix : size_t { kQueryKeyValue, kAttentionOutput, kExpand, kContract, kNumMatrices };
enum LayerNorm : size_t { kAttentionNorm, kPerceptronNorm, kNumNorms };

std::vector<ParameterPlan> PlanParameters(const TransformerOptions& options) {
  const auto width = static_cast<int64_t>(options.width);
  const auto vocabulary = static_cast<int64_t>(options.vocabulary_size);
  // Keeps the variance of what passes through a matrix of `width` inputs.
  const float deviation = 1.0f / std::sqrt(static_cast<float>(width));
  // Two branches per layer add to the residual path: they start small enough that their sum is as
  // large as one.
  const float branch = deviation / std::sqrt(2.0f * static_cast<float>(options.num_layers));
  std::vector<ParameterPlan> plan = {
      {"character_embedding", {vocabulary, width}, kEmbeddingDeviation},
      {"place_embedding", {static_cast<int64_t>(options.context), width}, kEmbeddingDeviation},
      {"output", {width, vocabulary}, deviation},
  };
  for (size_t layer = 0; layer < options.num_layers; ++layer) {
    const std::string prefix = absl::StrCat("layer", layer, ".");
    plan.push_back({prefix + "query_key_value", {width, 3 * width}, deviation});
    plan.push_back({prefix + "attention_output", {width, width}, branch});
    plan.push_back({prefix + "expand", {width, 4 * width}, deviation});
    plan.push_back({prefix + "contract", {4 * width, width}, branch / 2.0f});
  }
  for (size_t layer = 0; layer < options.num_layers; ++layer) {
    plan.push_back({absl::StrCat("layer", layer, ".attention_norm"), {width}});
    plan.push_back({absl::StrCat("layer", layer, ".perceptron_norm"), {width}});
  }
  plan.push_back({"output_norm", {width}});
  return plan;
}

absl::Status CheckOptions(const TransformerOptions& options) {
  const auto positive = [](absl::string_view field, size_t value) {
    if (value > 0) return absl::OkStatus();
    return absl::InvalidArgumentError(absl::StrCat("`", field, "` = 0, must be positive"));
  };
  TALLY_RETURN_IF_ERROR(positive("num_layers", options.num_layers));
  TALLY_RETURN_IF_ERROR(positive("width", options.width));
  TALLY_RETURN_IF_ERROR(positive("num_heads", options.num_heads));
  TALLY_RETURN_IF_ERROR(positive("context", options.context));
  if (options.vocabulary_size < 2) {
    return absl::InvalidArgumentError(
        absl::StrCat("`vocabulary_size` = ", options.vocabulary_size, ", must be at least 2"));
  }
  if (options.width % options.num_heads != 0) {
    return absl::InvalidArgumentError(absl::StrCat("`width` = ", options.width,
                                                   ", must be a multiple of num_heads (",
                                                   options.num_heads, ")"));
  }
  return absl::OkStatus();
}

class TransformerModel final : public Model {
 public:
  TransformerModel(const TransformerOptions& options, std::vector<ParameterPlan> plan,
                   Layout layout)
      : options_(options),
        layout_(std::move(layout)),
        flat_parameters_(torch::zeros({static_cast<int64_t>(layout_.num_elements())})),
        flat_gradients_(torch::zeros_like(flat_parameters_)) {
    for (size_t i = 0; i < plan.size(); ++i) {
      const auto offset = static_cast<int64_t>(layout_.tensor_offset(i));
      const auto size = static_cast<int64_t>(plan[i].num_elements());
      torch::Tensor values = flat_parameters_.narrow(0, offset, size);
      if (plan[i].deviation == 0) {
        values.fill_(1);
      } else {
        FillRandom(options.seed, i, plan[i].deviation,
                   absl::MakeSpan(values.data_ptr<float>(), plan[i].num_elements()));
      }
      torch::Tensor parameter = values.view(plan[i].shape).set_requires_grad(true);
      // libtorch adds to a gradient that is there, in place.
      parameter.mutable_grad() = flat_gradients_.narrow(0, offset, size).view(plan[i].shape);
      parameters_.push_back(std::move(parameter));
    }
    const auto context = static_cast<int64_t>(options.context);
    future_ = torch::ones({context, context}, torch::kBool).triu(1);
  }

  const Layout& layout() const override { return layout_; }
  size_t window_length() const override { return options_.context + 1; }

  absl::Span<float> parameters() override {
    return absl::MakeSpan(flat_parameters_.data_ptr<float>(), layout_.num_elements());
  }
  absl::Span<const float> gradients() const override {
    return absl::MakeConstSpan(flat_gradients_.data_ptr<float>(), layout_.num_elements());
  }

  double ComputeGradients(const TextWindows& batch) override {
    flat_gradients_.zero_();
    torch::Tensor loss = MeanLoss(batch);
    loss.backward();
    return loss.item<double>();
  }

  double Loss(const TextWindows& batch) override {
    const torch::NoGradGuard no_gradients;
    return MeanLoss(batch).item<double>();
  }

 private:
  const torch::Tensor& LayerMatrixOf(size_t layer, LayerMatrix matrix) const {
    return parameters_[kFirstLayer + layer * kNumMatrices + matrix];
  }

  torch::Tensor Normalize(const torch::Tensor& x, size_t norm) const {
    const size_t first_norm = kFirstLayer + options_.num_layers * kNumMatrices;
    return torch::layer_norm(x, {static_cast<int64_t>(options_.width)},
                             parameters_[first_norm + norm], {}, kNormEpsilon);
  }

  // `x` [num_windows * context, width].
  torch::Tensor Attention(size_t layer, const torch::Tensor& x, int64_t num_windows) const {
    const auto context = static_cast<int64_t>(options_.context);
    const auto num_heads = static_cast<int64_t>(options_.num_heads);
    const auto width = static_cast<int64_t>(options_.width);
    const int64_t head_width = width / num_heads;
    // [3][num_windows * num_heads, context, head_width]
    const torch::Tensor heads = torch::mm(x, LayerMatrixOf(layer, kQueryKeyValue))
                                    .view({num_windows, context, 3, num_heads, head_width})
                                    .permute({2, 0, 3, 1, 4})
                                    .reshape({3, num_windows * num_heads, context, head_width});
    const torch::Tensor query = heads[0] * (1.0 / std::sqrt(static_cast<double>(head_width)));
    const torch::Tensor weights =
        torch::bmm(query, heads[1].transpose(1, 2)).masked_fill(future_, -INFINITY).softmax(-1);
    const torch::Tensor mixed = torch::bmm(weights, heads[2])
                                    .view({num_windows, num_heads, context, head_width})
                                    .transpose(1, 2)
                                    .reshape({num_windows * context, width});
    return torch::mm(mixed, LayerMatrixOf(layer, kAttentionOutput));
  }

  torch::Tensor Perceptron(size_t layer, const torch::Tensor& x) const {
    return torch::mm(torch::relu(torch::mm(x, LayerMatrixOf(layer, kExpand))),
                     LayerMatrixOf(layer, kContract));
  }

  torch::Tensor MeanLoss(const TextWindows& batch) const {
    const auto num_windows = static_cast<int64_t>(batch.num_windows);
    const auto context = static_cast<int64_t>(options_.context);
    const torch::Tensor symbols = torch::from_blob(const_cast<uint8_t*>(batch.symbols.data()),
                                                   {num_windows, context + 1}, torch::kUInt8)
                                      .to(torch::kInt64);
    const torch::Tensor inputs = symbols.narrow(1, 0, context);
    torch::Tensor x =
        (torch::embedding(parameters_[kCharacterEmbedding], inputs) + parameters_[kPlaceEmbedding])
            .view({num_windows * context, -1});
    for (size_t layer = 0; layer < options_.num_layers; ++layer) {
      x = x + Attention(layer, Normalize(x, layer * kNumNorms + kAttentionNorm), num_windows);
      x = x + Perceptron(layer, Normalize(x, layer * kNumNorms + kPerceptronNorm));
    }
    const torch::Tensor scores =
        torch::mm(Normalize(x, options_.num_layers * kNumNorms), parameters_[kOutput]);
    return torch::cross_entropy_loss(scores, symbols.narrow(1, 1, context).reshape({-1}));
  }

  const TransformerOptions options_;
  const Layout layout_;
  torch::Tensor flat_parameters_;
  torch::Tensor flat_gradients_;
  // Views into the flat ones, in the order of the plan.
  std::vector<torch::Tensor> parameters_;
  torch::Tensor future_;  // [context, context]: true where a character would look ahead
};

}  // namespace

absl::StatusOr<std::unique_ptr<Model>> CreateTransformerModel(const TransformerOptions& options) {
  TALLY_RETURN_IF_ERROR(CheckOptions(options));
  std::vector<ParameterPlan> plan = PlanParameters(options);
  std::vector<Tensor> tensors;
  tensors.reserve(plan.size());
  for (const ParameterPlan& parameter : plan) {
    const Treatment treatment =
        parameter.shape.size() == 1 ? Treatment::kDense : Treatment::kCompressed;
    tensors.push_back({parameter.name, parameter.num_elements(), treatment});
  }
  TALLY_ASSIGN_OR_RETURN(Layout layout, Layout::Create(std::move(tensors), options.chunk_elements));
  return std::make_unique<TransformerModel>(options, std::move(plan), std::move(layout));
}

}  // namespace tally
