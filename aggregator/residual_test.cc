#include "aggregator/residual.h"

#include <memory>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "kernels/device/fake_device.h"
#include "kernels/device/lane.h"
#include "tests/util/status_matchers.h"

namespace tally {
namespace {

using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::SizeIs;

class ResidualTest : public testing::Test {
 protected:
  ResidualTest() {
    absl::StatusOr<std::unique_ptr<Lane>> lane = Lane::Create(&device_);
    EXPECT_THAT(lane, IsOk());
    lane_ = *std::move(lane);
    without_residuals_ = device_.allocated_bytes();
  }

  // Bytes of the device that residuals take.
  uint64_t device_bytes() const { return device_.allocated_bytes() - without_residuals_; }

  FakeDevice device_;
  std::unique_ptr<Lane> lane_;
  uint64_t without_residuals_ = 0;
};

TEST_F(ResidualTest, BeginsAsZerosOnTheHost) {
  Residual residual(300);
  EXPECT_EQ(residual.size(), 300u);
  EXPECT_FALSE(residual.is_on_device());
  const auto values = residual.OnHost();
  ASSERT_THAT(values, IsOk());
  EXPECT_THAT(*values, SizeIs(300));
  EXPECT_THAT(*values, Each(0.0f));
}

TEST_F(ResidualTest, BringsItsZerosToTheDevice) {
  Residual residual(300);
  ASSERT_THAT(residual.OnDevice(*lane_), IsOk());
  EXPECT_TRUE(residual.is_on_device());
  const auto values = residual.OnHost(lane_->queue());
  ASSERT_THAT(values, IsOk());
  EXPECT_THAT(*values, SizeIs(300));
  EXPECT_THAT(*values, Each(0.0f));
}

TEST_F(ResidualTest, KeepsItsValuesOnTheWayThereAndBack) {
  Residual residual(std::vector<float>{1, -2, 3});
  const auto there = residual.OnDevice(*lane_);
  ASSERT_THAT(there, IsOk());
  EXPECT_THAT(*there, SizeIs(3));
  EXPECT_EQ(residual.OnDevice(*lane_)->data(), there->data()) << "it stays";
  EXPECT_GE(device_bytes(), 12u);
  const auto back = residual.OnHost();
  ASSERT_THAT(back, IsOk());
  EXPECT_THAT(*back, ElementsAre(1, -2, 3));
  EXPECT_FALSE(residual.is_on_device());
  EXPECT_EQ(device_bytes(), 0u);
}

TEST_F(ResidualTest, GivesTheDevicesMemoryBackWhenItGoes) {
  auto residual = std::make_unique<Residual>(300);
  ASSERT_THAT(residual->OnDevice(*lane_), IsOk());
  ASSERT_THAT(lane_->Finish(), IsOk());
  EXPECT_GT(device_bytes(), 0u);
  residual = nullptr;
  EXPECT_EQ(device_bytes(), 0u);
}

TEST_F(ResidualTest, StaysOnTheHostWhereTheDeviceHasNoRoom) {
  device_.LimitMemory(device_.allocated_bytes());
  Residual residual(std::vector<float>{1, -2, 3});
  EXPECT_THAT(residual.OnDevice(*lane_).status(), StatusIs(absl::StatusCode::kResourceExhausted));
  EXPECT_FALSE(residual.is_on_device());
  EXPECT_THAT(*residual.OnHost(), ElementsAre(1, -2, 3));
}

TEST_F(ResidualTest, OnTheHostItSurvivesTheDevice) {
  device_.Fail("a cosmic ray");
  Residual residual(std::vector<float>{1, -2, 3});
  EXPECT_THAT(residual.OnDevice(*lane_).status(), StatusIs(absl::StatusCode::kUnavailable));
  EXPECT_THAT(*residual.OnHost(), ElementsAre(1, -2, 3));
}

TEST_F(ResidualTest, WhatAFailedDeviceHeldIsLost) {
  Residual first(std::vector<float>{1, -2, 3});
  Residual second(std::vector<float>{1, -2, 3});
  ASSERT_THAT(first.OnDevice(*lane_), IsOk());
  ASSERT_THAT(second.OnDevice(*lane_), IsOk());
  device_.Fail("a cosmic ray");
  EXPECT_THAT(
      first.OnHost(lane_->queue()),
      StatusIs(absl::StatusCode::kDataLoss, HasSubstr("the residual of 3 elements is lost")));
  EXPECT_THAT(second.OnHost(), StatusIs(absl::StatusCode::kDataLoss, HasSubstr("a cosmic ray")));
  EXPECT_THAT(second.OnDevice(*lane_).status(), StatusIs(absl::StatusCode::kDataLoss));
}

TEST_F(ResidualTest, WhatIsLostGivesNothing) {
  Residual residual(std::vector<float>{1, -2, 3});
  ASSERT_THAT(residual.OnDevice(*lane_), IsOk());
  residual.Lose(absl::UnavailableError("half of it is computed"));
  EXPECT_THAT(residual.OnHost(),
              StatusIs(absl::StatusCode::kDataLoss, HasSubstr("half of it is computed")));
  EXPECT_THAT(residual.OnDevice(*lane_).status(), StatusIs(absl::StatusCode::kDataLoss));
}

}  // namespace
}  // namespace tally
