#include "client/client.h"

#include <functional>
#include <future>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/mutex.h"
#include "base/simulated_clock.h"
#include "base/thread_pool.h"
#include "client/client_impl.h"
#include "client/transport.h"
#include "codecs/message_frame.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "kernels/host_backends.h"
#include "tests/util/status_matchers.h"
#include "tests/util/worker_run.h"

namespace tally {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

// Aggregators that answer Hello with Welcome and the genesis of every chunk, and the last slice of
// a contribution with its result, in two slices. All events come from one thread.
class FakeTransport final : public Transport {
 public:
  void Cut(size_t) override {}
  // What a test may change.
  struct Behaviour {
    // False: contributions stay without a result.
    bool answer = true;
    std::function<void(v1::ServerMessage&)> spoil_result = [](v1::ServerMessage&) {};
    // Not OK: the stream does not come about.
    std::function<absl::Status()> on_open = [] { return absl::OkStatus(); };
    // True: the stream ends when the client has ended its half.
    std::function<bool()> on_close = [] { return true; };
    // Called when the client has been told that a stream has ended.
    std::function<void()> after_close = [] {};
  };

  explicit FakeTransport(const ClientOptions& options)
      : options_(options),
        results_(*options.layout, RunOf(options)),
        open_(options.aggregators.size()) {}

  void Behave(Behaviour behaviour) {
    MutexLock lock(&mutex_);
    behaviour_ = std::move(behaviour);
  }
  // Returns when the client has taken the message.
  void Say(size_t aggregator, v1::ServerMessage message) {
    std::promise<void> taken;
    {
      MutexLock lock(&mutex_);
      Tell(aggregator, std::move(message));
      event_thread_->Schedule([&taken] { taken.set_value(); });
    }
    taken.get_future().wait();
  }
  void Lose(size_t aggregator) {
    MutexLock lock(&mutex_);
    End(aggregator, absl::UnavailableError("cut"));
  }
  std::vector<v1::Leave> leaves() {
    MutexLock lock(&mutex_);
    return leaves_;
  }

  void Start(Events* events) override { events_ = events; }

  void Open(size_t aggregator) override {
    MutexLock lock(&mutex_);
    open_[aggregator] = true;
    const absl::Status status = behaviour_.on_open();
    if (!status.ok()) End(aggregator, status);
  }

  void Send(size_t aggregator, OutboundFrame frame) override {
    std::string bytes = std::move(frame.head);
    bytes.append(reinterpret_cast<const char*>(frame.piece.data()), frame.piece.size());
    v1::ClientMessage message;
    ASSERT_THAT(ParseFrame(bytes, &message), IsOk());
    MutexLock lock(&mutex_);
    if (!open_[aggregator]) return;
    for (v1::ServerMessage& answer : AnswersTo(aggregator, message)) {
      Tell(aggregator, std::move(answer));
    }
  }

  void Shutdown() override {
    {
      MutexLock lock(&mutex_);
      shut_down_ = true;
    }
    event_thread_.reset();
  }

 private:
  void Tell(size_t aggregator, v1::ServerMessage message) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    if (shut_down_) return;
    event_thread_->Schedule([this, aggregator, told = std::move(message)]() mutable {
      events_->OnMessage(aggregator, std::move(told));
    });
  }

