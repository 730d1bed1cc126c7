#include "examples/mlp_model.h"

#include <cmath>
#include <cstddef>
#include <functional>
#include <memory>
#include <vector>

#include "absl/types/span.h"
#include "examples/counter_random.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/util/status_matchers.h"

namespace tally {
namespace {

using ::testing::ElementsAreArray;
using ::testing::HasSubstr;

constexpr MlpOptions kSmall = {.vocabulary_size = 7,
                               .context = 3,
                               .embedding_width = 4,
                               .hidden_width = 6,
                               .chunk_elements = 256,
                               .seed = 5};

std::unique_ptr<MlpModel> CreateModel(const MlpOptions& options) {
  absl::StatusOr<std::unique_ptr<MlpModel>> model = MlpModel::Create(options);
  EXPECT_THAT(model, IsOk());
  return *std::move(model);
}

TextWindows RandomWindows(const MlpOptions& options, size_t num_windows) {
  TextWindows windows;
  windows.num_windows = num_windows;
  windows.length = options.context + 1;
  for (size_t i = 0; i < num_windows * windows.length; ++i) {
    windows.symbols.push_back(static_cast<uint8_t>(
        RandomBelow(options.vocabulary_size, RandomBits(99, DrawPurpose::kBatch, 0, 0, i))));
  }
  return windows;
}

// In every tensor, along a direction of +1 and -1: the central difference over a step of 2h has an
// error of about h^2 (third derivatives of this model are of order 1 per element, and there are few
// hundred elements), the loss is rounded to some 1e-7, which the division by 2h makes 1e-5.
TEST(MlpModelTest, GradientIsTheSlopeOfTheLossInEveryTensor) {
  const std::unique_ptr<MlpModel> model = CreateModel(kSmall);
  const TextWindows batch = RandomWindows(kSmall, 11);
  model->ComputeGradients(batch);
  const std::vector<float> gradients(model->gradients().begin(), model->gradients().end());
  constexpr double kStep = 1.0 / 128;
  for (size_t t = 0; t < model->layout().tensors().size(); ++t) {
    SCOPED_TRACE(model->layout().tensors()[t].name);
    const size_t size = model->layout().tensors()[t].num_elements;
    const size_t offset = model->layout().tensor_offset(t);
    const absl::Span<float> values = model->parameters().subspan(offset, size);
    const std::vector<float> start(values.begin(), values.end());
    std::vector<double> direction(size);
    double slope = 0;
    for (size_t i = 0; i < size; ++i) {
      const bool up = RandomBits(1, DrawPurpose::kInitialParameters, t, 0, i) >> 63 != 0;
      direction[i] = (up ? 1.0 : -1.0) / std::sqrt(static_cast<double>(size));
      slope += direction[i] * gradients[offset + i];
    }
    const auto loss_at = [&](double distance) {
      for (size_t i = 0; i < size; ++i) {
        values[i] = static_cast<float>(start[i] + distance * direction[i]);
      }
      return model->Loss(batch);
    };
    const double difference = (loss_at(kStep) - loss_at(-kStep)) / (2 * kStep);
    std::copy(start.begin(), start.end(), values.begin());
    EXPECT_NEAR(difference, slope, kStep * kStep + 1e-5);
    EXPECT_GT(std::abs(slope), 1e-3) << "the direction says nothing";
  }
}

TEST(MlpModelTest, LossIsThatOfTheGradient) {
  const std::unique_ptr<MlpModel> model = CreateModel(kSmall);
  const TextWindows batch = RandomWindows(kSmall, 5);
  EXPECT_EQ(model->Loss(batch), model->ComputeGradients(batch));
}

TEST(MlpModelTest, GradientsStartAfreshWithEveryBatch) {
  const std::unique_ptr<MlpModel> model = CreateModel(kSmall);
  const TextWindows batch = RandomWindows(kSmall, 5);
  model->ComputeGradients(batch);
  const std::vector<float> first(model->gradients().begin(), model->gradients().end());
  model->ComputeGradients(batch);
  EXPECT_THAT(model->gradients(), ElementsAreArray(first));
}

TEST(MlpModelTest, StepsAgainstTheGradientLowerTheLoss) {
  const std::unique_ptr<MlpModel> model = CreateModel(kSmall);
  const TextWindows batch = RandomWindows(kSmall, 20);
  const double start = model->Loss(batch);
  for (int step = 0; step < 100; ++step) {
    model->ComputeGradients(batch);
    for (size_t i = 0; i < model->parameters().size(); ++i) {
      model->parameters()[i] -= 0.1f * model->gradients()[i];
    }
  }
  EXPECT_LT(model->Loss(batch), 0.8 * start);
}

TEST(MlpModelTest, SeedDecidesTheInitialParameters) {
  MlpOptions other = kSmall;
  other.seed = 6;
  const std::unique_ptr<MlpModel> model = CreateModel(kSmall);
  EXPECT_THAT(CreateModel(kSmall)->parameters(), ElementsAreArray(model->parameters()));
  EXPECT_THAT(CreateModel(other)->parameters(),
              testing::Not(ElementsAreArray(model->parameters())));
}

TEST(MlpModelTest, BiasesAreTheDenseTensors) {
  const std::unique_ptr<MlpModel> model = CreateModel(kSmall);
  EXPECT_EQ(model->layout().num_elements() - model->layout().num_compressed(),
            kSmall.hidden_width + kSmall.vocabulary_size);
}

TEST(MlpModelTest, RefusesOptionsByName) {
  const struct {
    const char* field;
    std::function<void(MlpOptions&)> spoil;
  } cases[] = {
      {"`vocabulary_size` = 1", [](MlpOptions& o) { o.vocabulary_size = 1; }},
      {"`vocabulary_size` = 257", [](MlpOptions& o) { o.vocabulary_size = 257; }},
      {"`context` = 0", [](MlpOptions& o) { o.context = 0; }},
      {"`embedding_width` = 0", [](MlpOptions& o) { o.embedding_width = 0; }},
      {"`hidden_width` = 5000", [](MlpOptions& o) { o.hidden_width = 5000; }},
      {"`chunk_elements` = 100", [](MlpOptions& o) { o.chunk_elements = 100; }},
  };
  for (const auto& row : cases) {
    SCOPED_TRACE(row.field);
    MlpOptions options = kSmall;
    row.spoil(options);
    EXPECT_THAT(MlpModel::Create(options),
                StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(row.field)));
  }
}

}  // namespace
}  // namespace tally
