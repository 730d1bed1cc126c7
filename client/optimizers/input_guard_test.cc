#include "client/optimizers/input_guard.h"

#include <limits>
#include <vector>

#include "absl/status/status.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "kernels/host_backends.h"
#include "tests/util/status_matchers.h"

namespace tally {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr float kInfinity = std::numeric_limits<float>::infinity();

Layout TwoChunks() { return *Layout::Create({{.name = "t", .num_elements = 260}}, 256); }

TEST(InputGuardTest, AcceptsFiniteValuesUpToTheBound) {
  const Layout layout = TwoChunks();
  const InputGuard guard(NonFinitePolicy::kStop, &layout, HostBackends().front());
  EXPECT_TRUE(guard.Accepts({0.0f, -0.0f, 1e-45f, kMaxMagnitude, -kMaxMagnitude}));
  for (const float value : {kNan, kInfinity, -kInfinity, kMaxMagnitude * 2.0f}) {
    SCOPED_TRACE(value);
    EXPECT_FALSE(guard.Accepts({1.0f, value}));
  }
}

TEST(InputGuardTest, CountsAbstentions) {
  const Layout layout = TwoChunks();
  InputGuard guard(NonFinitePolicy::kAbstain, &layout, HostBackends().front());
  EXPECT_THAT(guard.Refuse(1, {1.0f, kNan, 2.0f, 3.0f}, DType::kFloat32), IsOk());
  EXPECT_EQ(guard.abstained_chunks(), 1u);
}

TEST(InputGuardTest, StopsNamingChunkAndElement) {
  const Layout layout = TwoChunks();
  InputGuard guard(NonFinitePolicy::kStop, &layout, HostBackends().front());
  EXPECT_THAT(guard.Refuse(1, {1.0f, kNan, kNan, 3.0f}, DType::kFloat32),
              StatusIs(absl::StatusCode::kOutOfRange,
                       AllOf(HasSubstr("chunk 1"), HasSubstr("`gradients[257]` = nan"))));
}

TEST(InputGuardTest, JudgesTheConvertedValue) {
  const Layout layout = TwoChunks();
  InputGuard guard(NonFinitePolicy::kStop, &layout, HostBackends().front());
  EXPECT_THAT(guard.Refuse(1, {1.0f, 2.0f, 70'000.0f, 3.0f}, DType::kFloat16),
              StatusIs(absl::StatusCode::kOutOfRange,
                       AllOf(HasSubstr("`gradients[258]` = 70000"), HasSubstr("FLOAT16"))));
}

}  // namespace
}  // namespace tally
