#include "tests/reference/training_script.h"

#include <initializer_list>
#include <limits>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/types/optional.h"
#include "codecs/dealing.h"

namespace tally {
namespace {

// splitmix64 of the numbers, one after the other.
uint64_t Mix(std::initializer_list<uint64_t> numbers) {
  uint64_t state = 0;
  for (const uint64_t number : numbers) {
    state += number + 0x9e3779b97f4a7c15;
    state = (state ^ (state >> 30)) * 0xbf58476d1ce4e5b9;
    state = (state ^ (state >> 27)) * 0x94d049bb133111eb;
    state ^= state >> 31;
  }
  return state;
}

// In [0, 1), with 24 bits.
float Uniform(std::initializer_list<uint64_t> numbers) {
  return static_cast<float>(Mix(numbers) >> 40) * 0x1p-24f;
}

enum Stream : uint64_t { kCurvature, kTarget, kNoise, kMiss, kAbstain, kWhere };

}  // namespace

TrainingScript::TrainingScript(size_t num_elements, uint64_t seed, double miss_share,
                               bool abstentions)
    : seed_(seed), miss_share_(miss_share), abstentions_(abstentions) {
  for (size_t i = 0; i < num_elements; ++i) {
    const float u = Uniform({seed_, kCurvature, i});
    curvatures_.push_back(0.01f + u * u * u * 10.0f);
    targets_.push_back(Uniform({seed_, kTarget, i}) * 2.0f - 1.0f);
  }
}

std::vector<float> TrainingScript::Gradient(size_t worker, uint64_t round,
                                            absl::Span<const float> parameters) const {
  std::vector<float> gradient(parameters.size());
  const uint64_t key = Mix({seed_, kNoise, worker, round});
  for (size_t i = 0; i < gradient.size(); ++i) {
    const float noise = Uniform({key ^ i}) * 2.0f - 1.0f;
    gradient[i] = curvatures_[i] * (parameters[i] - targets_[i] + noise);
  }
  if (abstentions_ && Uniform({seed_, kAbstain, worker, round}) < 0.1f) {
    gradient[Mix({seed_, kWhere, worker, round}) % gradient.size()] =
        std::numeric_limits<float>::quiet_NaN();
  }
  return gradient;
}

double TrainingScript::Loss(absl::Span<const float> parameters) const {
  double loss = 0.0;
  for (size_t i = 0; i < parameters.size(); ++i) {
    const double distance = static_cast<double>(parameters[i]) - targets_[i];
    loss += 0.5 * curvatures_[i] * distance * distance;
  }
  return loss / static_cast<double>(parameters.size());
}

bool TrainingScript::Misses(size_t worker, uint64_t round, size_t chunk) const {
  return Uniform({seed_, kMiss, worker, round, chunk}) < static_cast<float>(miss_share_);
}

size_t NumElements(const ReferenceOptions& options) {
  size_t num_elements = 0;
  for (const ReferenceTensor& tensor : options.tensors) num_elements += tensor.size;
  return num_elements;
}

Layout LayoutOf(const ReferenceModelOptions& options) {
  std::vector<Tensor> tensors;
  for (const ReferenceTensor& tensor : options.tensors) {
    Tensor& added = tensors.emplace_back();
    added.name = absl::StrCat("tensor ", tensors.size());
    added.num_elements = tensor.size;
    added.treatment = tensor.dense ? Treatment::kDense : Treatment::kCompressed;
    for (const auto& [begin, end] : tensor.masked) added.masked.push_back({begin, end});
  }
  absl::optional<DealingOptions> dealing;
  if (options.num_groups > 0) {
    dealing = DealingOptions{.num_groups = static_cast<uint32_t>(options.num_groups),
                             .seed = options.dealing_seed};
  }
  return *Layout::Create(std::move(tensors), static_cast<uint32_t>(options.chunk_elements),
                         dealing);
}

Layout LayoutOf(const ReferenceOptions& options) {
  return LayoutOf(
      ReferenceModelOptions{.tensors = options.tensors, .chunk_elements = options.chunk_elements});
}

std::vector<ReferenceTensor> IrregularTensors() {
  return {{.size = 9001, .masked = {{0, 64}, {100, 101}, {8190, 8200}}},
          {.size = 257, .dense = true},
          {.size = 12345},
          {.size = 3},
          {.size = 4099, .dense = true},
          {.size = 5000, .masked = {{17, 18}}}};
}

std::vector<ReferenceTensor> SmallIrregularTensors() {
  return {{.size = 901, .masked = {{0, 64}, {100, 101}, {890, 900}}},
          {.size = 57, .dense = true},
          {.size = 1234},
          {.size = 3},
          {.size = 409, .dense = true},
          {.size = 500, .masked = {{17, 18}}}};
}

}  // namespace tally
