#include "codecs/vote_codec.h"

#include <random>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "kernels/backend.h"
#include "kernels/host_backends.h"
#include "tests/util/status_matchers.h"

namespace tally {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

// Plane by plane, as the header has it.
std::vector<uint8_t> PlanesOf(const std::vector<uint32_t>& counts, uint32_t num_participants) {
  std::vector<uint8_t> planes(CountsPayloadBytes(counts.size(), num_participants));
  for (size_t i = 0; i < counts.size(); ++i) {
    for (uint32_t plane = 0; plane < CountPlanes(num_participants); ++plane) {
      if (((counts[i] >> plane) & 1) == 0) continue;
      planes[plane * BitmapBytes(counts.size()) + i / 8] |= static_cast<uint8_t>(1 << (i % 8));
    }
  }
  return planes;
}

TEST(VoteCodecTest, VotesTakeABitAndCountsAPlaneForEachBit) {
  EXPECT_EQ(VotePayloadBytes(8), 1u);
  EXPECT_EQ(VotePayloadBytes(9), 2u);
  const struct {
    uint32_t num_participants;
    size_t planes;
  } kCases[] = {{1, 1}, {2, 2}, {3, 2}, {4, 3}, {7, 3}, {8, 4}, {65535, 16}, {65536, 17}};
  for (const auto& test_case : kCases) {
    SCOPED_TRACE(test_case.num_participants);
    EXPECT_EQ(CountsPayloadBytes(9, test_case.num_participants), test_case.planes * 2);
  }
}

// The worked example of docs/wire-format.md: 0, 1, 2, 3, 0, 0, 3, 0, 1, 2 ones from 3 workers.
TEST(VoteCodecTest, CountsOfTheGoldenPlanes) {
  const std::vector<uint8_t> planes = PlanesOf({0, 1, 2, 3, 0, 0, 3, 0, 1, 2}, 3);
  EXPECT_THAT(planes, ElementsAre(0x4a, 0x01, 0x4c, 0x02));
  EXPECT_THAT(ValidateCounts(planes, 10, 3), IsOk());
}

TEST(VoteCodecTest, RefusesEveryOtherLength) {
  for (size_t size = 0; size <= 8; ++size) {
    SCOPED_TRACE(size);
    const std::vector<uint8_t> payload(size);
    const auto refused = [size](size_t expected) {
      return StatusIs(absl::StatusCode::kInvalidArgument,
                      absl::StrCat("`payload` has ", size, " bytes, must have ", expected));
    };
    if (size == 2) {
      EXPECT_THAT(ValidateVotes(payload, 12), IsOk());
    } else {
      EXPECT_THAT(ValidateVotes(payload, 12), refused(2));
    }
    if (size == 6) {
      EXPECT_THAT(ValidateCounts(payload, 12, 5), IsOk());
    } else {
      EXPECT_THAT(ValidateCounts(payload, 12, 5), refused(6));
    }
  }
}

TEST(VoteCodecTest, RefusesEachUnusedBitOfEachBitmap) {
  for (int bit = 4; bit < 8; ++bit) {
    SCOPED_TRACE(bit);
    const auto byte = static_cast<uint8_t>(1 << bit);
    const auto refused = [bit](size_t place) {
      return StatusIs(absl::StatusCode::kInvalidArgument,
                      HasSubstr(absl::StrCat("`payload[", place, "]` = 0x", 1 << (bit - 4),
                                             "0, must have only its lower 4 bits set (12 "
                                             "elements)")));
    };
    EXPECT_THAT(ValidateVotes({0x00, byte}, 12), refused(1));
    EXPECT_THAT(ValidateCounts({0, byte, 0, 0, 0, 0}, 12, 5), refused(1));
    EXPECT_THAT(ValidateCounts({0, 0, 0, byte, 0, 0}, 12, 5), refused(3));
    EXPECT_THAT(ValidateCounts({0, 0, 0, 0, 0, byte}, 12, 5), refused(5));
  }
  EXPECT_THAT(ValidateVotes({0xff}, 8), IsOk());
}

TEST(VoteCodecTest, RefusesExactlyTheCountsAboveTheParticipants) {
  for (uint32_t num_participants = 1; num_participants <= 40; ++num_participants) {
    const uint32_t largest = (1u << CountPlanes(num_participants)) - 1;
    for (uint32_t count = 0; count <= largest; ++count) {
      for (const size_t element : {0, 6, 7, 8, 11}) {
        std::vector<uint32_t> counts(12, num_participants);
        counts[element] = count;
        const absl::Status status =
            ValidateCounts(PlanesOf(counts, num_participants), 12, num_participants);
        if (count <= num_participants) {
          ASSERT_THAT(status, IsOk());
        } else {
          ASSERT_THAT(status, StatusIs(absl::StatusCode::kInvalidArgument,
                                       absl::StrCat("`payload.counts[", element, "]` = ", count,
                                                    ", must be at most ", num_participants,
                                                    ", the participants")));
        }
      }
    }
  }
}

TEST(VoteCodecTest, NamesTheFirstOfSeveralCounts) {
  EXPECT_THAT(ValidateCounts(PlanesOf({5, 0, 7, 6, 0, 0, 0, 0, 0, 7}, 5), 10, 5),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("`payload.counts[2]` = 7")));
}

TEST(VoteCodecTest, AcceptsTheCountsOfEveryBackend) {
  constexpr uint32_t kSeed = 3;
  std::mt19937 random(kSeed);
  for (const size_t num_elements : {1, 12, 1000}) {
    for (const size_t num_voters : {1, 2, 5, 16, 33}) {
      std::vector<std::vector<uint8_t>> ballots(num_voters,
                                                std::vector<uint8_t>(BitmapBytes(num_elements)));
      std::vector<absl::Span<const uint8_t>> spans;
      for (std::vector<uint8_t>& ballot : ballots) {
        for (size_t i = 0; i < num_elements; ++i) {
          if (random() % 4 != 0) ballot[i / 8] |= static_cast<uint8_t>(1 << (i % 8));
        }
        ASSERT_THAT(ValidateVotes(ballot, num_elements), IsOk());
        spans.push_back(ballot);
      }
      for (const Backend* backend : HostBackends()) {
        SCOPED_TRACE(absl::StrCat(backend->name(), " ", num_elements, " ", num_voters));
        const auto voters = static_cast<uint32_t>(num_voters);
        std::vector<uint8_t> planes(CountsPayloadBytes(num_elements, voters));
        ASSERT_THAT(backend->votes().CountVotes(spans, num_elements, absl::MakeSpan(planes)),
                    IsOk());
        EXPECT_THAT(ValidateCounts(planes, num_elements, voters), IsOk());
      }
    }
  }
}

}  // namespace
}  // namespace tally
