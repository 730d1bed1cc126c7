#include "client/saved_state.h"

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "base/digest.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/util/status_matchers.h"

namespace tally {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

Layout LayoutOfSize(uint64_t num_elements) {
  return *Layout::Create({{.name = "t", .num_elements = num_elements}});
}

std::string SmallState() {
  SavedStateWriter writer("method", LayoutOfSize(3), 42);
  const float values[] = {1.0f, -2.5f};
  writer.AddValues<float>("values", values);
  writer.AddBytes("empty", "");
  return std::move(writer).Finish();
}

// The bytes with the digest that they should close with.
std::string Resealed(std::string state) {
  state.resize(state.size() - sizeof(uint64_t));
  const uint64_t digest = Digest64(absl::string_view(state));
  state.append(reinterpret_cast<const char*>(&digest), sizeof(digest));
  return state;
}

TEST(SavedStateTest, GivesBackWhatWasWritten) {
  const std::string bytes = SmallState();
  const absl::StatusOr<SavedState> state = SavedState::Parse(bytes);
  ASSERT_THAT(state, IsOk());
  EXPECT_THAT(state->CheckBelongsTo("method", LayoutOfSize(3)), IsOk());
  EXPECT_EQ(state->steps(), 42u);
  std::vector<float> values(2);
  EXPECT_THAT(state->Values("values", absl::MakeSpan(values)), IsOk());
  EXPECT_THAT(values, ElementsAre(1.0f, -2.5f));
  EXPECT_TRUE(state->Has("empty"));
  EXPECT_THAT(state->Bytes("empty"), IsOkAndHolds(""));
}

TEST(SavedStateTest, NamesWhatItBelongsTo) {
  const std::string bytes = SmallState();
  const absl::StatusOr<SavedState> state = SavedState::Parse(bytes);
  ASSERT_THAT(state, IsOk());
  EXPECT_THAT(state->CheckBelongsTo("other", LayoutOfSize(3)),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       AllOf(HasSubstr("`method` = method"), HasSubstr("other"))));
  EXPECT_THAT(state->CheckBelongsTo("method", LayoutOfSize(4)),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("`layout`")));
}

TEST(SavedStateTest, RefusesSectionsThatAreNotThereOrOfAnotherSize) {
  const std::string bytes = SmallState();
  const absl::StatusOr<SavedState> state = SavedState::Parse(bytes);
  ASSERT_THAT(state, IsOk());
  EXPECT_FALSE(state->Has("absent"));
  EXPECT_THAT(state->Bytes("absent"),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("`absent`")));
  std::vector<float> values(3);
  EXPECT_THAT(state->Values("values", absl::MakeSpan(values)),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("has 8 bytes, must be 12")));
}

TEST(SavedStateTest, FindsEveryFlippedBitAndEveryCut) {
  const std::string bytes = SmallState();
  for (size_t i = 0; i < bytes.size(); ++i) {
    SCOPED_TRACE(i);
    EXPECT_THAT(SavedState::Parse(bytes.substr(0, i)), StatusIs(absl::StatusCode::kDataLoss));
    std::string flipped = bytes;
    flipped[i] = static_cast<char>(flipped[i] ^ 0x10);
    EXPECT_THAT(SavedState::Parse(flipped), StatusIs(absl::StatusCode::kDataLoss));
  }
}

TEST(SavedStateTest, SurvivesHostileLengthsUnderARightDigest) {
  const std::string bytes = SmallState();
  for (size_t i = 8; i + sizeof(uint64_t) < bytes.size(); ++i) {
    SCOPED_TRACE(i);
    std::string hostile = bytes;
    hostile[i] = static_cast<char>(0xff);
    const std::string resealed = Resealed(hostile);
    const absl::StatusOr<SavedState> state = SavedState::Parse(resealed);
    // Either it is refused, or what it holds lies within the bytes.
    if (!state.ok() || !state->Has("values")) continue;
    const absl::string_view section = *state->Bytes("values");
    EXPECT_GE(section.data(), resealed.data());
    EXPECT_LE(section.data() + section.size(), resealed.data() + resealed.size());
  }
}

TEST(SavedStateTest, RefusesBytesAfterTheLastSection) {
  std::string longer = SmallState();
  longer.insert(longer.size() - sizeof(uint64_t), "x");
  EXPECT_THAT(SavedState::Parse(Resealed(longer)),
              StatusIs(absl::StatusCode::kDataLoss, HasSubstr("follow the last section")));
}

TEST(SavedStateTest, RefusesAnotherFormatVersion) {
  std::string newer = SmallState();
  newer[8] = 2;
  EXPECT_THAT(SavedState::Parse(Resealed(newer)),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("`version` = 2")));
}

}  // namespace
}  // namespace tally