  void End(size_t aggregator, absl::Status status) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    open_[aggregator] = false;
    if (shut_down_) return;
    event_thread_->Schedule([this, aggregator, status, after = behaviour_.after_close] {
      events_->OnClosed(aggregator, status);
      after();
    });
  }

  std::vector<v1::ServerMessage> AnswersTo(size_t aggregator, const v1::ClientMessage& message)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    if (message.has_leave()) {
      leaves_.push_back(message.leave());
      if (behaviour_.on_close()) End(aggregator, absl::OkStatus());
    }
    if (message.has_hello()) return AnswersToHello(aggregator, message.hello());
    if (!message.has_contribution() || !behaviour_.answer) return {};
    const v1::Slice& slice = message.contribution().slice();
    if (slice.offset_bytes() == 0) contribution_ = message.contribution();
    if (slice.offset_bytes() + message.payload().size() < slice.total_bytes()) return {};
    return Result();
  }

  std::vector<v1::ServerMessage> AnswersToHello(size_t aggregator, const v1::Hello& hello)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    std::vector<v1::ServerMessage> answers(1);
    *answers[0].mutable_welcome() = WelcomeFrom(options_.aggregators[aggregator].name);
    if (hello.intent() != v1::INTENT_START) return answers;
    for (uint32_t c = 0; c < options_.layout->chunks().size(); ++c) {
      if (c % options_.aggregators.size() != aggregator) continue;
      answers.push_back(results_.Sent(results_.GenesisOf(c)));
    }
    return answers;
  }

  std::vector<v1::ServerMessage> Result() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    const uint32_t chunk = contribution_.chunk();
    const absl::StatusOr<Exchange> exchange =
        DecodeExchange(contribution_.exchange(), *options_.layout, chunk);
    const std::vector<MemberId> participants = contribution_.abstain()
                                                   ? std::vector<MemberId>{Other()}
                                                   : std::vector<MemberId>{Self(), Other()};
    v1::ServerMessage first = results_.Sent(results_.NextOf(chunk, *exchange, participants));
    behaviour_.spoil_result(first);
    const std::string payload = first.payload();
    v1::ServerMessage second;
    second.mutable_result()->set_chunk(chunk);
    second.mutable_result()->set_round(first.result().round());
    *second.mutable_result()->mutable_slice() = first.result().slice();
    second.mutable_result()->mutable_slice()->set_offset_bytes(8);
    second.set_payload(payload.substr(8));
    first.set_payload(payload.substr(0, 8));
    return {std::move(first), std::move(second)};
  }

  const ClientOptions options_;
  Events* events_ = nullptr;
  Mutex mutex_;
  Behaviour behaviour_ ABSL_GUARDED_BY(mutex_);
  ResultMaker results_ ABSL_GUARDED_BY(mutex_);
  v1::Contribution contribution_ ABSL_GUARDED_BY(mutex_);
  std::vector<v1::Leave> leaves_ ABSL_GUARDED_BY(mutex_);
  std::vector<bool> open_ ABSL_GUARDED_BY(mutex_);
  bool shut_down_ ABSL_GUARDED_BY(mutex_) = false;
  std::unique_ptr<ThreadPool> event_thread_ = std::make_unique<ThreadPool>(1);
};

class ClientTest : public testing::Test {
 protected:
  // Connects with a transport that behaves so; transport_ stays usable as long as the client lives.
  absl::StatusOr<std::unique_ptr<Client>> Connect(FakeTransport::Behaviour behaviour = {}) {
    auto transport = std::make_unique<FakeTransport>(options_);
    transport->Behave(std::move(behaviour));
    transport_ = transport.get();
    return ConnectWithTransport(options_, std::move(transport), clock_, FastestHostBackend());
  }

  Exchange ExchangeOf(uint32_t chunk) const {
    if (options_.layout->chunks()[chunk].dense) return {DenseExchange{}};
    return {SignExchange{ScaleRule::kRootMeanSquare, {ScaleGranularity::Unit::kBlock, 256}}};
  }

  absl::Status Contribute(Client& client, uint32_t chunk) const {
    const SharedBuffer zeros = ZeroPayload(ExchangeOf(chunk), *options_.layout, chunk);
    Buffer payload(zeros->size());
    std::copy_n(zeros->data(), zeros->size(), payload.data());
    return client.Contribute(chunk, ExchangeOf(chunk), std::move(payload));
  }

  ClientOptions options_ = OptionsOf(2, 3);
  // The client's incarnation is the time of its entry: that of Self().
  const std::shared_ptr<SimulatedClock> clock_ =
      std::make_shared<SimulatedClock>(absl::FromUnixMicros(Self().incarnation));
  FakeTransport* transport_ = nullptr;
};

