#include "examples/mlp_model.h"

#include <algorithm>
#include <cmath>
#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "base/status_macros.h"
#include "examples/counter_random.h"

namespace tally {
namespace {

constexpr float kEmbeddingDeviation = 0.5f;

absl::Status CheckRange(absl::string_view field, size_t value, size_t lowest, size_t highest) {
  if (value >= lowest && value <= highest) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("`", field, "` = ", value, ", must be from ", lowest, " to ", highest));
}

// y += x W, with W [x.size()][y.size()].
void AddProduct(absl::Span<const float> x, absl::Span<const float> w, absl::Span<float> y) {
  for (size_t i = 0; i < x.size(); ++i) {
    const float* row = w.data() + i * y.size();
    for (size_t j = 0; j < y.size(); ++j) y[j] += x[i] * row[j];
  }
}

// The two derivatives of AddProduct: dw += x (dy)^T and dx = W dy.
void Differentiate(absl::Span<const float> x, absl::Span<const float> w, absl::Span<const float> dy,
                   absl::Span<float> dw, absl::Span<float> dx) {
  for (size_t i = 0; i < x.size(); ++i) {
    const float* row = w.data() + i * dy.size();
    float* row_gradient = dw.data() + i * dy.size();
    float sum = 0;
    for (size_t j = 0; j < dy.size(); ++j) {
      row_gradient[j] += x[i] * dy[j];
      sum += row[j] * dy[j];
    }
    dx[i] = sum;
  }
}

}  // namespace

std::vector<Tensor> MlpModel::Tensors(const MlpOptions& options) {
  const size_t input_width = options.context * options.embedding_width;
  return {
      {"embedding", options.vocabulary_size * options.embedding_width, Treatment::kCompressed},
      {"hidden", input_width * options.hidden_width, Treatment::kCompressed},
      {"output", options.hidden_width * options.vocabulary_size, Treatment::kCompressed},
      {"hidden_bias", options.hidden_width, Treatment::kDense},
      {"output_bias", options.vocabulary_size, Treatment::kDense},
  };
}

absl::StatusOr<std::unique_ptr<MlpModel>> MlpModel::Create(const MlpOptions& options) {
  constexpr size_t kMaxWidth = 4096;
  TALLY_RETURN_IF_ERROR(CheckRange("vocabulary_size", options.vocabulary_size, 2, 256));
  TALLY_RETURN_IF_ERROR(CheckRange("context", options.context, 1, kMaxWidth));
  TALLY_RETURN_IF_ERROR(CheckRange("embedding_width", options.embedding_width, 1, kMaxWidth));
  TALLY_RETURN_IF_ERROR(CheckRange("hidden_width", options.hidden_width, 1, kMaxWidth));
  TALLY_ASSIGN_OR_RETURN(Layout layout, Layout::Create(Tensors(options), options.chunk_elements));
  return std::unique_ptr<MlpModel>(new MlpModel(options, std::move(layout)));
}

MlpModel::MlpModel(const MlpOptions& options, Layout layout)
    : options_(options),
      layout_(std::move(layout)),
      parameters_(layout_.num_elements()),
      gradients_(layout_.num_elements()),
      input_(options.context * options.embedding_width),
      hidden_(options.hidden_width),
      probabilities_(options.vocabulary_size),
      input_gradient_(input_.size()),
      hidden_gradient_(hidden_.size()) {
  const auto fill = [this](TensorIndex tensor, float deviation) {
    FillRandom(options_.seed, tensor, deviation,
               absl::MakeSpan(parameters_)
                   .subspan(layout_.tensor_offset(tensor), layout_.tensors()[tensor].num_elements));
  };
  fill(kEmbedding, kEmbeddingDeviation);
  // Divided by the root of the number of inputs, so that sums keep their variance.
  fill(kHidden, 1.0f / std::sqrt(static_cast<float>(input_.size())));
  fill(kOutput, 1.0f / std::sqrt(static_cast<float>(hidden_.size())));
}

