#include "client/optimizers/round_driver.h"

#include <cstdint>
#include <deque>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/util/status_matchers.h"

namespace tally {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

const Exchange kDense = {DenseExchange{}, Divisor::kParticipants};

// Answers each contribution with a prepared result once `delay` further chunks were sent, and
// writes down every call.
class FakeExchanger final : public Exchanger {
 public:
  explicit FakeExchanger(size_t num_chunks)
      : layout_(*Layout::Create({{.name = "t", .num_elements = 256 * num_chunks}}, 256)) {}

  const Layout& layout() const override { return layout_; }
  uint64_t run_seed() const override { return 0; }
  absl::string_view worker() const override { return "w-0"; }
  uint64_t next_round() const override { return 0; }
  absl::Status StartRound() override {
    calls.push_back("start");
    return start_status;
  }
  absl::Status Contribute(uint32_t chunk, const Exchange& exchange, Buffer) override {
    return Take("contribute ", chunk, exchange, /*counted=*/true);
  }
  absl::Status Abstain(uint32_t chunk, const Exchange& exchange) override {
    return Take("abstain ", chunk, exchange, /*counted=*/false);
  }
  absl::StatusOr<ChunkResult> NextResult() override {
    calls.push_back("next");
    return Pop();
  }
  absl::StatusOr<absl::optional<ChunkResult>> PollResult() override {
    if (results.size() <= delay) return absl::optional<ChunkResult>();
    return absl::optional<ChunkResult>(Pop());
  }

  std::vector<std::string> calls;
  std::deque<ChunkResult> results;
  size_t delay = 0;
  absl::Status start_status;
  // Changes a result before it is handed out.
  void (*spoil)(ChunkResult&) = nullptr;

 private:
  absl::Status Take(absl::string_view call, uint32_t chunk, const Exchange& exchange,
                    bool counted) {
    calls.push_back(absl::StrCat(call, chunk));
    ChunkResult result;
    result.chunk = chunk;
    result.exchange = exchange;
    result.counted = counted;
    if (spoil != nullptr) spoil(result);
    results.push_back(std::move(result));
    return absl::OkStatus();
  }
  ChunkResult Pop() {
    ChunkResult result = std::move(results.front());
    results.pop_front();
    return result;
  }

  const Layout layout_;
};

absl::StatusOr<ChunkContribution> EncodeAnything(uint32_t) {
  return ChunkContribution{kDense, Buffer(1)};
}
absl::StatusOr<ChunkContribution> AbstainAlways(uint32_t) {
  return ChunkContribution{kDense, absl::nullopt};
}
absl::Status ApplyNothing(const ChunkResult&, Fate) { return absl::OkStatus(); }

TEST(RoundDriverTest, AppliesResultsWhileItStillEncodes) {
  FakeExchanger exchanger(3);
  exchanger.delay = 1;
  RoundDriver driver(&exchanger);
  const auto encode = [&](uint32_t chunk) {
    exchanger.calls.push_back(absl::StrCat("encode ", chunk));
    return EncodeAnything(chunk);
  };
  const auto apply = [&](const ChunkResult& result, Fate) {
    exchanger.calls.push_back(absl::StrCat("apply ", result.chunk));
    return absl::OkStatus();
  };
  ASSERT_THAT(driver.Run(encode, apply), IsOk());
  EXPECT_THAT(exchanger.calls,
              ElementsAre("start", "encode 0", "contribute 0", "encode 1", "contribute 1",
                          "apply 0", "encode 2", "contribute 2", "apply 1", "next", "apply 2"));
}

TEST(RoundDriverTest, TellsTheFate) {
  struct Row {
    Fate fate;
    RoundDriver::Encode encode;
    void (*spoil)(ChunkResult&);
  };
  const Row rows[] = {
      {Fate::kCounted, EncodeAnything, nullptr},
      {Fate::kMissed, EncodeAnything, [](ChunkResult& result) { result.counted = false; }},
      {Fate::kMissed, EncodeAnything,
       [](ChunkResult& result) {
         result.counted = false;
         result.exchange.reset();
       }},
      {Fate::kCounted, EncodeAnything,
       [](ChunkResult& result) {
         result.exchange.reset();
         result.settled = true;
       }},
      {Fate::kAbstained, AbstainAlways, nullptr},
  };
  for (const Row& row : rows) {
    SCOPED_TRACE(static_cast<int>(row.fate));
    FakeExchanger exchanger(1);
    exchanger.spoil = row.spoil;
    RoundDriver driver(&exchanger);
    std::vector<Fate> fates;
    const auto apply = [&](const ChunkResult&, Fate fate) {
      fates.push_back(fate);
      return absl::OkStatus();
    };
    ASSERT_THAT(driver.Run(row.encode, apply), IsOk());
    EXPECT_THAT(fates, ElementsAre(row.fate));
  }
}

TEST(RoundDriverTest, RefusesAResultOfAnotherExchange) {
  FakeExchanger exchanger(1);
  exchanger.spoil = [](ChunkResult& result) {
    result.exchange = {SignExchange{}, Divisor::kParticipants};
  };
  RoundDriver driver(&exchanger);
  EXPECT_THAT(driver.Run(EncodeAnything, ApplyNothing),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("`exchange` = sign")));
}

TEST(RoundDriverTest, RefusesToBeCountedWhereItAbstained) {
  FakeExchanger exchanger(1);
  exchanger.spoil = [](ChunkResult& result) { result.counted = true; };
  RoundDriver driver(&exchanger);
  EXPECT_THAT(driver.Run(AbstainAlways, ApplyNothing),
              StatusIs(absl::StatusCode::kDataLoss, HasSubstr("`counted`")));
}

TEST(RoundDriverTest, RefusesAResultThatNobodyWaitsFor) {
  FakeExchanger exchanger(1);
  exchanger.spoil = [](ChunkResult& result) { result.chunk = 7; };
  RoundDriver driver(&exchanger);
  EXPECT_THAT(driver.Run(EncodeAnything, ApplyNothing),
              StatusIs(absl::StatusCode::kInternal, HasSubstr("chunk 7")));
}

TEST(RoundDriverTest, KeepsReturningTheFirstError) {
  FakeExchanger exchanger(1);
  exchanger.start_status = absl::UnavailableError("gone");
  RoundDriver driver(&exchanger);
  EXPECT_FALSE(driver.failed());
  EXPECT_THAT(driver.Run(EncodeAnything, ApplyNothing),
              StatusIs(absl::StatusCode::kUnavailable, "gone"));
  EXPECT_TRUE(driver.failed());
  exchanger.start_status = absl::OkStatus();
  EXPECT_THAT(driver.Run(EncodeAnything, ApplyNothing),
              StatusIs(absl::StatusCode::kUnavailable, "gone"));
  EXPECT_THAT(exchanger.calls, ElementsAre("start"));
}

TEST(RoundDriverTest, StopsAtACallablesError) {
  FakeExchanger exchanger(2);
  RoundDriver driver(&exchanger);
  const auto encode = [](uint32_t chunk) -> absl::StatusOr<ChunkContribution> {
    if (chunk == 1) return absl::OutOfRangeError("chunk 1");
    return EncodeAnything(chunk);
  };
  EXPECT_THAT(driver.Run(encode, ApplyNothing), StatusIs(absl::StatusCode::kOutOfRange, "chunk 1"));
  EXPECT_THAT(exchanger.calls, ElementsAre("start", "contribute 0"));
}

}  // namespace
}  // namespace tally
