#include "tests/util/loopback_exchanger.h"

#include <algorithm>
#include <string>
#include <thread>
#include <tuple>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "aggregator/exchange_task.h"
#include "base/status_macros.h"

namespace tally {
namespace {

std::shared_ptr<const JobDescription> DescriptionOf(Layout layout, uint64_t seed) {
  return std::make_shared<const JobDescription>(
      JobDescription{.seed = seed, .layout = std::move(layout)});
}

// The half of a round in which the exchange stands.
Place PlaceOf(uint64_t round, const Exchange& exchange) {
  return {round, IsSecondHalf(exchange) ? 1u : 0u};
}

}  // namespace

class LoopbackGroup::Worker final : public Exchanger {
 public:
  Worker(LoopbackGroup* group, size_t index)
      : group_(*group), index_(index), name_(absl::StrCat("w-", index)) {}

  const Layout& layout() const override { return group_.description_->layout; }
  uint64_t run_seed() const override { return group_.options_.seed; }
  absl::string_view worker() const override { return name_; }
  uint64_t next_round() const override { return next_round_; }

  absl::Status StartRound() override {
    if (num_outstanding_ > 0) {
      return absl::FailedPreconditionError(
          absl::StrCat(num_outstanding_, " results of the round before are outstanding"));
    }
    ++next_round_;
    num_outstanding_ = layout().chunks().size();
    MutexLock lock(&group_.mutex_);
    return group_.stopped_;
  }

  absl::Status Contribute(uint32_t chunk, const Exchange& exchange, Buffer payload) override {
    TALLY_RETURN_IF_ERROR(CheckChunk(chunk));
    TALLY_RETURN_IF_ERROR(
        ValidateContribution(exchange, layout(), chunk, payload.bytes(), group_.backend_));
    return group_.Arrive(index_, next_round_ - 1, chunk, exchange,
                         std::make_shared<const Buffer>(std::move(payload)));
  }

  absl::Status Abstain(uint32_t chunk, const Exchange& exchange) override {
    TALLY_RETURN_IF_ERROR(CheckChunk(chunk));
    return group_.Arrive(index_, next_round_ - 1, chunk, exchange, nullptr);
  }

  absl::StatusOr<ChunkResult> NextResult() override {
    if (num_outstanding_ == 0) return absl::FailedPreconditionError("no result is outstanding");
    MutexLock lock(&group_.mutex_);
    std::deque<ChunkResult>& results = group_.results_[index_];
    while (results.empty() && group_.stopped_.ok()) group_.result_arrived_.Wait(&group_.mutex_);
    TALLY_RETURN_IF_ERROR(group_.stopped_);
    ChunkResult result = std::move(results.front());
    results.pop_front();
    const bool goes_on = result.exchange.has_value() && HasSecondHalf(*result.exchange);
    if (!goes_on) --num_outstanding_;
    return result;
  }

  absl::StatusOr<absl::optional<ChunkResult>> PollResult() override {
    {
      MutexLock lock(&group_.mutex_);
      TALLY_RETURN_IF_ERROR(group_.stopped_);
      if (group_.results_[index_].empty()) return absl::optional<ChunkResult>();
    }
    TALLY_ASSIGN_OR_RETURN(ChunkResult result, NextResult());
    return absl::optional<ChunkResult>(std::move(result));
  }

 private:
  absl::Status CheckChunk(uint32_t chunk) const {
    if (chunk < layout().chunks().size()) return absl::OkStatus();
    return absl::InvalidArgumentError(
        absl::StrCat("`chunk` = ", chunk, ", must be less than ", layout().chunks().size()));
  }

