// A chunk whose aggregator was lost, for tests of how it is read back.
#ifndef TALLY_TESTS_UTIL_CHUNK_RECOVERY_FIXTURE_H_
#define TALLY_TESTS_UTIL_CHUNK_RECOVERY_FIXTURE_H_

#include <algorithm>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/types/optional.h"
#include "aggregator/chunk_log.h"
#include "aggregator/chunk_recovery.h"
#include "aggregator/chunk_round.h"
#include "aggregator/exchange_task.h"
#include "aggregator/job_description.h"
#include "aggregator/replay_reader.h"
#include "base/buffer.h"
#include "base/digest.h"
#include "codecs/checked_result.h"
#include "codecs/roster.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "kernels/host_backends.h"
#include "tests/util/contribution_builder.h"
#include "tests/util/hello_builder.h"
#include "tests/util/status_matchers.h"

namespace tally {

inline constexpr uint32_t kChunk = 1;
inline constexpr size_t kNumElements = 512;

inline MemberId Member(size_t index) { return {absl::StrCat("w-", index), 100 + index}; }

// A chunk that two workers have exchanged as signs for three rounds; its aggregator is then lost.
class ChunkRecoveryTest : public testing::Test {
 protected:
  ChunkRecoveryTest() {
    description_ = std::make_shared<const JobDescription>(
        ValidateHello(HelloBuilder().ExpectedWorkers(2).Build(), "agg-0")->description);
    lost_ = std::make_unique<ChunkRound>(1, kChunk, description_);
    results_.push_back(lost_->Form(*Roster::Create(0, {Member(0), Member(1)}), {}, {}));
    for (const float value : {1.0f, 2.0f, 4.0f}) PlayRound(value);
    recovery_ = std::make_unique<ChunkRecovery>(2, kChunk, description_);
  }

  void PlayRound(float value, size_t num_members = 2, bool saves = false) {
    std::vector<StagedContribution> sent;
    for (size_t i = 0; i < num_members; ++i) {
      const float scale = value + static_cast<float>(i);
      const std::string bytes = SignPayload({scale, value}, kNumElements, {i, 7 + i});
      Buffer payload(bytes.size());
      std::copy(bytes.begin(), bytes.end(), payload.bytes().begin());
      StagedContribution contribution = {
          .chunk = kChunk,
          .place = lost_->place(),
          .prev_chain = lost_->history().chain(),
          .exchange = SignBlocks256(),
          .payload = std::make_shared<const Buffer>(std::move(payload)),
          .payload_digest = Digest64(bytes)};
      contribution.save = saves;
      sent.push_back(contribution);
      EXPECT_THAT(lost_->Stage(Member(i), std::move(contribution), {}), IsOk());
    }
    contributions_.push_back(std::move(sent));
    absl::StatusOr<ChunkRound::Sealing> sealing = lost_->Seal({});
    const absl::StatusOr<ExchangeOutcome> outcome =
        RunExchange(*sealing->task, *HostBackends().front());
    results_.push_back(lost_->Publish(*outcome, {}).result);
  }

  v1::Entry EntryAt(size_t index) const {
    v1::Entry entry;
    entry.set_round(results_[index]->place.round);
    entry.set_chain(results_[index]->chain);
    entry.set_epoch(lost_->history().roster().epoch());
    return entry;
  }

  // What a worker holds that has applied the results up to that index.
  ChunkClaim ClaimUpTo(size_t index) const {
    ChunkClaim claim;
    claim.head = EntryAt(index);
    v1::ChunkProgress& progress = claim.progress;
    progress.mutable_headers()->set_first(results_[0]->place.round);
    progress.mutable_headers()->set_last(claim.head->round());
    *progress.mutable_results() = progress.headers();
    if (index > 0) {
      progress.mutable_contributions()->set_first(0);
      progress.mutable_contributions()->set_last(claim.head->round());
    }
    v1::SnapshotKey& zero = *progress.add_snapshots();
    zero.set_round(results_[0]->place.round);
    zero.set_chain(results_[0]->chain);
    zero.set_is_zero(true);
    claim.rosters[0] = *Roster::Create(0, {Member(0), Member(1)});
    claim.rosters[claim.head->epoch()] = lost_->history().roster();
    return claim;
  }

