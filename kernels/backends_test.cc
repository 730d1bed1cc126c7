#include "kernels/backends.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "kernels/simd/targets.h"
#include "tests/util/status_matchers.h"

namespace tally {
namespace {

using testing::HasSubstr;

TEST(SupportedBackendsTest, ScalarComesFirst) {
  EXPECT_EQ(SupportedBackends().front()->name(), "scalar");
}

TEST(SupportedBackendsTest, AreAllSupportedAndAlwaysTheSame) {
  for (const Backend* backend : SupportedBackends()) EXPECT_TRUE(backend->IsSupported());
  EXPECT_EQ(SupportedBackends(), SupportedBackends());
}

TEST(FindBackendTest, FindsEachByItsName) {
  for (const Backend* backend : SupportedBackends()) {
    EXPECT_THAT(FindBackend(backend->name()), IsOkAndHolds(backend));
  }
}

TEST(FindBackendTest, AutoIsTheFastest) {
  EXPECT_THAT(FindBackend("auto"), IsOkAndHolds(SupportedBackends().back()));
}

TEST(FindBackendTest, RejectsUnknownNames) {
  EXPECT_THAT(FindBackend("abacus"),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("`name` = \"abacus\", must be auto, scalar")));
}

TEST(FindBackendTest, SaysWhichBackendTheMachineCannotRun) {
  // The last target is the fallback, as on a machine without vectors.
  const simd::TargetOverride no_vectors(simd::SupportedTargets().back());
  EXPECT_THAT(FindBackend("simd"),
              StatusIs(absl::StatusCode::kUnimplemented, HasSubstr("\"simd\"")));
  EXPECT_EQ((*FindBackend("auto"))->name(), "scalar");
}

}  // namespace
}  // namespace tally