  LoopbackGroup& group_;
  const size_t index_;
  const std::string name_;
  uint64_t next_round_ = 0;
  size_t num_outstanding_ = 0;
};

LoopbackGroup::LoopbackGroup(Layout layout, LoopbackOptions options, const Backend* backend)
    : options_(std::move(options)),
      description_(DescriptionOf(std::move(layout), options_.seed)),
      backend_(*backend),
      chunks_(description_->layout.chunks().size()),
      results_(options_.num_workers) {
  for (size_t c = 0; c < chunks_.size(); ++c) {
    Chunk& chunk = chunks_[c];
    chunk.residual = std::make_shared<Residual>(description_->layout.chunks()[c].num_elements);
    chunk.arrived.resize(options_.num_workers);
    chunk.contributions.resize(options_.num_workers);
  }
  for (size_t w = 0; w < options_.num_workers; ++w) {
    workers_.push_back(std::make_unique<Worker>(this, w));
  }
}

LoopbackGroup::~LoopbackGroup() = default;

Exchanger* LoopbackGroup::worker(size_t index) { return workers_[index].get(); }

void LoopbackGroup::Stop(absl::Status status) {
  MutexLock lock(&mutex_);
  stopped_.Update(status);
  result_arrived_.NotifyAll();
}

absl::Status LoopbackGroup::RunWorkers(const std::function<absl::Status(size_t)>& work) {
  const absl::Status give_up = absl::CancelledError("another worker has failed");
  std::vector<absl::Status> statuses(options_.num_workers);
  std::vector<std::thread> threads;
  for (size_t w = 0; w < options_.num_workers; ++w) {
    threads.emplace_back([&, w] {
      statuses[w] = work(w);
      if (!statuses[w].ok()) Stop(give_up);
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (const absl::Status& status : statuses) {
    if (status != give_up) TALLY_RETURN_IF_ERROR(status);
  }
  return absl::OkStatus();
}

std::vector<LoopbackEntry> LoopbackGroup::TakeLog() {
  MutexLock lock(&mutex_);
  std::vector<LoopbackEntry> log = std::exchange(log_, {});
  std::sort(log.begin(), log.end(), [](const LoopbackEntry& a, const LoopbackEntry& b) {
    return std::tie(a.place, a.chunk) < std::tie(b.place, b.chunk);
  });
  return log;
}

absl::Status LoopbackGroup::Arrive(size_t worker, uint64_t round, uint32_t chunk,
                                   const Exchange& exchange, SharedBuffer contribution) {
  MutexLock lock(&mutex_);
  TALLY_RETURN_IF_ERROR(stopped_);
  Chunk& open = chunks_[chunk];
  if (open.arrived[worker]) {
    return absl::FailedPreconditionError(
        absl::StrCat("worker ", worker, " has contributed to chunk ", chunk, " already"));
  }
  if (open.exchange.has_value() && !(*open.exchange == exchange)) {
    return absl::InvalidArgumentError(absl::StrCat("round ", round, ", chunk ", chunk, ": worker ",
                                                   worker, " exchanges ", ExchangeName(exchange),
                                                   ", another one ", ExchangeName(*open.exchange)));
  }
  open.exchange = exchange;
  open.arrived[worker] = true;
  open.contributions[worker] = std::move(contribution);
  if (++open.num_arrived < options_.num_workers) return absl::OkStatus();
  return Close(round, chunk);
}

absl::Status LoopbackGroup::Close(uint64_t round, uint32_t chunk) {
  Chunk& open = chunks_[chunk];
  LoopbackEntry entry;
  entry.chunk = chunk;
  entry.place = PlaceOf(round, *open.exchange);
  entry.exchange = *open.exchange;
  ExchangeTask task;
  for (size_t w = 0; w < options_.num_workers; ++w) {
    const SharedBuffer& contribution = open.contributions[w];
    const bool missed = options_.misses && options_.misses(w, round, chunk);
    entry.counted.push_back(contribution != nullptr && !missed);
    if (entry.counted.back()) task.payloads.push_back(contribution);
  }
  ChunkResult result;
  result.chunk = chunk;
  result.round = round;
  result.half = entry.place.half;
  result.num_participants = static_cast<uint32_t>(task.payloads.size());
  if (!task.payloads.empty()) {
    task.chunk = chunk;
    task.place = entry.place;
    task.description = description_;
    task.exchange = entry.exchange;
    task.divisor = static_cast<uint32_t>(entry.exchange.divisor == Divisor::kParticipants
                                             ? task.payloads.size()
                                             : options_.num_workers);
    task.residual = open.residual;
    TALLY_ASSIGN_OR_RETURN(ExchangeOutcome outcome, RunExchange(task, backend_));
    entry.result = outcome.payload;
    result.exchange = entry.exchange;
    result.payload = std::move(outcome.payload);
    result.payload_digest = outcome.payload_digest;
  }
  if (options_.rebases && options_.rebases(round, chunk)) {
    result.tracking_rebase = true;
    open.residual = std::make_shared<Residual>(open.residual->size());
  }
  for (size_t w = 0; w < options_.num_workers; ++w) {
    result.counted = entry.counted[w];
    results_[w].push_back(result);
  }
  result_arrived_.NotifyAll();

  entry.contributions = open.contributions;
  if (options_.keep_log) log_.push_back(std::move(entry));
  open.num_arrived = 0;
  open.exchange.reset();
  open.arrived.assign(options_.num_workers, false);
  open.contributions.assign(options_.num_workers, nullptr);
  return absl::OkStatus();
}

}  // namespace tally
