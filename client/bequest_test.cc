#include "client/bequest.h"

#include <cmath>
#include <cstring>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace tally {
namespace {

// Four chunks of 256 elements at two aggregators; the residual of chunk c is c everywhere.
class BequestTest : public testing::Test {
 protected:
  static std::vector<float> Residual() {
    std::vector<float> residual;
    for (int chunk = 0; chunk < 4; ++chunk) residual.insert(residual.end(), 256, chunk);
    return residual;
  }
  void Name(uint32_t chunk, const std::string& heir) {
    v1::ResultHeader header;
    header.set_chunk(chunk);
    v1::Departure& left = *header.add_left();
    left.mutable_member()->set_worker("w-1");
    left.set_heir(heir);
    bequest_.Read(header, 100 + chunk);
  }
  void Acknowledge(uint32_t chunk) {
    v1::HandoverAck ack;
    ack.set_chunk(chunk);
    bequest_.Acknowledge(ack);
  }

  const absl::Time now_ = absl::FromUnixSeconds(1'700'000'000);
  const Layout layout_ = *Layout::Create({{.name = "w", .num_elements = 1024}}, 256);
  Bequest bequest_{layout_, 2, {"w-1", 11}, Residual()};
};

TEST_F(BequestTest, GivesOneChunkAfterTheOtherAsHeadersNameHeirs) {
  EXPECT_FALSE(bequest_.Next(1, now_).has_value()) << "nobody is named";
  Name(3, "w-2");
  Name(1, "w-3");
  absl::optional<Bequest::Gift> gift = bequest_.Next(1, now_);
  ASSERT_TRUE(gift.has_value());
  EXPECT_EQ(gift->message.chunk(), 1u);
  EXPECT_EQ(gift->message.heir(), "w-3");
  EXPECT_EQ(gift->message.after_chain(), 101u);
  std::vector<float> values(256);
  ASSERT_EQ(gift->payload->size(), 1024u);
  std::memcpy(values.data(), gift->payload->data(), 1024);
  EXPECT_THAT(values, testing::Each(1.0f));
  EXPECT_FALSE(bequest_.Next(1, now_).has_value()) << "it is on its way";
  Acknowledge(1);
  gift = bequest_.Next(1, now_);
  ASSERT_TRUE(gift.has_value());
  EXPECT_EQ(gift->message.chunk(), 3u);
  EXPECT_FALSE(bequest_.done(1));
  Acknowledge(3);
  EXPECT_TRUE(bequest_.done(1));
  EXPECT_FALSE(bequest_.done(0)) << "chunk 2 waits for its header";
}

TEST_F(BequestTest, GivesAgainWhatIsNotAcknowledged) {
  Name(2, "w-2");
  ASSERT_TRUE(bequest_.Next(0, now_).has_value());
  EXPECT_EQ(bequest_.next_at(0), now_ + absl::Seconds(5));
  EXPECT_TRUE(bequest_.Next(0, now_ + absl::Seconds(5)).has_value());
  bequest_.Restart(0);
  EXPECT_TRUE(bequest_.Next(0, now_ + absl::Seconds(5)).has_value());
}

TEST_F(BequestTest, WhereAResidualIsZeroNothingIsToBeDone) {
  Bequest nothing(layout_, 2, {"w-1", 11}, std::vector<float>(1024));
  EXPECT_TRUE(nothing.done(0));
  EXPECT_TRUE(nothing.done(1));
  EXPECT_EQ(nothing.discarded_norm(), 0);
}

TEST_F(BequestTest, WhatItHadInheritedGoesOn) {
  Buffer payload(1024);
  const float one = 1;
  for (size_t i = 0; i < 256; ++i) std::memcpy(payload.data() + 4 * i, &one, 4);
  const auto shared = std::make_shared<const Buffer>(std::move(payload));
  for (const uint32_t chunk : {0u, 1u}) bequest_.Add({"w-9", chunk, shared});
  for (const uint32_t chunk : {0u, 1u}) {
    Name(chunk, "w-2");
    const absl::optional<Bequest::Gift> gift = bequest_.Next(chunk, now_);
    ASSERT_TRUE(gift.has_value());
    float value = 0;
    std::memcpy(&value, gift->payload->data() + 1020, sizeof(value));
    EXPECT_EQ(value, static_cast<float>(chunk) + 1);
  }
}

TEST_F(BequestTest, WhatIsExchangedDenseHasNoHeir) {
  const Layout layout =
      *Layout::Create({{.name = "d", .num_elements = 256, .treatment = Treatment::kDense}}, 256);
  Bequest bequest(layout, 1, {"w-1", 11}, std::vector<float>(256, 1));
  EXPECT_TRUE(bequest.done(0));
  EXPECT_EQ(bequest.discarded_norm(), 16);
}

TEST_F(BequestTest, CountsWhatIsLost) {
  Name(1, "w-2");
  Acknowledge(1);
  Name(3, "");
  EXPECT_EQ(bequest_.handed_over_norm(), 16);
  EXPECT_EQ(bequest_.discarded_norm(), 48);
  bequest_.GiveUp(0);
  EXPECT_TRUE(bequest_.done(0));
  EXPECT_EQ(bequest_.discarded_norm(), std::sqrt(48.0 * 48.0 + 32.0 * 32.0));
  Acknowledge(2);
  EXPECT_EQ(bequest_.handed_over_norm(), 16) << "it was counted as lost";
}

TEST_F(BequestTest, AnHeirThatGoesTakesNothing) {
  Name(1, "w-2");
  v1::ResultHeader header;
  header.set_chunk(1);
  header.add_evicted()->set_worker("w-2");
  bequest_.Read(header, 7);
  EXPECT_FALSE(bequest_.Next(1, now_).has_value());
  EXPECT_EQ(bequest_.discarded_norm(), 16);
}

TEST_F(BequestTest, OthersLeavesAreNotItsOwn) {
  v1::ResultHeader header;
  header.set_chunk(1);
  v1::Departure& left = *header.add_left();
  left.mutable_member()->set_worker("w-7");
  left.set_heir("w-2");
  bequest_.Read(header, 7);
  EXPECT_FALSE(bequest_.Next(1, now_).has_value());
}

}  // namespace
}  // namespace tally
