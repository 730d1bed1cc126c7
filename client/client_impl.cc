#include "client/client_impl.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstdint>
#include <deque>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "absl/types/variant.h"
#include "base/digest.h"
#include "base/mutex.h"
#include "base/status_macros.h"
#include "client/incoming.h"
#include "client/outbound_frame.h"
#include "client/saved_run.h"
#include "client/session.h"
#include "codecs/limits.h"

namespace tally {
namespace {

// Bounds of the pause between two ticks while something is waited for; the session's own times
// count in between.
constexpr absl::Duration kShortestPause = absl::Milliseconds(1);
constexpr absl::Duration kLongestPause = absl::Milliseconds(100);
constexpr absl::Duration kLongestIdlePause = absl::Seconds(1);

// The members fall into three groups. Constant: what the options say, clock, back end. Everybody's,
// under the lock: session, results, statistics. A stream's own: its reader, used by one event after
// the other. Payloads are read (digest, validation) outside the lock, by the thread that brings
// them.
//
// What the session wants sent goes into outbox_ and from there to the transport without the lock,
// by one thread at a time, so that the order stays and the transport may call back from inside.
class ClientImpl final : public Client, private Transport::Events {
 public:
  ClientImpl(ClientOptions options, std::unique_ptr<Transport> transport,
             std::shared_ptr<const Clock> clock, const Backend* backend)
      : layout_(*options.layout),
        roster_limit_(std::max(options.roster_limit, options.expected_workers)),
        run_seed_(options.seed),
        worker_(options.worker),
        aggregator_timeout_(options.aggregator_timeout),
        clock_(std::move(clock)),
        backend_(*backend),
        transport_(std::move(transport)),
        session_(options, MemberOf(options, clock_->Now()), clock_->Now()) {
    for (size_t i = 0; i < options.aggregators.size(); ++i) {
      readers_.push_back(NewReader());
    }
    transport_->Start(this);
    timer_ = std::thread([this] { RunTimer(); });
  }

  ~ClientImpl() override {
    {
      MutexLock lock(&mutex_);
      stopping_ = true;
      timer_wakes_.NotifyAll();
    }
    timer_.join();
    transport_->Shutdown();
  }

  absl::Status AwaitStart() {
    MutexLock lock(&mutex_);
    while (session_.failure().ok() && !session_.started()) changed_.Wait(&mutex_);
    return session_.failure();
  }

  const Layout& layout() const override { return layout_; }
  uint64_t run_seed() const override { return run_seed_; }
  absl::string_view worker() const override { return worker_; }

  uint64_t next_round() const override {
    MutexLock lock(&mutex_);
    return session_.next_round();
  }

  absl::Status StartRound() override {
    MutexLock lock(&mutex_);
    TALLY_RETURN_IF_ERROR(session_.failure());
    TALLY_RETURN_IF_ERROR(CheckAllTaken());
    AwaitSettled();
    const absl::Status status = session_.StartRound(clock_->Now());
    CarryOut();
    return status;
  }

  absl::Status Contribute(uint32_t chunk, const Exchange& exchange, Buffer payload) override {
    TALLY_ASSIGN_OR_RETURN(v1::Contribution contribution, Describe(chunk, exchange));
    TALLY_RETURN_IF_ERROR(
        ValidateContribution(exchange, layout_, chunk, std::as_const(payload).bytes(), backend_));
    contribution.set_payload_digest(Digest64(std::as_const(payload).bytes()));
    return Contribute(chunk, std::move(contribution),
                      std::make_shared<const Buffer>(std::move(payload)));
  }

  absl::Status Abstain(uint32_t chunk, const Exchange& exchange) override {
    TALLY_ASSIGN_OR_RETURN(v1::Contribution contribution, Describe(chunk, exchange));
    contribution.set_abstain(true);
    contribution.set_payload_digest(Digest64(absl::string_view()));
    return Contribute(chunk, std::move(contribution), nullptr);
  }

  absl::StatusOr<ChunkResult> NextResult() override {
    const absl::Time begin = clock_->Now();
    MutexLock lock(&mutex_);
    while (session_.failure().ok() && results_.empty()) {
      if (!session_.awaits_result()) return NothingAwaitedError();
      changed_.Wait(&mutex_);
    }
    statistics_.result_wait += clock_->Now() - begin;
    TALLY_RETURN_IF_ERROR(session_.failure());
    return TakeResult();
  }

