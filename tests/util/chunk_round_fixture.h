// One chunk of a job, for tests of its exchanges.
#ifndef TALLY_TESTS_UTIL_CHUNK_ROUND_FIXTURE_H_
#define TALLY_TESTS_UTIL_CHUNK_ROUND_FIXTURE_H_

#include <algorithm>
#include <cstring>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "absl/types/variant.h"
#include "aggregator/chunk_log.h"
#include "aggregator/chunk_round.h"
#include "aggregator/contribution_reader.h"
#include "aggregator/exchange_task.h"
#include "aggregator/job_description.h"
#include "base/buffer.h"
#include "base/digest.h"
#include "codecs/exchange.h"
#include "codecs/roster.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "kernels/host_backends.h"
#include "proto/tally/v1/exchange.pb.h"
#include "tests/util/contribution_builder.h"
#include "tests/util/hello_builder.h"
#include "tests/util/status_matchers.h"

namespace tally {

inline constexpr uint64_t kSerial = 5;
inline constexpr uint32_t kChunk = 1;
inline constexpr uint64_t kFirstRound = 10;
inline constexpr size_t kNumElements = 512;

inline SharedBuffer BufferOf(const std::string& bytes) {
  Buffer buffer(bytes.size());
  std::copy(bytes.begin(), bytes.end(), buffer.bytes().begin());
  return std::make_shared<const Buffer>(std::move(buffer));
}

inline MemberId Member(size_t index) { return {"w-" + std::to_string(index), 100 + index}; }

inline Roster RosterOf(size_t size) {
  std::vector<MemberId> members;
  for (size_t i = 0; i < size; ++i) members.push_back(Member(i));
  absl::StatusOr<Roster> roster = Roster::Create(0, std::move(members));
  EXPECT_THAT(roster, IsOk());
  return *std::move(roster);
}

inline Exchange OverRoster(Exchange exchange) {
  exchange.divisor = Divisor::kRoster;
  return exchange;
}

inline Exchange ZeroingSign() {
  Exchange exchange = SignBlocks256();
  absl::get<SignExchange>(exchange.kind).zero_residual = true;
  return exchange;
}

// A chunk whose members contribute the same value to every element.
class ChunkRoundTest : public testing::Test {
 protected:
  ChunkRoundTest() {
    absl::StatusOr<ValidHello> valid =
        ValidateHello(HelloBuilder().FirstRound(kFirstRound).Build(), "agg-0");
    EXPECT_THAT(valid, IsOk());
    description_ = std::make_shared<const JobDescription>(std::move(valid)->description);
    round_ = std::make_unique<ChunkRound>(kSerial, kChunk, description_);
  }

  void Form(size_t roster_size) { genesis_ = round_->Form(RosterOf(roster_size), {}, Now()); }

  absl::Time Now() const { return absl::UnixEpoch() + elapsed_; }

  StagedContribution Contribution(const Exchange& exchange, float value) const {
    const std::string payload = absl::holds_alternative<DenseExchange>(exchange.kind)
                                    ? DensePayload(std::vector<float>(kNumElements, value))
                                    : SignPayload({value, value}, kNumElements);
    return {.chunk = kChunk,
            .place = round_->place(),
            .prev_chain = round_->history().chain(),
            .exchange = exchange,
            .payload = BufferOf(payload),
            .payload_digest = Digest64(payload)};
  }

  StagedContribution Abstention() const {
    return {.chunk = kChunk,
            .place = round_->place(),
            .prev_chain = round_->history().chain(),
            .abstain = true,
            .exchange = DenseFloat32()};
  }

  absl::StatusOr<ChunkRound::Verdict> Stage(size_t member, StagedContribution contribution) {
    return round_->Stage(Member(member), std::move(contribution), Now());
  }

  // Member i contributes values[i].
  void StageAll(const Exchange& exchange, const std::vector<float>& values) {
    for (size_t i = 0; i < values.size(); ++i) {
      ASSERT_THAT(Stage(i, Contribution(exchange, values[i])), IsOk());
    }
  }

  std::shared_ptr<const StoredResult> Publish(const ChunkRound::Sealing& sealing) {
    const absl::StatusOr<ExchangeOutcome> outcome =
        RunExchange(*sealing.task, *HostBackends().front());
    EXPECT_THAT(outcome, IsOk());
    return round_->Publish(*outcome, Now()).result;
  }

  // Plays one exchange to its end.
  std::shared_ptr<const StoredResult> Play(const Exchange& exchange,
                                           const std::vector<float>& values) {
    StageAll(exchange, values);
    absl::StatusOr<ChunkRound::Sealing> sealing = round_->Seal(Now());
    EXPECT_THAT(sealing, IsOk());
    return Publish(*sealing);
  }

  static v1::ResultHeader HeaderOf(const StoredResult& result) {
    v1::ResultHeader header;
    EXPECT_TRUE(header.ParseFromString(result.message.header()));
    return header;
  }

  static float FirstValue(const StoredResult& result) {
    float value = 0;
    std::memcpy(&value, result.payload->data(), sizeof(value));
    return value;
  }

  absl::Duration elapsed_;
  std::shared_ptr<const JobDescription> description_;
  std::unique_ptr<ChunkRound> round_;
  std::shared_ptr<const StoredResult> genesis_;
};

}  // namespace tally

#endif  // TALLY_TESTS_UTIL_CHUNK_ROUND_FIXTURE_H_
