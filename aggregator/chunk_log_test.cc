#include "aggregator/chunk_log.h"

#include <utility>
#include <vector>

#include "aggregator/admission.h"
#include "codecs/checked_result.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace tally {
namespace {

using ::testing::SizeIs;

v1::ResultHeader GenesisBefore(uint64_t first_round) {
  v1::ResultHeader header;
  header.set_run(7);
  header.set_chunk(3);
  header.set_round(first_round - 1);
  header.mutable_genesis()->set_seed(42);
  *header.add_roster() = EncodeMember({"w-0", 10});
  *header.add_roster() = EncodeMember({"w-1", 11});
  return header;
}

v1::ResultHeader HeaderOf(uint64_t round) {
  v1::ResultHeader header;
  header.set_run(7);
  header.set_chunk(3);
  header.set_round(round);
  header.set_participants("\x03");
  return header;
}

v1::ResultHeader Parse(const StoredResult& result) {
  v1::ResultHeader header;
  EXPECT_TRUE(header.ParseFromString(result.message.header()));
  return header;
}

TEST(ChunkLogTest, IsEmptyBeforeTheGenesis) {
  const ChunkLog history(2);
  EXPECT_EQ(history.chain(), 0u);
  EXPECT_EQ(history.newest(), nullptr);
  EXPECT_EQ(history.FindResult({0, 0}), nullptr);
  EXPECT_FALSE(history.Contains({0, 0}, 0));
  EXPECT_THAT(history.roster().members(), SizeIs(0));
}

TEST(ChunkLogTest, ChainIsTheDigestOfTheHeaderBytesAsSent) {
  ChunkLog history(2);
  const auto genesis = history.Append(GenesisBefore(0), nullptr, {}, false);
  EXPECT_EQ(genesis->chain, ChainOf(genesis->message.header()));
  EXPECT_EQ(Parse(*genesis).prev_chain(), 0u);
  const auto first = history.Append(HeaderOf(0), nullptr, {}, false);
  EXPECT_EQ(Parse(*first).prev_chain(), genesis->chain);
  EXPECT_EQ(first->chain, ChainOf(first->message.header()));
  EXPECT_EQ(history.chain(), first->chain);
}

TEST(ChunkLogTest, TheGenesisBringsTheRosterAndLaterHeadersItsEpoch) {
  ChunkLog history(2);
  history.Append(GenesisBefore(5), nullptr, {}, false);
  EXPECT_THAT(history.roster().members(),
              testing::ElementsAre(MemberId{"w-0", 10}, MemberId{"w-1", 11}));
  const auto next = history.Append(HeaderOf(5), nullptr, {}, false);
  EXPECT_EQ(Parse(*next).epoch(), history.roster().epoch());
  EXPECT_THAT(Parse(*next).roster(), SizeIs(0));
}

TEST(ChunkLogTest, AStoredResultSaysAllButTheSlice) {
  ChunkLog history(2);
  history.Append(GenesisBefore(0), nullptr, {}, false);
  v1::Advice advice;
  advice.set_wait_us(17);
  const auto payload = std::make_shared<const Buffer>(8);
  const auto result = history.Append(HeaderOf(0), payload, advice, false);
  EXPECT_EQ(result->place, (Place{0, 0}));
  EXPECT_EQ(result->payload, payload);
  EXPECT_EQ(result->message.chunk(), 3u);
  EXPECT_EQ(result->message.round(), 0u);
  EXPECT_EQ(result->message.advice().wait_us(), 17u);
  EXPECT_FALSE(result->message.has_slice());
}

TEST(ChunkLogTest, KeepsTheLastResultsOnly) {
  ChunkLog history(2);
  history.Append(GenesisBefore(0), nullptr, {}, false);
  for (uint64_t round = 0; round < 5; ++round) {
    const auto result = history.Append(HeaderOf(round), nullptr, {}, false);
    EXPECT_EQ(history.newest(), result);
    EXPECT_EQ(history.FindResult({round, 0}), result);
  }
  EXPECT_NE(history.FindResult({3, 0}), nullptr);
  EXPECT_EQ(history.FindResult({2, 0}), nullptr);
}

TEST(ChunkLogTest, KnowsItsOwnEntriesByRoundAndChain) {
  ChunkLog history(2);
  const auto genesis = history.Append(GenesisBefore(0), nullptr, {}, false);
  const auto first = history.Append(HeaderOf(0), nullptr, {}, false);
  EXPECT_TRUE(history.Contains(genesis->place, genesis->chain));
  EXPECT_TRUE(history.Contains({0, 0}, first->chain));
  EXPECT_FALSE(history.Contains({0, 0}, genesis->chain));
  EXPECT_FALSE(history.Contains({1, 0}, first->chain));
}

v1::Entry EntryWith(uint64_t chain) {
  v1::Entry entry;
  entry.set_chain(chain);
  return entry;
}

TEST(ChunkLogTest, LeadsOnFromEntriesAfterWhichAllResultsAreKept) {
  ChunkLog history(2);
  std::vector<uint64_t> chains;
  history.Append(GenesisBefore(0), nullptr, {}, false);
  for (uint64_t round = 0; round < 4; ++round) {
    chains.push_back(history.Append(HeaderOf(round), nullptr, {}, false)->chain);
  }
  EXPECT_TRUE(history.LeadsOnFrom(EntryWith(chains[3])));
  EXPECT_TRUE(history.LeadsOnFrom(EntryWith(chains[1])));
  EXPECT_FALSE(history.LeadsOnFrom(EntryWith(chains[0])));
  EXPECT_FALSE(history.LeadsOnFrom(EntryWith(chains[3] + 1)));

  // What was read back may begin right after an entry.
  ChunkLog restored(2);
  CheckedResult newest;
  newest.header = Parse(*history.newest());
  newest.header_bytes = history.newest()->message.header();
  newest.chain = history.chain();
  restored.Restore({newest}, history.roster());
  EXPECT_TRUE(restored.LeadsOnFrom(EntryWith(chains[2])));
  EXPECT_FALSE(restored.LeadsOnFrom(EntryWith(chains[1])));
}

TEST(ChunkLogTest, ForgetsHeadersPastTheLimit) {
  ChunkLog history(2);
  const auto genesis = history.Append(GenesisBefore(0), nullptr, {}, false);
  for (uint64_t round = 0; round + 1 < kKeptHeaders; ++round) {
    history.Append(HeaderOf(round), nullptr, {}, false);
  }
  EXPECT_TRUE(history.Contains(genesis->place, genesis->chain));
  history.Append(HeaderOf(kKeptHeaders - 1), nullptr, {}, false);
  EXPECT_FALSE(history.Contains(genesis->place, genesis->chain));
}

TEST(ChunkLogDeathTest, AHeaderThatContradictsTheRosterIsOurBug) {
  ChunkLog history(2);
  history.Append(GenesisBefore(0), nullptr, {}, false);
  v1::ResultHeader header = HeaderOf(0);
  *header.add_evicted() = EncodeMember({"w-9", 1});
  EXPECT_DEATH(history.Append(std::move(header), nullptr, {}, false), "evicted");
}

}  // namespace
}  // namespace tally