  absl::StatusOr<absl::optional<ChunkResult>> PollResult() override {
    MutexLock lock(&mutex_);
    TALLY_RETURN_IF_ERROR(session_.failure());
    if (!results_.empty()) return absl::make_optional(TakeResult());
    if (session_.missing_results() == 0) return NothingAwaitedError();
    return absl::optional<ChunkResult>();
  }

  absl::Status Leave() override { return LeaveWith({}); }

  absl::Status Leave(absl::Span<const float> residual) override {
    if (!residual.empty() && residual.size() != layout_.num_elements()) {
      return absl::InvalidArgumentError(absl::StrCat("`residual` has ", residual.size(),
                                                     " elements, must have ",
                                                     layout_.num_elements(), " as the layout"));
    }
    for (size_t i = 0; i < residual.size(); ++i) {
      if (std::abs(residual[i]) <= kMaxMagnitude) continue;
      return absl::InvalidArgumentError(
          absl::StrCat("`residual[", i, "]` = ", residual[i], ", must be at most 2^64"));
    }
    return LeaveWith(residual);
  }

  std::vector<Inheritance> TakeInheritances() override {
    MutexLock lock(&mutex_);
    return session_.TakeInheritances();
  }

  std::vector<UndoneContribution> TakeUndone() override {
    MutexLock lock(&mutex_);
    return session_.TakeUndone();
  }

  ClientStatistics statistics() const override {
    MutexLock lock(&mutex_);
    ClientStatistics statistics = statistics_;
    const Session::Counters counters = session_.counters();
    statistics.contribution_bytes = contribution_bytes_sent_;
    statistics.other_bytes_sent = other_bytes_sent_;
    statistics.rounds = counters.rounds;
    statistics.reconnects = counters.reconnects;
    statistics.missed_contributions = counters.missed_contributions;
    statistics.unsettled_contributions = counters.unsettled_contributions;
    statistics.undone_contributions = counters.undone_contributions;
    if (const Bequest* const bequest = session_.bequest()) {
      statistics.handed_over_norm = bequest->handed_over_norm();
      statistics.discarded_norm = bequest->discarded_norm();
    }
    return statistics;
  }

  const Buffer* joined_state() const override {
    MutexLock lock(&mutex_);
    const absl::optional<SharedState>& state = session_.joined_state();
    return state.has_value() ? state->bytes.get() : nullptr;
  }

  bool takes_part() const override {
    MutexLock lock(&mutex_);
    return session_.takes_part();
  }

  bool state_wanted() const override {
    MutexLock lock(&mutex_);
    return results_.empty() && session_.state_wanted();
  }

  absl::Status GiveState(Buffer state) override {
    if (state.size() == 0) return absl::InvalidArgumentError("`state` must not be empty");
    MutexLock lock(&mutex_);
    TALLY_RETURN_IF_ERROR(session_.failure());
    TALLY_RETURN_IF_ERROR(CheckAllTaken());
    const absl::Status status =
        session_.GiveState(std::make_shared<const Buffer>(std::move(state)), clock_->Now());
    CarryOut();
    return status;
  }

  bool replica_digest_wanted() const override {
    MutexLock lock(&mutex_);
    return session_.ReplicaDigestWanted();
  }

  void TellReplicaDigest(uint64_t digest) override {
    MutexLock lock(&mutex_);
    session_.TellReplicaDigest(digest);
  }

  std::vector<std::string> drifted_workers() const override {
    MutexLock lock(&mutex_);
    return session_.drifted();
  }

  void SaveNextRound() override {
    MutexLock lock(&mutex_);
    session_.SaveNextRound();
  }

