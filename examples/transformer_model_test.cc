#include "examples/transformer_model.h"

#include <cmath>
#include <cstddef>
#include <functional>
#include <memory>
#include <vector>

#include "absl/types/span.h"
#include "examples/counter_random.h"
#include "examples/text_data.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/util/status_matchers.h"

namespace tally {
namespace {

using ::testing::ElementsAreArray;
using ::testing::HasSubstr;

constexpr TransformerOptions kSmall = {.vocabulary_size = 11,
                                       .num_layers = 2,
                                       .width = 16,
                                       .num_heads = 2,
                                       .context = 8,
                                       .chunk_elements = 256,
                                       .seed = 5};

std::unique_ptr<Model> CreateModel(const TransformerOptions& options) {
  absl::StatusOr<std::unique_ptr<Model>> model = CreateTransformerModel(options);
  EXPECT_THAT(model, IsOk());
  return *std::move(model);
}

TextWindows RandomWindows(const TransformerOptions& options, size_t num_windows) {
  TextWindows windows;
  windows.num_windows = num_windows;
  windows.length = options.context + 1;
  for (size_t i = 0; i < num_windows * windows.length; ++i) {
    windows.symbols.push_back(static_cast<uint8_t>(
        RandomBelow(options.vocabulary_size, RandomBits(99, DrawPurpose::kBatch, 0, 0, i))));
  }
  return windows;
}

TEST(TransformerModelTest, DefaultHasTheSizeThatTheQuickstartPromises) {
  const std::unique_ptr<Model> model = CreateModel({.vocabulary_size = 90});
  const double num_elements = static_cast<double>(model->layout().num_elements());
  EXPECT_NEAR(num_elements, 0.8e6, 0.03e6);
  const double num_dense = num_elements - static_cast<double>(model->layout().num_compressed());
  EXPECT_LT(num_dense, 0.002 * num_elements);
  EXPECT_EQ(model->layout().chunks().size(), 14u);
}

// Along the gradient the loss falls by its squared length times the step, but for terms of second
// order: if a view pointed to a wrong place, or a gradient was not filled in, it would not.
TEST(TransformerModelTest, GradientIsTheSlopeOfTheLossInEveryTensor) {
  const std::unique_ptr<Model> model = CreateModel(kSmall);
  const TextWindows batch = RandomWindows(kSmall, 6);
  model->ComputeGradients(batch);
  const std::vector<float> gradients(model->gradients().begin(), model->gradients().end());
  for (size_t t = 0; t < model->layout().tensors().size(); ++t) {
    SCOPED_TRACE(model->layout().tensors()[t].name);
    const size_t offset = model->layout().tensor_offset(t);
    const absl::Span<float> values =
        model->parameters().subspan(offset, model->layout().tensors()[t].num_elements);
    const std::vector<float> start(values.begin(), values.end());
    double square = 0;
    for (size_t i = 0; i < values.size(); ++i) {
      square += static_cast<double>(gradients[offset + i]) * gradients[offset + i];
    }
    ASSERT_GT(square, 0);
    // A step that changes the loss by about 0.01, where rounding is below 1 in 1,000.
    const double step = 0.005 / square;
    const auto loss_at = [&](double distance) {
      for (size_t i = 0; i < values.size(); ++i) {
        values[i] = static_cast<float>(start[i] + distance * gradients[offset + i]);
      }
      return model->Loss(batch);
    };
    const double difference = loss_at(step) - loss_at(-step);
    std::copy(start.begin(), start.end(), values.begin());
    EXPECT_NEAR(difference, 0.01, 0.001);
  }
}

TEST(TransformerModelTest, LooksAtNoLaterCharacter) {
  const std::unique_ptr<Model> model = CreateModel(kSmall);
  TextWindows batch = RandomWindows(kSmall, 1);
  // The gradient of a character's embedding row is zero exactly if no prediction depends on it; the
  // last character of a window is only predicted.
  for (uint8_t& symbol : batch.symbols) symbol = 1;
  batch.symbols.back() = 2;
  model->ComputeGradients(batch);
  const absl::Span<const float> rows = model->gradients();
  EXPECT_THAT(rows.subspan(2 * kSmall.width, kSmall.width), testing::Each(0.0f));
  EXPECT_THAT(rows.subspan(1 * kSmall.width, kSmall.width), testing::Contains(testing::Ne(0.0f)));
}

// Scores with a variance of 1 make the loss half a nat larger than even odds would.
TEST(TransformerModelTest, StartsNearEvenOdds) {
  const std::unique_ptr<Model> model = CreateModel(kSmall);
  EXPECT_NEAR(model->Loss(RandomWindows(kSmall, 64)), std::log(11.0) + 0.5, 0.3);
}

TEST(TransformerModelTest, GradientsStartAfreshWithEveryBatch) {
  const std::unique_ptr<Model> model = CreateModel(kSmall);
  const TextWindows batch = RandomWindows(kSmall, 4);
  const double loss = model->ComputeGradients(batch);
  const std::vector<float> first(model->gradients().begin(), model->gradients().end());
  EXPECT_EQ(model->ComputeGradients(batch), loss);
  EXPECT_THAT(model->gradients(), ElementsAreArray(first));
}

TEST(TransformerModelTest, SeedDecidesTheInitialParameters) {
  TransformerOptions other = kSmall;
  other.seed = 6;
  const std::unique_ptr<Model> model = CreateModel(kSmall);
  EXPECT_THAT(CreateModel(kSmall)->parameters(), ElementsAreArray(model->parameters()));
  EXPECT_THAT(CreateModel(other)->parameters(),
              testing::Not(ElementsAreArray(model->parameters())));
}

TEST(TransformerModelTest, RefusesOptionsByName) {
  const struct {
    const char* message;
    std::function<void(TransformerOptions&)> spoil;
  } cases[] = {
      {"`vocabulary_size` = 1", [](TransformerOptions& o) { o.vocabulary_size = 1; }},
      {"`num_layers` = 0", [](TransformerOptions& o) { o.num_layers = 0; }},
      {"`width` = 0", [](TransformerOptions& o) { o.width = 0; }},
      {"`width` = 15", [](TransformerOptions& o) { o.width = 15; }},
      {"`num_heads` = 0", [](TransformerOptions& o) { o.num_heads = 0; }},
      {"`context` = 0", [](TransformerOptions& o) { o.context = 0; }},
      {"`chunk_elements` = 3", [](TransformerOptions& o) { o.chunk_elements = 3; }},
  };
  for (const auto& row : cases) {
    SCOPED_TRACE(row.message);
    TransformerOptions options = kSmall;
    row.spoil(options);
    EXPECT_THAT(CreateTransformerModel(options),
                StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(row.message)));
  }
}

}  // namespace
}  // namespace tally
