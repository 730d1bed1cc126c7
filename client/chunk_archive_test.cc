#include "client/chunk_archive.h"

#include <memory>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace tally {
namespace {

using ::testing::IsEmpty;
using ::testing::SizeIs;

constexpr uint64_t kGenesisRound = ~uint64_t{0};

uint64_t ChainOfRound(uint64_t round) { return 1000 + round; }

ChunkArchive::Entry EntryOf(uint64_t round, bool counted = true, uint32_t half = 0) {
  ChunkArchive::Entry entry;
  entry.place = {round, half};
  entry.chain = ChainOfRound(round);
  entry.header = "header";
  entry.result = std::make_shared<const Buffer>(4);
  if (counted) {
    entry.contribution.emplace();
    entry.contribution_payload = std::make_shared<const Buffer>(1);
  }
  return entry;
}

ChunkArchive::Snapshot SnapshotAfter(uint64_t round) {
  return {.place = {round, 0},
          .chain = ChainOfRound(round),
          .payload = std::make_shared<const Buffer>(4)};
}

// A genesis and the entries of rounds 0 to `rounds` - 1.
ChunkArchive ArchiveOf(uint64_t rounds, uint32_t snapshot_interval = 32) {
  ChunkArchive archive(snapshot_interval, /*kept_rounds=*/2);
  archive.Append(EntryOf(kGenesisRound, false));
  for (uint64_t round = 0; round < rounds; ++round) archive.Append(EntryOf(round));
  return archive;
}

v1::ChunkProgress Description(const ChunkArchive& archive) {
  v1::ChunkProgress progress;
  archive.Describe(progress);
  return progress;
}

TEST(ChunkArchiveTest, KeepsTheResultsOfTheLastTwoRounds) {
  const ChunkArchive archive = ArchiveOf(5);
  for (const ChunkArchive::Entry& entry : archive.entries()) {
    const bool is_recent = entry.place.round == 3 || entry.place.round == 4;
    EXPECT_EQ(entry.has_result, is_recent) << entry.place.round;
    EXPECT_EQ(entry.result != nullptr, is_recent) << entry.place.round;
  }
  EXPECT_EQ(Description(archive).results().first(), 3u);
  EXPECT_EQ(Description(archive).results().last(), 4u);
}

TEST(ChunkArchiveTest, HalvesOfARoundStayTogether) {
  ChunkArchive archive = ArchiveOf(2);
  archive.Append(EntryOf(2, false, 0));
  archive.Append(EntryOf(2, false, 1));
  archive.Append(EntryOf(3, false, 0));
  int kept = 0;
  for (const ChunkArchive::Entry& entry : archive.entries()) kept += entry.has_result ? 1 : 0;
  EXPECT_EQ(kept, 3) << "round 3's half and both of round 2";
}

TEST(ChunkArchiveTest, TheGenesisIsTheFirstFloorAndItsResidualIsZero) {
  const v1::ChunkProgress progress = Description(ArchiveOf(3));
  ASSERT_EQ(progress.snapshots_size(), 1);
  EXPECT_EQ(progress.snapshots(0).round(), kGenesisRound);
  EXPECT_TRUE(progress.snapshots(0).is_zero());
  EXPECT_EQ(progress.headers().first(), kGenesisRound);
  EXPECT_EQ(progress.contributions().first(), 0u);
  EXPECT_EQ(progress.contributions().last(), 2u);
}

TEST(ChunkArchiveTest, WhatTheFloorHasPassedIsDropped) {
  ChunkArchive archive = ArchiveOf(10);
  archive.SetFloor({6, 0}, ChainOfRound(6), /*is_zero=*/false);
  const v1::ChunkProgress progress = Description(archive);
  EXPECT_EQ(progress.headers().first(), 6u);
  EXPECT_EQ(progress.contributions().first(), 7u) << "the snapshot holds round 6";
  EXPECT_THAT(progress.snapshots(), IsEmpty()) << "it is in somebody else's custody";
}

TEST(ChunkArchiveTest, AFloorOfAnotherHistoryChangesNothing) {
  ChunkArchive archive = ArchiveOf(10);
  archive.SetFloor({6, 0}, ChainOfRound(7), false);
  archive.SetFloor({60, 0}, ChainOfRound(60), false);
  EXPECT_EQ(Description(archive).headers().first(), kGenesisRound);
}

TEST(ChunkArchiveTest, TheFloorNeverFalls) {
  ChunkArchive archive = ArchiveOf(10);
  archive.SetFloor({6, 0}, ChainOfRound(6), false);
  archive.SetFloor({5, 0}, ChainOfRound(5), true);
  EXPECT_EQ(Description(archive).headers().first(), 6u);
}

TEST(ChunkArchiveTest, ASnapshotIsKeptUntilANewerOneIsTheFloor) {
  ChunkArchive archive = ArchiveOf(10);
  EXPECT_TRUE(archive.KeepSnapshot(SnapshotAfter(4)));
  EXPECT_TRUE(archive.KeepSnapshot(SnapshotAfter(4))) << "a repeat";
  EXPECT_TRUE(archive.KeepSnapshot(SnapshotAfter(8)));
  EXPECT_THAT(archive.snapshots(), SizeIs(2));
  archive.SetFloor({4, 0}, ChainOfRound(4), false);
  EXPECT_THAT(archive.snapshots(), SizeIs(2));
  archive.SetFloor({8, 0}, ChainOfRound(8), false);
  EXPECT_THAT(archive.snapshots(), SizeIs(1));
}

TEST(ChunkArchiveTest, ASnapshotOfAnotherHistoryIsWorthNothing) {
  ChunkArchive archive = ArchiveOf(3);
  ChunkArchive::Snapshot snapshot = SnapshotAfter(2);
  snapshot.chain = 5;
  EXPECT_FALSE(archive.KeepSnapshot(std::move(snapshot)));
  EXPECT_FALSE(archive.KeepSnapshot(SnapshotAfter(3))) << "not applied yet";
  EXPECT_THAT(archive.snapshots(), IsEmpty());
}

TEST(ChunkArchiveTest, WithoutAFloorItsSizeIsBoundedAndItSaysSo) {
  const ChunkArchive archive = ArchiveOf(100, /*snapshot_interval=*/4);
  EXPECT_THAT(archive.entries(), SizeIs(13));
  EXPECT_TRUE(archive.unprotected());
  EXPECT_THAT(Description(archive).snapshots(), IsEmpty());
  EXPECT_FALSE(ArchiveOf(10, 4).unprotected());
}

TEST(ChunkArchiveTest, ListsEachRosterOnce) {
  ChunkArchive archive(4, /*kept_rounds=*/2);
  for (const uint64_t epoch : {1, 1, 2, 2}) {
    ChunkArchive::Entry entry = EntryOf(archive.entries().size());
    entry.roster = *Roster::Create(epoch, {{"w-1", 1}});
    archive.Append(std::move(entry));
  }
  ASSERT_THAT(archive.Rosters(), SizeIs(2));
  EXPECT_EQ(archive.Rosters()[0].epoch(), 1u);
  EXPECT_EQ(archive.Rosters()[1].epoch(), 2u);
}

}  // namespace
}  // namespace tally
