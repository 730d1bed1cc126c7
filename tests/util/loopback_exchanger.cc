#include "tests/util/loopback_exchanger.h"

#include <algorithm>
#include <cstring>
#include <thread>
#include <tuple>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/types/variant.h"
#include "base/status_macros.h"
#include "codecs/sign_codec.h"
#include "kernels/sign_block.h"

namespace tally {

class LoopbackGroup::Worker final : public Exchanger {
 public:
  Worker(LoopbackGroup* group, size_t index) : group_(*group), index_(index) {}

  const Layout& layout() const override { return group_.layout_; }
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
        ValidatePayload(exchange, layout(), chunk, payload.bytes(), group_.backend_));
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
    --num_outstanding_;
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
  uint64_t next_round_ = 0;
  size_t num_outstanding_ = 0;
};

LoopbackGroup::LoopbackGroup(Layout layout, LoopbackOptions options, const Backend* backend)
    : layout_(std::move(layout)),
      options_(std::move(options)),
      backend_(*backend),
      chunks_(layout_.chunks().size()),
      results_(options_.num_workers) {
  for (Chunk& chunk : chunks_) {
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
    return std::tie(a.round, a.chunk) < std::tie(b.round, b.chunk);
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
  entry.round = round;
  entry.exchange = *open.exchange;
  std::vector<absl::Span<const uint8_t>> payloads;
  for (size_t w = 0; w < options_.num_workers; ++w) {
    const SharedBuffer& contribution = open.contributions[w];
    const bool missed = options_.misses && options_.misses(w, round, chunk);
    entry.counted.push_back(contribution != nullptr && !missed);
    if (entry.counted.back()) payloads.push_back(contribution->bytes());
  }
  if (!payloads.empty()) {
    Buffer result;
    TALLY_RETURN_IF_ERROR(Aggregate(chunk, entry.exchange, payloads, result));
    entry.result = std::make_shared<const Buffer>(std::move(result));
  }
  for (size_t w = 0; w < options_.num_workers; ++w) {
    ChunkResult result;
    result.chunk = chunk;
    result.round = round;
    if (!payloads.empty()) result.exchange = entry.exchange;
    result.counted = entry.counted[w];
    result.num_participants = static_cast<uint32_t>(payloads.size());
    result.payload = entry.result;
    results_[w].push_back(std::move(result));
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

absl::Status LoopbackGroup::Aggregate(uint32_t chunk, const Exchange& exchange,
                                      absl::Span<const absl::Span<const uint8_t>> payloads,
                                      Buffer& result) {
  result = Buffer(PayloadBytes(exchange, layout_, chunk));
  const float divisor = static_cast<float>(
      exchange.divisor == Divisor::kParticipants ? payloads.size() : options_.num_workers);
  if (const auto* dense = absl::get_if<DenseExchange>(&exchange.kind)) {
    return backend_.DenseMean(dense->dtype, payloads, divisor, result.bytes());
  }
  const SignExchange& sign = absl::get<SignExchange>(exchange.kind);
  const uint32_t num_elements = layout_.chunks()[chunk].num_elements;
  const std::vector<uint32_t> ends = layout_.SegmentEnds(chunk, sign.granularity);
  std::vector<SignBlock> blocks;
  for (const absl::Span<const uint8_t> payload : payloads) {
    blocks.push_back(SignBlockOf(payload, num_elements, ends.size()));
  }
  std::vector<float>& residual = chunks_[chunk].residual;
  if (residual.empty() || sign.zero_residual) residual.assign(num_elements, 0.0f);
  const SignPayloadParts parts = SignPartsOf(result.bytes(), num_elements, ends.size());
  return backend_.SignRound({.blocks = blocks,
                             .divisor = divisor,
                             .segment_ends = ends,
                             .live = layout_.live(chunk),
                             .rule = sign.scale_rule,
                             .residual = absl::MakeSpan(residual),
                             .bits = parts.bits,
                             .scales = parts.scales});
}

}  // namespace tally
