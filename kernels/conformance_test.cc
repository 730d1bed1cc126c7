// Conformance of reductions, Blend and optimizer steps. kernels/sign_conformance_test.cc and
// kernels/dense_conformance_test.cc hold the rest.
#include "kernels/conformance.h"

#include <cmath>
#include <limits>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/util/status_matchers.h"

namespace tally {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

using KernelConformanceTest = ConformanceTest;

INSTANTIATE_TEST_SUITE_P(Backends, KernelConformanceTest, testing::ValuesIn(ConformanceParams()),
                         ConformanceName);

TEST_P(KernelConformanceTest, NormsHaveTheBitsOfScalar) {
  for (const size_t size : Sizes()) {
    for (const std::vector<float>& values :
         {DyadicFloats(size), ModerateFloats(size), WideFloats(size), SpecialFloats(size)}) {
      const size_t offset = random()() % 4;
      SCOPED_TRACE(absl::StrCat("size ", size, ", offset ", offset));
      const GuardedArray<float> x(values, offset);
      const std::vector<double> expected = {scalar().SumOfSquares(x.span()),
                                            scalar().SumOfMagnitudes(x.span())};
      const std::vector<double> actual = {backend().SumOfSquares(x.span()),
                                          backend().SumOfMagnitudes(x.span())};
      EXPECT_TRUE(SameBits(actual, expected));
    }
  }
}

TEST_P(KernelConformanceTest, DotProductsHaveTheBitsOfScalar) {
  for (const size_t size : Sizes()) {
    const size_t offset = random()() % 4;
    SCOPED_TRACE(absl::StrCat("size ", size, ", offset ", offset));
    const GuardedArray<float> x(WideFloats(size), offset);
    for (const std::vector<float>& values :
         {DyadicFloats(size), ModerateFloats(size), WideFloats(size), SpecialFloats(size)}) {
      const GuardedArray<float> y(values, (offset + 1) % 4);
      const std::vector<double> expected = {scalar().DotProduct(x.span(), y.span())};
      const std::vector<double> actual = {backend().DotProduct(x.span(), y.span())};
      EXPECT_TRUE(SameBits(actual, expected));
    }
  }
}

TEST_P(KernelConformanceTest, AllWithinFindsOneElementBeyondTheBoundAnywhere) {
  for (const size_t size : {1, 15, 33, 131, 300}) {
    const size_t stride = GetParam().is_slow ? 29 : 1;
    for (size_t position = 0; position < size; position += stride) {
      SCOPED_TRACE(absl::StrCat("size ", size, ", position ", position));
      GuardedArray<float> x(std::vector<float>(size, 2.0f), position % 4);
      EXPECT_TRUE(backend().AllWithin(x.span(), 2.0f));
      for (const float beyond : {std::nextafter(2.0f, 3.0f), -3.0f, kInfinity, -kInfinity, kNan}) {
        x.span()[position] = beyond;
        EXPECT_FALSE(backend().AllWithin(x.span(), 2.0f)) << beyond;
      }
    }
  }
}

TEST_P(KernelConformanceTest, AllWithinAnInfiniteBoundMeansAllFinite) {
  std::vector<float> x(1000, -std::numeric_limits<float>::max());
  EXPECT_TRUE(backend().AllWithin(x, kInfinity));
  x[500] = -kInfinity;
  EXPECT_FALSE(backend().AllWithin(x, kInfinity));
}

TEST_P(KernelConformanceTest, NothingIsWithinABoundThatIsNegativeOrNan) {
  const std::vector<float> x(1000, 0.0f);
  EXPECT_FALSE(backend().AllWithin(x, -1.0f));
  EXPECT_FALSE(backend().AllWithin(x, kNan));
}

TEST_P(KernelConformanceTest, BlendHasTheBitsOfScalar) {
  for (const size_t size : Sizes()) {
    const size_t offset = random()() % 4;
    SCOPED_TRACE(absl::StrCat("size ", size, ", offset ", offset));
    const GuardedArray<float> x(SpecialFloats(size), offset);
    const GuardedArray<float> y(SpecialFloats(size), (offset + 1) % 4);
    GuardedArray<float> expected(size);
    GuardedArray<float> actual(size, (offset + 2) % 4);
    ASSERT_THAT(scalar().Blend(0.9f, x.span(), 0.1f, y.span(), expected.span()), IsOk());
    ASSERT_THAT(backend().Blend(0.9f, x.span(), 0.1f, y.span(), actual.span()), IsOk());
    EXPECT_TRUE(SameBits(actual.span(), expected.span()));
    EXPECT_TRUE(actual.IsIntact());
  }
}

TEST_P(KernelConformanceTest, BlendWorksInPlaceOnEitherInput) {
  for (const size_t size : Sizes()) {
    SCOPED_TRACE(absl::StrCat("size ", size));
    const std::vector<float> x = WideFloats(size);
    const std::vector<float> y = WideFloats(size);
    std::vector<float> expected(size);
    ASSERT_THAT(scalar().Blend(-0.3f, x, 1.7f, y, absl::MakeSpan(expected)), IsOk());
    GuardedArray<float> over_x(x, 1);
    ASSERT_THAT(backend().Blend(-0.3f, over_x.span(), 1.7f, y, over_x.span()), IsOk());
    EXPECT_TRUE(SameBits(over_x.span(), expected));
    EXPECT_TRUE(over_x.IsIntact());
    GuardedArray<float> over_y(y, 3);
    ASSERT_THAT(backend().Blend(-0.3f, x, 1.7f, over_y.span(), over_y.span()), IsOk());
    EXPECT_TRUE(SameBits(over_y.span(), expected));
    EXPECT_TRUE(over_y.IsIntact());
  }
}

// The arrays of an optimizer's step and one run over them.
struct AdamState {
  GuardedArray<float> parameters;
  GuardedArray<float> first_moment;
  GuardedArray<float> second_moment;
  GuardedArray<float> largest_moment;
  GuardedArray<float> gradient;