TEST_F(ClientTest, RunsRoundsAndLeaves) {
  auto client = Connect();
  ASSERT_THAT(client, IsOk());
  EXPECT_EQ((*client)->layout().num_elements(), options_.layout->num_elements());
  for (uint64_t round = 0; round < 3; ++round) {
    SCOPED_TRACE(round);
    EXPECT_EQ((*client)->next_round(), round);
    ASSERT_THAT((*client)->StartRound(), IsOk());
    for (const uint32_t chunk : {2u, 0u, 1u}) ASSERT_THAT(Contribute(**client, chunk), IsOk());
    for (const uint32_t chunk : {2u, 0u, 1u}) {
      const absl::StatusOr<ChunkResult> result = (*client)->NextResult();
      ASSERT_THAT(result, IsOk());
      EXPECT_EQ(result->chunk, chunk);
      EXPECT_EQ(result->round, round);
      EXPECT_TRUE(result->counted);
      EXPECT_EQ(result->num_participants, 2u);
      EXPECT_TRUE(result->exchange == ExchangeOf(chunk));
      EXPECT_EQ(result->payload->size(),
                ContributionSize(ExchangeOf(chunk), *options_.layout, chunk).max_bytes);
    }
  }
  ASSERT_THAT((*client)->Leave(), IsOk());
  ASSERT_EQ(transport_->leaves().size(), 2u);
  EXPECT_EQ(transport_->leaves()[0].last_round(), 2u);
  EXPECT_THAT((*client)->StartRound(),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("has left")));
}

TEST_F(ClientTest, CountsTrafficByDirectionAndKind) {
  auto client = Connect();
  ASSERT_THAT(client, IsOk());
  const ClientStatistics before = (*client)->statistics();
  EXPECT_GT(before.other_bytes_sent, 0u);  // Hello
  EXPECT_GT(before.result_bytes, 0u);      // genesis
  EXPECT_EQ(before.contribution_bytes, 0u);
  ASSERT_THAT((*client)->StartRound(), IsOk());
  uint64_t payload_bytes = 0;
  for (uint32_t chunk = 0; chunk < 3; ++chunk) {
    ASSERT_THAT(Contribute(**client, chunk), IsOk());
    ASSERT_THAT((*client)->NextResult(), IsOk());
    payload_bytes += ContributionSize(ExchangeOf(chunk), *options_.layout, chunk).max_bytes;
  }
  const ClientStatistics after = (*client)->statistics();
  EXPECT_EQ(after.rounds, 1u);
  EXPECT_EQ(after.missed_contributions, 0u);
  EXPECT_EQ(after.other_bytes_sent, before.other_bytes_sent);
  EXPECT_GT(after.contribution_bytes, payload_bytes);
  EXPECT_LT(after.contribution_bytes, payload_bytes + 3 * 200);
  EXPECT_GT(after.result_bytes - before.result_bytes, payload_bytes);
}

TEST_F(ClientTest, AbstentionComesBackNotCounted) {
  auto client = Connect();
  ASSERT_THAT(client, IsOk());
  ASSERT_THAT((*client)->StartRound(), IsOk());
  ASSERT_THAT((*client)->Abstain(1, ExchangeOf(1)), IsOk());
  const absl::StatusOr<ChunkResult> result = (*client)->NextResult();
  ASSERT_THAT(result, IsOk());
  EXPECT_FALSE(result->counted);
  EXPECT_EQ(result->num_participants, 1u);
}

TEST_F(ClientTest, RefusesOptionsThatBreakARule) {
  options_.worker.clear();
  EXPECT_THAT(Connect(), StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("`worker`")));
}

TEST_F(ClientTest, ConnectGivesUpAtStartTimeoutWithTheTransportsWords) {
  FakeTransport::Behaviour behaviour;
  behaviour.on_open = [] { return absl::UnavailableError("connection refused"); };
  behaviour.after_close = [this] { clock_->AdvanceBy(absl::Seconds(20)); };
  EXPECT_THAT(Connect(std::move(behaviour)),
              StatusIs(absl::StatusCode::kDeadlineExceeded,
                       AllOf(HasSubstr("`agg-0`"), HasSubstr("connection refused"))));
}