  absl::StatusOr<std::string> SaveRun() override {
    MutexLock lock(&mutex_);
    TALLY_RETURN_IF_ERROR(session_.failure());
    TALLY_RETURN_IF_ERROR(CheckAllTaken());
    AwaitSettled();
    TALLY_RETURN_IF_ERROR(session_.CheckSaveable());
    // The timer wakes this often enough.
    const absl::Time deadline = clock_->Now() + aggregator_timeout_;
    while (session_.failure().ok() && clock_->Now() < deadline &&
           (session_.AwaitedSnapshot().has_value() || session_.AwaitsInheritance(clock_->Now()))) {
      changed_.Wait(&mutex_);
    }
    TALLY_ASSIGN_OR_RETURN(const SavedRun run, session_.SaveRun());
    return EncodeSavedRun(run, layout_);
  }

  std::string waiting_for() const override {
    MutexLock lock(&mutex_);
    return session_.WaitingFor(clock_->Now());
  }

 private:
  IncomingReader NewReader() const { return IncomingReader(&layout_, roster_limit_, &backend_); }

  static MemberId MemberOf(const ClientOptions& options, absl::Time entry) {
    return {options.worker, static_cast<uint64_t>(std::max<int64_t>(1, absl::ToUnixMicros(entry)))};
  }

  // Whether a worker that was evicted may come again: another process may have taken its place.
  void AwaitSettled() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    while (session_.failure().ok() && session_.evicted() && !session_.settled()) {
      changed_.Wait(&mutex_);
    }
  }

  absl::Status LeaveWith(absl::Span<const float> residual) {
    MutexLock lock(&mutex_);
    TALLY_RETURN_IF_ERROR(session_.failure());
    TALLY_RETURN_IF_ERROR(CheckAllTaken());
    AwaitSettled();
    TALLY_RETURN_IF_ERROR(session_.Leave(residual, clock_->Now()));
    CarryOut();
    while (session_.failure().ok()) changed_.Wait(&mutex_);
    return left_ ? absl::OkStatus() : session_.failure();
  }

  // What both kinds of contribution say.
  absl::StatusOr<v1::Contribution> Describe(uint32_t chunk, const Exchange& exchange) const {
    if (chunk >= layout_.chunks().size()) {
      return absl::InvalidArgumentError(
          absl::StrCat("`chunk` = ", chunk, ", must be less than ", layout_.chunks().size()));
    }
    v1::Contribution contribution;
    *contribution.mutable_exchange() = EncodeExchange(exchange);
    TALLY_RETURN_IF_ERROR(DecodeExchange(contribution.exchange(), layout_, chunk).status());
    return contribution;
  }

  absl::Status Contribute(uint32_t chunk, v1::Contribution contribution, SharedBuffer payload) {
    MutexLock lock(&mutex_);
    const absl::Status status =
        session_.Contribute(chunk, std::move(contribution), std::move(payload), clock_->Now());
    CarryOut();
    return status;
  }

  absl::Status CheckAllTaken() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    if (results_.empty()) return absl::OkStatus();
    return absl::FailedPreconditionError(
        absl::StrCat("round ", results_.front().round, " is not over: ", results_.size(),
                     " results have come and wait for NextResult"));
  }