  absl::Status Step(const Backend& backend) {
    return backend.AdamStep({.parameters = parameters.span(),
                             .first_moment = first_moment.span(),
                             .second_moment = second_moment.span(),
                             .largest_moment = largest_moment.span(),
                             .gradient = gradient.span(),
                             .beta1 = 0.9f,
                             .one_minus_beta1 = 0.1f,
                             .beta2 = 0.999f,
                             .one_minus_beta2 = 0.001f,
                             .learning_rate = 0.01f,
                             .first_correction = 1.25f,
                             .second_correction = 3.0f,
                             .epsilon = 1e-8f,
                             .weight_decay = 0.02f});
  }
};

std::vector<float> Magnitudes(std::vector<float> values) {
  for (float& x : values) x = std::abs(x);
  return values;
}

TEST_P(KernelConformanceTest, AdamStepHasTheBitsOfScalar) {
  for (const size_t size : Sizes()) {
    for (const bool keeps_largest : {false, true}) {
      SCOPED_TRACE(absl::StrCat("size ", size, keeps_largest ? ", AMSGrad" : ", Adam"));
      AdamState expected = {
          GuardedArray<float>(ModerateFloats(size), 0),
          GuardedArray<float>(ModerateFloats(size), 1),
          GuardedArray<float>(Magnitudes(ModerateFloats(size)), 2),
          GuardedArray<float>(Magnitudes(ModerateFloats(keeps_largest ? size : 0)), 3),
          GuardedArray<float>(ModerateFloats(size), 1)};
      AdamState actual = expected;
      for (int step = 0; step < 2; ++step) {
        ASSERT_THAT(expected.Step(scalar()), IsOk());
        ASSERT_THAT(actual.Step(backend()), IsOk());
      }
      EXPECT_TRUE(SameBits(actual.parameters.span(), expected.parameters.span()));
      EXPECT_TRUE(SameBits(actual.first_moment.span(), expected.first_moment.span()));
      EXPECT_TRUE(SameBits(actual.second_moment.span(), expected.second_moment.span()));
      EXPECT_TRUE(SameBits(actual.largest_moment.span(), expected.largest_moment.span()));
      EXPECT_TRUE(actual.parameters.IsIntact() && actual.first_moment.IsIntact() &&
                  actual.second_moment.IsIntact() && actual.largest_moment.IsIntact());
    }
  }
}

TEST_P(KernelConformanceTest, MomentumStepHasTheBitsOfScalar) {
  for (const size_t size : Sizes()) {
    SCOPED_TRACE(absl::StrCat("size ", size));
    const GuardedArray<float> first_moment(ModerateFloats(size), 1);
    const GuardedArray<float> second_moment(Magnitudes(ModerateFloats(size)), 2);
    GuardedArray<float> expected(ModerateFloats(size), 3);
    GuardedArray<float> actual = expected;
    MomentumArgs args = {.parameters = expected.span(),
                         .first_moment = first_moment.span(),
                         .second_moment = second_moment.span(),
                         .learning_rate = 0.01f,
                         .first_correction = 1.0f,
                         .second_correction = 1.0f,
                         .epsilon = 1e-6f,
                         .weight_decay = 0.5f};
    ASSERT_THAT(scalar().MomentumStep(args), IsOk());
    args.parameters = actual.span();
    ASSERT_THAT(backend().MomentumStep(args), IsOk());
    EXPECT_TRUE(SameBits(actual.span(), expected.span()));
    EXPECT_TRUE(actual.IsIntact());
  }
}

}  // namespace
}  // namespace tally
