#include "aggregator/handover_relay.h"

#include <string>

#include "codecs/layout.h"
#include "codecs/limits.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/util/status_matchers.h"

namespace tally {
namespace {

using ::testing::HasSubstr;

constexpr uint64_t kBytes = 512 * sizeof(float);
constexpr uint64_t kHeir = 7;  // its stream

class HandoverRelayTest : public testing::Test {
 protected:
  static v1::Handover Slice(uint32_t chunk, uint64_t offset, uint64_t total = kBytes) {
    v1::Handover slice;
    slice.set_chunk(chunk);
    slice.mutable_slice()->set_offset_bytes(offset);
    slice.mutable_slice()->set_total_bytes(total);
    return slice;
  }
  // Whether a whole residual would be passed on.
  bool RelayWhole(const std::string& leaver, uint32_t chunk, uint64_t heir_stream = kHeir) {
    return *relay_.Relay(leaver, heir_stream, Slice(chunk, 0), kBytes);
  }

  const Layout layout_ =
      *Layout::Create({{.name = "w", .num_elements = 1024},
                       {.name = "d", .num_elements = 512, .treatment = Treatment::kDense}},
                      512);
  HandoverRelay relay_{&layout_};
};

TEST_F(HandoverRelayTest, PassesOneChunkAfterTheOther) {
  EXPECT_TRUE(*relay_.Relay("w-1", kHeir, Slice(0, 0), 1024));
  EXPECT_TRUE(*relay_.Relay("w-1", kHeir, Slice(0, 1024), 1024));
  EXPECT_FALSE(RelayWhole("w-1", 1)) << "the heir does not have the first one yet";
  EXPECT_TRUE(relay_.Acknowledge("w-1", 0, kHeir));
  EXPECT_TRUE(RelayWhole("w-1", 1));
}

TEST_F(HandoverRelayTest, WhatIsSentAgainIsOnItsWay) {
  EXPECT_TRUE(RelayWhole("w-1", 0));
  EXPECT_FALSE(RelayWhole("w-1", 0));
  EXPECT_FALSE(RelayWhole("w-1", 0, /*heir_stream=*/8)) << "nor to another one meanwhile";
  relay_.ForgetHeir(9);
  EXPECT_FALSE(RelayWhole("w-1", 0));
  relay_.ForgetHeir(kHeir);
  EXPECT_TRUE(RelayWhole("w-1", 0, /*heir_stream=*/8)) << "over the heir's next stream";
  relay_.Forget("w-1");
  EXPECT_TRUE(RelayWhole("w-1", 0, 8)) << "over the leaver's next stream";
}

TEST_F(HandoverRelayTest, SlicesOfADroppedOneAreDropped) {
  EXPECT_FALSE(*relay_.Relay("w-1", absl::nullopt, Slice(0, 0), 1024)) << "the heir is away";
  EXPECT_FALSE(*relay_.Relay("w-1", kHeir, Slice(0, 1024), 1024));
  EXPECT_TRUE(*relay_.Relay("w-1", kHeir, Slice(0, 0), 1024));
  EXPECT_FALSE(*relay_.Relay("w-1", 8, Slice(0, 1024), 1024)) << "the heir has another stream";
  EXPECT_FALSE(*relay_.Relay("w-1", kHeir, Slice(1, 1024), 1024)) << "another chunk";
}

TEST_F(HandoverRelayTest, FewAreOnTheirWayAtATime) {
  for (size_t i = 0; i < kMaxHandovers; ++i) EXPECT_TRUE(RelayWhole("w-" + std::to_string(i), 0));
  EXPECT_FALSE(RelayWhole("another", 0));
  EXPECT_TRUE(relay_.Acknowledge("w-1", 0, kHeir));
  EXPECT_TRUE(RelayWhole("another", 0));
}

TEST_F(HandoverRelayTest, NobodyWaitsForAnAcknowledgementTwice) {
  EXPECT_TRUE(RelayWhole("w-1", 0));
  EXPECT_FALSE(relay_.Acknowledge("w-1", 1, kHeir));
  EXPECT_FALSE(relay_.Acknowledge("w-2", 0, kHeir));
  EXPECT_FALSE(relay_.Acknowledge("w-1", 0, 8)) << "another one's word";
  EXPECT_TRUE(relay_.Acknowledge("w-1", 0, kHeir));
  EXPECT_FALSE(relay_.Acknowledge("w-1", 0, kHeir));
}

TEST_F(HandoverRelayTest, RefusesWhatIsNoPieceOfAResidual) {
  const auto is_refused = [](const std::string& what) {
    return StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(what));
  };
  EXPECT_THAT(relay_.Relay("w-1", kHeir, Slice(0, 0, kBytes + 4), 1024),
              is_refused("`handover.slice.total_bytes` = 2052, must be 2048"));
  EXPECT_THAT(relay_.Relay("w-1", kHeir, Slice(2, 0), 1024),
              is_refused("`handover.chunk` = 2, must be one that is not always exchanged dense"));
  EXPECT_THAT(relay_.Relay("w-1", kHeir, Slice(0, 2044), 8),
              is_refused("`handover.slice.offset_bytes` = 2044 and 8 bytes"));
  EXPECT_THAT(relay_.Relay("w-1", kHeir, Slice(0, ~uint64_t{0}), 8), is_refused("offset_bytes"));
  EXPECT_THAT(relay_.Relay("w-1", kHeir, Slice(0, 0), 0), is_refused("and 0 bytes"));
  EXPECT_THAT(relay_.Relay("w-1", kHeir, Slice(0, 0), kMaxSliceBytes + 1), is_refused("a piece"));
}

}  // namespace
}  // namespace tally
