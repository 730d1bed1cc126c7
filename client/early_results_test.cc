#include "client/early_results.h"

#include <memory>

#include "base/buffer.h"
#include "client/exchanger.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/util/status_matchers.h"

namespace tally {
namespace {

using ::testing::ElementsAre;
using ::testing::Field;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

ChunkResult ResultOf(uint64_t round, uint32_t chunk, size_t num_bytes) {
  ChunkResult result;
  result.round = round;
  result.chunk = chunk;
  if (num_bytes > 0) result.payload = std::make_shared<const Buffer>(num_bytes);
  return result;
}

TEST(EarlyResultsTest, ARoundsResultsComeInTheirOrder) {
  EarlyResults results(100, 100);
  for (const uint64_t round : {5, 6}) {
    for (const uint32_t chunk : {1u, 0u}) {
      ASSERT_THAT(results.Add(ResultOf(round, chunk, 0)), IsOk());
    }
  }
  EXPECT_THAT(results.Take(4), IsEmpty());
  EXPECT_THAT(results.Take(5),
              ElementsAre(Field(&ChunkResult::chunk, 1u), Field(&ChunkResult::chunk, 0u)));
  EXPECT_FALSE(results.empty());
  EXPECT_THAT(results.Take(6),
              ElementsAre(Field(&ChunkResult::round, 6u), Field(&ChunkResult::round, 6u)));
  EXPECT_TRUE(results.empty());
}

TEST(EarlyResultsTest, FewLargeOnesAndManySmallOnesMayWait) {
  EarlyResults few(2, 10);
  for (int i = 0; i < 2; ++i) EXPECT_THAT(few.Add(ResultOf(0, 0, 1000)), IsOk());
  EarlyResults small(2, 10);
  for (int i = 0; i < 10; ++i) EXPECT_THAT(small.Add(ResultOf(0, 0, 1)), IsOk());
}

TEST(EarlyResultsTest, ManyLargeOnesMayNot) {
  EarlyResults results(2, 10);
  for (int i = 0; i < 2; ++i) ASSERT_THAT(results.Add(ResultOf(7, 0, 5)), IsOk());
  EXPECT_THAT(results.Add(ResultOf(8, 0, 1)),
              StatusIs(absl::StatusCode::kResourceExhausted,
                       HasSubstr("3 results of 11 bytes wait for their rounds")));
  results.Take(7);
  EXPECT_THAT(results.Add(ResultOf(9, 0, 5)), IsOk()) << "what was taken waits no more";
}

TEST(EarlyResultsTest, WhatANewcomerBeganWithDoesNotCount) {
  EarlyResults results(2, 10);
  results.GrantBacklog(500);
  for (int i = 0; i < 5; ++i) ASSERT_THAT(results.Add(ResultOf(7, 0, 100)), IsOk());
  EXPECT_THAT(results.Add(ResultOf(8, 0, 10)), IsOk());
  EXPECT_THAT(results.Add(ResultOf(9, 0, 1)), StatusIs(absl::StatusCode::kResourceExhausted));
}

}  // namespace
}  // namespace tally