TEST_F(ClientTest, RefusesContributionsThatBreakARule) {
  auto client = Connect();
  ASSERT_THAT(client, IsOk());
  ASSERT_THAT((*client)->StartRound(), IsOk());
  EXPECT_THAT((*client)->Contribute(3, ExchangeOf(0), Buffer()),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("`chunk` = 3")));
  EXPECT_THAT((*client)->Contribute(0, ExchangeOf(0), Buffer()),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("payload")));
  EXPECT_THAT((*client)->Abstain(2, ExchangeOf(0)),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("dense")));
  EXPECT_THAT(Contribute(**client, 0), IsOk());
}

TEST_F(ClientTest, NextResultDoesNotWaitForWhatCannotCome) {
  auto client = Connect();
  ASSERT_THAT(client, IsOk());
  EXPECT_THAT((*client)->NextResult(),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("no round is open")));
  EXPECT_THAT((*client)->PollResult(),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("no round is open")));
  ASSERT_THAT((*client)->StartRound(), IsOk());
  EXPECT_THAT((*client)->NextResult(),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("has not contributed")));
  const auto polled = (*client)->PollResult();
  ASSERT_THAT(polled, IsOk());
  EXPECT_FALSE(polled->has_value());
}

TEST_F(ClientTest, RoundIsNotOverUntilItsResultsAreTaken) {
  auto client = Connect();
  ASSERT_THAT(client, IsOk());
  ASSERT_THAT((*client)->StartRound(), IsOk());
  for (uint32_t chunk = 0; chunk < 3; ++chunk) ASSERT_THAT(Contribute(**client, chunk), IsOk());
  for (int taken = 0; taken < 3; ++taken) {
    const auto not_over =
        StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("round 0 is not over"));
    EXPECT_THAT((*client)->StartRound(), not_over);
    EXPECT_THAT((*client)->Leave(), not_over);
    EXPECT_THAT((*client)->NextResult(), IsOk());
  }
  EXPECT_THAT((*client)->StartRound(), IsOk());
}

TEST_F(ClientTest, PollResultHandsOutWhatHasCome) {
  auto client = Connect();
  ASSERT_THAT(client, IsOk());
  ASSERT_THAT((*client)->StartRound(), IsOk());
  for (uint32_t chunk = 0; chunk < 3; ++chunk) ASSERT_THAT(Contribute(**client, chunk), IsOk());
  int taken = 0;
  while (taken < 3) {
    const auto polled = (*client)->PollResult();
    ASSERT_THAT(polled, IsOk());
    if (polled->has_value()) ++taken;
  }
  EXPECT_THAT((*client)->PollResult(),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("all of its results")));
}

TEST_F(ClientTest, LostStreamIsOpenedAgainAndTheContributionSentAgain) {
  FakeTransport::Behaviour behaviour;
  behaviour.answer = false;
  auto client = Connect(behaviour);
  ASSERT_THAT(client, IsOk());
  ASSERT_THAT((*client)->StartRound(), IsOk());
  ASSERT_THAT(Contribute(**client, 0), IsOk());
  EXPECT_THAT((*client)->waiting_for(), HasSubstr("round 0, chunk 0 at `agg-0`"));
  behaviour.answer = true;
  behaviour.after_close = [this] { clock_->AdvanceBy(absl::Milliseconds(50)); };
  transport_->Behave(behaviour);
  transport_->Lose(0);
  const absl::StatusOr<ChunkResult> result = (*client)->NextResult();
  ASSERT_THAT(result, IsOk());
  EXPECT_TRUE(result->counted);
  EXPECT_EQ((*client)->statistics().reconnects, 1u);
  EXPECT_EQ((*client)->waiting_for(), "");
}

