#include "client/saved_run.h"

#include <cstring>
#include <memory>
#include <utility>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/util/status_matchers.h"

namespace tally {
namespace {

using ::testing::HasSubstr;

Layout TwoChunks() { return *Layout::Create({{.name = "weights", .num_elements = 512}}, 256); }

SharedBuffer Bytes(size_t size, uint8_t value) {
  Buffer buffer(size);
  std::memset(buffer.data(), value, size);
  return std::make_shared<const Buffer>(std::move(buffer));
}

SavedRun Example() {
  SavedRun run{.worker = "w-3", .next_round = 800};
  run.chunks.push_back({.place = {799, 1}, .chain = 5, .workers_digest = 6});
  run.chunks.push_back({.place = {799, 0},
                        .chain = 7,
                        .workers_digest = 6,
                        .residual_norm = 1.5,
                        .snapshot = Bytes(1024, 9)});
  run.inheritances.push_back({"w-1", 1, Bytes(1024, 3)});
  run.inheritances.push_back({"w-2", 0, Bytes(1024, 4)});
  return run;
}

TEST(SavedRunTest, ComesBackAsItWas) {
  const absl::StatusOr<SavedRun> run =
      DecodeSavedRun(EncodeSavedRun(Example(), TwoChunks()), TwoChunks());
  ASSERT_THAT(run, IsOk());
  EXPECT_EQ(run->worker, "w-3");
  EXPECT_EQ(run->next_round, 800u);
  ASSERT_EQ(run->chunks.size(), 2u);
  EXPECT_EQ(run->chunks[0].place, (Place{799, 1}));
  EXPECT_EQ(run->chunks[0].chain, 5u);
  EXPECT_EQ(run->chunks[0].workers_digest, 6u);
  EXPECT_EQ(run->chunks[0].residual_norm, 0);
  EXPECT_EQ(run->chunks[0].snapshot, nullptr);
  EXPECT_EQ(run->chunks[1].residual_norm, 1.5);
  ASSERT_NE(run->chunks[1].snapshot, nullptr);
  EXPECT_EQ(run->chunks[1].snapshot->size(), 1024u);
  EXPECT_EQ(run->chunks[1].snapshot->bytes()[1023], 9);
  ASSERT_EQ(run->inheritances.size(), 2u);
  EXPECT_EQ(run->inheritances[0].leaver, "w-1");
  EXPECT_EQ(run->inheritances[0].chunk, 1u);
  EXPECT_EQ(run->inheritances[1].leaver, "w-2");
  EXPECT_EQ(run->inheritances[1].payload->bytes()[1023], 4);
}

TEST(SavedRunTest, WhatIsDamagedIsRefused) {
  std::string bytes = EncodeSavedRun(Example(), TwoChunks());
  bytes[bytes.size() / 2] ^= 1;
  EXPECT_THAT(DecodeSavedRun(bytes, TwoChunks()), StatusIs(absl::StatusCode::kDataLoss));
  EXPECT_THAT(DecodeSavedRun("", TwoChunks()), StatusIs(absl::StatusCode::kDataLoss));
}

TEST(SavedRunTest, OneOfAnotherLayoutIsRefused) {
  const Layout other = *Layout::Create({{.name = "weights", .num_elements = 768}}, 256);
  EXPECT_THAT(DecodeSavedRun(EncodeSavedRun(Example(), TwoChunks()), other),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("layout")));
}

TEST(SavedRunTest, ASnapshotOfAnotherSizeIsRefused) {
  SavedRun run = Example();
  run.chunks[1].snapshot = Bytes(1020, 9);
  EXPECT_THAT(DecodeSavedRun(EncodeSavedRun(run, TwoChunks()), TwoChunks()),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("`snapshot/1` has 1020 bytes, must have 1024")));
}

TEST(SavedRunTest, AnInheritanceOfNoChunkOrOfAnotherSizeIsRefused) {
  SavedRun run = Example();
  run.inheritances[1].payload = Bytes(1028, 4);
  EXPECT_THAT(DecodeSavedRun(EncodeSavedRun(run, TwoChunks()), TwoChunks()),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("`inheritance/1/values` has 1028 bytes, must have 1024")));
  run.inheritances[1].chunk = 2;
  EXPECT_THAT(DecodeSavedRun(EncodeSavedRun(run, TwoChunks()), TwoChunks()),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("`inheritance/1/chunk` = 2, must be below 2")));
}

}  // namespace
}  // namespace tally