  absl::Status NothingAwaitedError() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return absl::FailedPreconditionError(
        session_.missing_results() == 0
            ? "no result is outstanding: no round is open, or all of its results were taken"
            : "no result is outstanding: what comes next waits for a chunk, first in the window, "
              "that has not contributed");
  }

  ChunkResult TakeResult() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    ChunkResult result = std::move(results_.front());
    results_.pop_front();
    return result;
  }

  void OnMessage(size_t aggregator, v1::ServerMessage message) override {
    const uint64_t num_bytes = message.ByteSizeLong();
    const bool is_result = message.has_result();
    absl::StatusOr<absl::optional<Incoming>> incoming =
        readers_[aggregator].Read(std::move(message));
    MutexLock lock(&mutex_);
    (is_result ? statistics_.result_bytes : statistics_.other_bytes_received) += num_bytes;
    if (!incoming.ok()) {
      session_.OnBadMessage(aggregator, incoming.status());
    } else if (incoming->has_value()) {
      TakeIncoming(session_, aggregator, **std::move(incoming), clock_->Now());
    }
    CarryOut();
  }

  void OnClosed(size_t aggregator, const absl::Status& status) override {
    readers_[aggregator] = NewReader();
    MutexLock lock(&mutex_);
    session_.OnStreamLost(aggregator, status, clock_->Now());
    CarryOut();
  }

  // Does what the session asks for. Lets go of the lock in between, so no caller may go on from
  // what it knew before.
  void CarryOut() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    for (SessionAction& action : session_.TakeActions()) {
      if (DeliverResult* delivered = absl::get_if<DeliverResult>(&action)) {
        results_.push_back(std::move(delivered->result));
      } else if (absl::holds_alternative<RunLeft>(action)) {
        left_ = true;
      } else {
        outbox_.push_back(std::move(action));
      }
    }
    changed_.NotifyAll();
    if (session_.NextTick() < timer_wakes_at_) timer_wakes_.NotifyAll();
    if (emptying_outbox_) return;
    emptying_outbox_ = true;
    while (!outbox_.empty()) {
      SessionAction action = std::move(outbox_.front());
      outbox_.pop_front();
      mutex_.Unlock();
      Perform(action);
      mutex_.Lock();
    }
    emptying_outbox_ = false;
  }

  // Hands an action to the transport. Bytes are counted before they go: no result is there before
  // its contribution is in the statistics.
  void Perform(const SessionAction& action) ABSL_LOCKS_EXCLUDED(mutex_) {
    if (const auto* open = absl::get_if<OpenStream>(&action)) {
      transport_->Open(open->aggregator);
    } else if (const auto* cut = absl::get_if<CutStream>(&action)) {
      transport_->Cut(cut->aggregator);
    } else if (const auto* send = absl::get_if<SendMessage>(&action)) {
      std::atomic<uint64_t>& bytes_sent =
          send->message.has_contribution() ? contribution_bytes_sent_ : other_bytes_sent_;
      for (OutboundFrame& frame : CutIntoFrames(send->message, send->payload)) {
        bytes_sent += frame.num_bytes();
        transport_->Send(send->aggregator, std::move(frame));
      }
    }
  }

  void RunTimer() {
    MutexLock lock(&mutex_);
    while (!stopping_) {
      session_.Tick(clock_->Now());
      CarryOut();
      if (stopping_) return;
      const absl::Time now = clock_->Now();
      const bool idle = session_.started() && !session_.awaits_result();
      const absl::Duration pause = std::clamp(session_.NextTick() - now, kShortestPause,
                                              idle ? kLongestIdlePause : kLongestPause);
      timer_wakes_at_ = now + pause;
      timer_wakes_.WaitFor(&mutex_, pause);
    }
  }

  const Layout layout_;
  const uint32_t roster_limit_;
  const uint64_t run_seed_;
  const std::string worker_;
  const absl::Duration aggregator_timeout_;
  const std::shared_ptr<const Clock> clock_;
  const Backend& backend_;
  const std::unique_ptr<Transport> transport_;
  std::vector<IncomingReader> readers_;
  std::atomic<uint64_t> contribution_bytes_sent_ = 0;
  std::atomic<uint64_t> other_bytes_sent_ = 0;

  mutable Mutex mutex_;
  CondVar changed_;
  Session session_ ABSL_GUARDED_BY(mutex_);
  // Of the open round, not taken yet.
  std::deque<ChunkResult> results_ ABSL_GUARDED_BY(mutex_);
  ClientStatistics statistics_ ABSL_GUARDED_BY(mutex_);
  bool left_ ABSL_GUARDED_BY(mutex_) = false;

  std::deque<SessionAction> outbox_ ABSL_GUARDED_BY(mutex_);
  bool emptying_outbox_ ABSL_GUARDED_BY(mutex_) = false;

  CondVar timer_wakes_;
  absl::Time timer_wakes_at_ ABSL_GUARDED_BY(mutex_) = absl::InfinitePast();
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  std::thread timer_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<Client>> ConnectWithTransport(ClientOptions options,
                                                             std::unique_ptr<Transport> transport,
                                                             std::shared_ptr<const Clock> clock,
                                                             const Backend* backend) {
  TALLY_RETURN_IF_ERROR(ValidateClientOptions(options));
  auto client = std::make_unique<ClientImpl>(std::move(options), std::move(transport),
                                             std::move(clock), backend);
  TALLY_RETURN_IF_ERROR(client->AwaitStart());
  return client;
}

}  // namespace tally