TEST_F(ClientTest, NextResultEndsAtAggregatorTimeoutAndSoDoesEveryCallAfterIt) {
  FakeTransport::Behaviour behaviour;
  behaviour.answer = false;
  auto client = Connect(behaviour);
  ASSERT_THAT(client, IsOk());
  ASSERT_THAT((*client)->StartRound(), IsOk());
  ASSERT_THAT(Contribute(**client, 0), IsOk());
  clock_->AdvanceBy(options_.aggregator_timeout);
  const auto timed_out =
      StatusIs(absl::StatusCode::kDeadlineExceeded, HasSubstr("`agg-0` (host-0:7000)"));
  EXPECT_THAT((*client)->NextResult(), timed_out);
  EXPECT_THAT((*client)->PollResult(), timed_out);
  EXPECT_THAT((*client)->StartRound(), timed_out);
  EXPECT_THAT(Contribute(**client, 1), timed_out);
  EXPECT_THAT((*client)->Leave(), timed_out);
}

TEST_F(ClientTest, DamagedResultIsDataLoss) {
  FakeTransport::Behaviour behaviour;
  behaviour.spoil_result = [](v1::ServerMessage& message) { (*message.mutable_payload())[0] ^= 1; };
  auto client = Connect(behaviour);
  ASSERT_THAT(client, IsOk());
  ASSERT_THAT((*client)->StartRound(), IsOk());
  ASSERT_THAT(Contribute(**client, 0), IsOk());
  EXPECT_THAT((*client)->NextResult(),
              StatusIs(absl::StatusCode::kDataLoss,
                       AllOf(HasSubstr("`agg-0`"), HasSubstr("`header.payload_digest`"))));
}

TEST_F(ClientTest, NoticeIsTheReasonToWait) {
  FakeTransport::Behaviour behaviour;
  behaviour.answer = false;
  auto client = Connect(behaviour);
  ASSERT_THAT(client, IsOk());
  ASSERT_THAT((*client)->StartRound(), IsOk());
  ASSERT_THAT(Contribute(**client, 1), IsOk());
  v1::ServerMessage notice;
  notice.mutable_notice()->set_reason("waiting for worker w-2");
  transport_->Say(1, notice);
  EXPECT_EQ((*client)->waiting_for(), "round 0, chunk 1 at `agg-1` for 0: waiting for worker w-2");
  EXPECT_GT((*client)->statistics().other_bytes_received, 0u);
}

TEST_F(ClientTest, RefusalAndUnknownMessagesEndTheRun) {
  v1::ServerMessage refusal;
  refusal.mutable_refusal()->set_code(static_cast<uint32_t>(absl::StatusCode::kAlreadyExists));
  refusal.mutable_refusal()->set_message("`contribution.payload_digest` = 1, must be 2");
  const std::pair<v1::ServerMessage, absl::StatusCode> rows[] = {
      {refusal, absl::StatusCode::kAlreadyExists},
      {v1::ServerMessage(), absl::StatusCode::kUnimplemented},
  };
  FakeTransport::Behaviour behaviour;
  behaviour.answer = false;
  for (const auto& [message, code] : rows) {
    SCOPED_TRACE(message.kind_case());
    auto client = Connect(behaviour);
    ASSERT_THAT(client, IsOk());
    ASSERT_THAT((*client)->StartRound(), IsOk());
    ASSERT_THAT(Contribute(**client, 0), IsOk());
    transport_->Say(0, message);
    EXPECT_THAT((*client)->NextResult(), StatusIs(code, HasSubstr("`agg-0` (host-0:7000)")));
  }
}

TEST_F(ClientTest, LeaveSaysWhichAggregatorDoesNotEndItsStream) {
  FakeTransport::Behaviour behaviour;
  behaviour.on_close = [this] {
    clock_->AdvanceBy(options_.aggregator_timeout);
    return false;
  };
  auto client = Connect(behaviour);
  ASSERT_THAT(client, IsOk());
  EXPECT_THAT((*client)->Leave(), StatusIs(absl::StatusCode::kDeadlineExceeded,
                                           HasSubstr("`agg-0` (host-0:7000) has not ended")));
}

}  // namespace
}  // namespace tally