  static std::vector<std::string> Names(const std::vector<ChunkRecovery::Ask>& asks) {
    std::vector<std::string> names;
    for (const ChunkRecovery::Ask& ask : asks) {
      names.push_back(absl::StrCat(ask.member.worker, " ", v1::Need::Kind_Name(ask.need.kind()),
                                   " ", ask.need.rounds().first() + 1, "..",
                                   ask.need.rounds().last() + 1));
    }
    return names;
  }

  CheckedResult ResultAt(size_t index) const {
    absl::StatusOr<CheckedResult> result =
        CheckResult(results_[index]->message, results_[index]->payload, description_->layout,
                    *HostBackends().front());
    EXPECT_THAT(result, IsOk());
    return *std::move(result);
  }

  // Answers what is asked until nothing more is, as workers that hold everything would; without the
  // contribution of worker 1 to `withheld`.
  void AnswerAll(absl::optional<uint64_t> withheld = absl::nullopt) {
    for (ChunkRecovery::Work work = recovery_->Proceed(true);
         !work.asks.empty() || work.task.has_value(); work = recovery_->Proceed(true)) {
      for (const ChunkRecovery::Ask& ask : work.asks) Answer(ask, withheld);
      if (work.task.has_value()) {
        recovery_->TakeOutcome(*RunExchange(*work.task, *FastestHostBackend()));
      }
    }
  }

  void Answer(const ChunkRecovery::Ask& ask, absl::optional<uint64_t> withheld) {
    const size_t first = ask.need.rounds().first() + 1;
    const size_t last = ask.need.rounds().last() + 1;
    for (size_t i = first; i <= last; ++i) {
      Replayed piece;
      if (ask.need.kind() == v1::Need::KIND_RESULT) {
        piece = ResultAt(i);
      } else if (ask.need.kind() == v1::Need::KIND_HEADER) {
        piece = ReplayedHeader{ResultAt(i).header, results_[i]->chain};
      } else {
        const size_t worker = ask.member == Member(0) ? 0 : 1;
        if (worker == 1 && withheld == i - 1) continue;
        piece = ReplayedContribution{results_[i]->chain, contributions_[i - 1][worker]};
      }
      EXPECT_THAT(recovery_->Take(ask.member, std::move(piece)), IsOk());
    }
  }

  // Worker 1 leaves, and worker 0 goes on for a round.
  void PlayLeave() {
    lost_->Leave(Member(1), /*gone_from=*/3, /*hands_over=*/true);
    PlayRound(8, /*num_members=*/1);
  }
  ChunkClaim LeaversClaim() const {
    ChunkClaim leaver = ClaimUpTo(3);
    leaver.head->set_epoch(0);
    return leaver;
  }
  void ExpectRecovered(bool rebased) {
    ASSERT_EQ(recovery_->phase(), ChunkRecovery::Phase::kDone);
    EXPECT_EQ(recovery_->TakeRecovered().rebased, rebased);
  }

  static SharedBuffer Values(float value) {
    return TakeResidualSnapshot(kChunk, {}, 0, std::vector<float>(kNumElements, value))->payload;
  }

  std::shared_ptr<const JobDescription> description_;
  std::unique_ptr<ChunkRound> lost_;
  std::vector<std::shared_ptr<const StoredResult>> results_;  // the genesis first
  std::vector<std::vector<StagedContribution>> contributions_;
  std::unique_ptr<ChunkRecovery> recovery_;
};

}  // namespace tally

#endif  // TALLY_TESTS_UTIL_CHUNK_RECOVERY_FIXTURE_H_