absl::Span<const float> MlpModel::Parameter(TensorIndex tensor) const {
  return absl::MakeConstSpan(parameters_)
      .subspan(layout_.tensor_offset(tensor), layout_.tensors()[tensor].num_elements);
}

absl::Span<float> MlpModel::Gradient(TensorIndex tensor) {
  return absl::MakeSpan(gradients_)
      .subspan(layout_.tensor_offset(tensor), layout_.tensors()[tensor].num_elements);
}

double MlpModel::Forward(absl::Span<const uint8_t> window) {
  const size_t width = options_.embedding_width;
  for (size_t place = 0; place < options_.context; ++place) {
    const absl::Span<const float> row = Parameter(kEmbedding).subspan(window[place] * width, width);
    std::copy(row.begin(), row.end(), input_.begin() + static_cast<std::ptrdiff_t>(place * width));
  }
  const absl::Span<const float> hidden_bias = Parameter(kHiddenBias);
  std::copy(hidden_bias.begin(), hidden_bias.end(), hidden_.begin());
  AddProduct(input_, Parameter(kHidden), absl::MakeSpan(hidden_));
  for (float& h : hidden_) h = std::tanh(h);

  const absl::Span<const float> output_bias = Parameter(kOutputBias);
  std::copy(output_bias.begin(), output_bias.end(), probabilities_.begin());
  AddProduct(hidden_, Parameter(kOutput), absl::MakeSpan(probabilities_));
  // Shifted by the largest score, so that no exponential overflows.
  const float largest = *std::max_element(probabilities_.begin(), probabilities_.end());
  const float target_score = probabilities_[window[options_.context]] - largest;
  double sum = 0;
  for (float& p : probabilities_) {
    p = std::exp(p - largest);
    sum += p;
  }
  const float scale = static_cast<float>(1.0 / sum);
  for (float& p : probabilities_) p *= scale;
  return std::log(sum) - target_score;
}

void MlpModel::Backward(absl::Span<const uint8_t> window, float weight) {
  // d loss / d score = p - [is the target], for which the probabilities' memory is used again.
  probabilities_[window[options_.context]] -= 1.0f;
  for (float& p : probabilities_) p *= weight;
  const absl::Span<float> output_bias = Gradient(kOutputBias);
  for (size_t j = 0; j < output_bias.size(); ++j) output_bias[j] += probabilities_[j];
  Differentiate(hidden_, Parameter(kOutput), probabilities_, Gradient(kOutput),
                absl::MakeSpan(hidden_gradient_));

  const absl::Span<float> hidden_bias = Gradient(kHiddenBias);
  for (size_t j = 0; j < hidden_.size(); ++j) {
    hidden_gradient_[j] *= 1.0f - hidden_[j] * hidden_[j];
    hidden_bias[j] += hidden_gradient_[j];
  }
  Differentiate(input_, Parameter(kHidden), hidden_gradient_, Gradient(kHidden),
                absl::MakeSpan(input_gradient_));

  const size_t width = options_.embedding_width;
  for (size_t place = 0; place < options_.context; ++place) {
    const absl::Span<float> row = Gradient(kEmbedding).subspan(window[place] * width, width);
    for (size_t j = 0; j < width; ++j) row[j] += input_gradient_[place * width + j];
  }
}

double MlpModel::ComputeGradients(const TextWindows& batch) {
  std::fill(gradients_.begin(), gradients_.end(), 0.0f);
  const float weight = 1.0f / static_cast<float>(batch.num_windows);
  double sum = 0;
  for (size_t i = 0; i < batch.num_windows; ++i) {
    sum += Forward(batch.window(i));
    Backward(batch.window(i), weight);
  }
  return sum / static_cast<double>(batch.num_windows);
}

double MlpModel::Loss(const TextWindows& batch) {
  double sum = 0;
  for (size_t i = 0; i < batch.num_windows; ++i) sum += Forward(batch.window(i));
  return sum / static_cast<double>(batch.num_windows);
}

}  // namespace tally
