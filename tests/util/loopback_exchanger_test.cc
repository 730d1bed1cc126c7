#include "tests/util/loopback_exchanger.h"

#include <cstdint>
#include <cstring>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "kernels/host_backends.h"
#include "tests/util/status_matchers.h"

namespace tally {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr uint32_t kChunk = 0;
const Exchange kDense = {DenseExchange{}, Divisor::kParticipants};

Layout TwoElements() { return *Layout::Create({{.name = "t", .num_elements = 2}}); }

Buffer Payload(float first, float second) {
  const float values[] = {first, second};
  Buffer payload(sizeof(values));
  std::memcpy(payload.data(), values, sizeof(values));
  return payload;
}

std::vector<float> Values(const SharedBuffer& payload) {
  std::vector<float> values(payload->size() / sizeof(float));
  std::memcpy(values.data(), payload->data(), payload->size());
  return values;
}

LoopbackGroup NewGroup(LoopbackOptions options) {
  return LoopbackGroup(TwoElements(), std::move(options), HostBackends().front());
}

absl::Status ContributeTo(Exchanger* worker, float first, float second) {
  absl::Status status = worker->StartRound();
  status.Update(worker->Contribute(kChunk, kDense, Payload(first, second)));
  return status;
}

TEST(LoopbackGroupTest, GivesEveryWorkerTheMean) {
  LoopbackGroup group = NewGroup({.num_workers = 2});
  ASSERT_THAT(ContributeTo(group.worker(0), 1.0f, 2.0f), IsOk());
  EXPECT_THAT(group.worker(0)->PollResult()->has_value(), false);
  ASSERT_THAT(ContributeTo(group.worker(1), 3.0f, -2.0f), IsOk());
  for (size_t w = 0; w < 2; ++w) {
    const absl::StatusOr<ChunkResult> result = group.worker(w)->NextResult();
    ASSERT_THAT(result, IsOk());
    EXPECT_TRUE(result->counted);
    EXPECT_THAT(Values(result->payload), ElementsAre(2.0f, 0.0f));
  }
}

TEST(LoopbackGroupTest, LeavesOutWhoMissesAndSaysSo) {
  LoopbackGroup group = NewGroup(
      {.num_workers = 2, .misses = [](size_t worker, uint64_t, uint32_t) { return worker == 0; }});
  ASSERT_THAT(ContributeTo(group.worker(0), 1.0f, 2.0f), IsOk());
  ASSERT_THAT(ContributeTo(group.worker(1), 3.0f, -2.0f), IsOk());
  const absl::StatusOr<ChunkResult> result = group.worker(0)->NextResult();
  ASSERT_THAT(result, IsOk());
  EXPECT_FALSE(result->counted);
  EXPECT_EQ(result->num_participants, 1u);
  EXPECT_THAT(Values(result->payload), ElementsAre(3.0f, -2.0f));
}

TEST(LoopbackGroupTest, ExchangesNothingIfEverybodyAbstains) {
  LoopbackGroup group = NewGroup({});
  ASSERT_THAT(group.worker(0)->StartRound(), IsOk());
  ASSERT_THAT(group.worker(0)->Abstain(kChunk, kDense), IsOk());
  const absl::StatusOr<ChunkResult> result = group.worker(0)->NextResult();
  ASSERT_THAT(result, IsOk());
  EXPECT_FALSE(result->exchange.has_value());
  EXPECT_EQ(result->payload, nullptr);
}

TEST(LoopbackGroupTest, RefusesAnotherExchangeThanTheFirst) {
  LoopbackGroup group = NewGroup({.num_workers = 2});
  ASSERT_THAT(ContributeTo(group.worker(0), 1.0f, 2.0f), IsOk());
  ASSERT_THAT(group.worker(1)->StartRound(), IsOk());
  EXPECT_THAT(group.worker(1)->Abstain(kChunk, {SignExchange{}, Divisor::kParticipants}),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("worker 1 exchanges")));
}

TEST(LoopbackGroupTest, AFailingWorkerStopsTheOthers) {
  LoopbackGroup group = NewGroup({.num_workers = 2});
  EXPECT_THAT(group.RunWorkers([&](size_t worker) -> absl::Status {
    if (worker == 1) return absl::OutOfRangeError("mine");
    absl::Status status = ContributeTo(group.worker(0), 1.0f, 2.0f);
    status.Update(group.worker(0)->NextResult().status());
    return status;
  }),
              StatusIs(absl::StatusCode::kOutOfRange, "mine"));
}

TEST(LoopbackGroupTest, LogsWhatWasExchanged) {
  LoopbackGroup group = NewGroup({.keep_log = true});
  ASSERT_THAT(ContributeTo(group.worker(0), 1.0f, 2.0f), IsOk());
  const std::vector<LoopbackEntry> log = group.TakeLog();
  ASSERT_EQ(log.size(), 1u);
  EXPECT_THAT(log[0].counted, ElementsAre(true));
  EXPECT_THAT(Values(log[0].contributions[0]), ElementsAre(1.0f, 2.0f));
  EXPECT_THAT(Values(log[0].result), ElementsAre(1.0f, 2.0f));
}

}  // namespace
}  // namespace tally
