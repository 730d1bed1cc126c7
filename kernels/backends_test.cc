#include "kernels/backends.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "kernels/host_backends.h"
#include "kernels/simd/targets.h"
#include "tests/util/status_matchers.h"

namespace tally {
namespace {

using testing::AllOf;
using testing::HasSubstr;

TEST(SupportedBackendsTest, ScalarComesFirst) {
  EXPECT_EQ(SupportedBackends().front()->name(), "scalar");
}

TEST(SupportedBackendsTest, AreAllSupportedAndAlwaysTheSame) {
  for (const Backend* backend : SupportedBackends()) EXPECT_TRUE(backend->IsSupported());
  EXPECT_EQ(SupportedBackends(), SupportedBackends());
}

TEST(SupportedBackendsTest, OnlyCudaComputesOnADevice) {
  for (const Backend* backend : SupportedBackends()) {
    SCOPED_TRACE(backend->name());
    EXPECT_EQ(backend->device() != nullptr, backend->name() == "cuda");
  }
}

TEST(FastestHostBackendTest, IsTheLastOfTheListThatComputesOnNoDevice) {
  const Backend* last = nullptr;
  for (const Backend* backend : SupportedBackends()) {
    if (backend->device() == nullptr) last = backend;
  }
  EXPECT_EQ(FastestHostBackend(), last);
}

TEST(FastestHostBackendTest, IsScalarWithoutVectors) {
  // The last target is the fallback, as on a machine without vectors.
  const simd::TargetOverride no_vectors(simd::SupportedTargets().back());
  EXPECT_EQ(FastestHostBackend()->name(), "scalar");
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
                       HasSubstr("`name` = \"abacus\", must be auto, scalar, simd, cuda")));
}

TEST(FindBackendTest, SaysWhichBackendTheMachineCannotRun) {
  const simd::TargetOverride no_vectors(simd::SupportedTargets().back());
  EXPECT_THAT(FindBackend("simd"),
              StatusIs(absl::StatusCode::kUnimplemented, HasSubstr("\"simd\"")));
}

TEST(FindBackendTest, SaysWhyThereIsNoCuda) {
  if (SupportedBackends().back()->name() == "cuda") GTEST_SKIP() << "there is a CUDA device";
  EXPECT_THAT(FindBackend("cuda"),
              StatusIs(absl::StatusCode::kUnimplemented,
                       AllOf(HasSubstr("back end \"cuda\": "), HasSubstr("CUDA"))));
}

}  // namespace
}  // namespace tally
