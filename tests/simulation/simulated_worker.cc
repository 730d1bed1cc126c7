#include "tests/simulation/simulated_worker.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "absl/strings/match.h"
#include "absl/types/variant.h"
#include "base/check.h"
#include "base/digest.h"
#include "client/incoming.h"
#include "client/outbound_frame.h"
#include "client/undone_contribution.h"
#include "codecs/checked_result.h"
#include "codecs/message_frame.h"
#include "codecs/sparse_codec.h"
#include "kernels/host_backends.h"
#include "tests/simulation/contribution_values.h"
#include "tests/simulation/scripted_exchange.h"

namespace tally {
namespace {

v1::ClientMessage Parse(const OutboundFrame& frame) {
  std::string bytes = frame.head;
  bytes.append(reinterpret_cast<const char*>(frame.piece.data()), frame.piece.size());
  v1::ClientMessage message;
  TALLY_CHECK(ParseFrame(bytes, &message).ok(), "what a session sends can be read");
  return message;
}

}  // namespace

SimulatedWorker::SimulatedWorker(SimulatedNetwork* network, SimulatedAggregators* aggregators,
                                 ContributionLog* log, SimulatedWorkerOptions options,
                                 const Saved* saved)
    : network_(network),
      aggregators_(aggregators),
      log_(log),
      options_(std::move(options)),
      choices_(Mix64(options_.seed) ^ Digest64(options_.member.worker), /*purpose=*/2),
      session_(options_.client, options_.member, network->events().now()),
      streams_(options_.client.aggregators.size()),
      shared_(layout().chunks().size()),
      own_(saved == nullptr ? PrivateState(&layout()) : saved->own),
      inbox_(&network->events()) {
  for (uint32_t chunk = 0; chunk < shared_.size(); ++chunk) {
    if (Tracks(layout(), chunk))
      shared_[chunk].tracked.resize(layout().chunks()[chunk].num_elements);
  }
  if (saved != nullptr && !saved->shared.empty()) shared_ = saved->shared;
  session_.Tick(network_->events().now());
  CarryOut();
}

std::string SimulatedWorker::WaitingFor() const {
  return session_.WaitingFor(network_->events().now());
}

bool SimulatedWorker::was_evicted() const {
  const absl::string_view why = failure_.message();
  return absl::IsAborted(failure_) ||
         (absl::IsFailedPrecondition(failure_) && absl::StrContains(why, "newer process")) ||
         ((absl::IsFailedPrecondition(failure_) || absl::IsDataLoss(failure_)) &&
          absl::StrContains(why, "evicted"));
}

bool SimulatedWorker::came_too_late() const {
  const absl::string_view why = failure_.message();
  return (absl::IsFailedPrecondition(failure_) && absl::StrContains(why, "is over")) ||
         (absl::IsUnavailable(failure_) && absl::StrContains(why, "is not here")) ||
         (absl::IsDeadlineExceeded(failure_) && absl::StrContains(why, "has not started"));
}

bool SimulatedWorker::IsCurrent(const SimulatedStream& stream) const {
  return streams_[stream.aggregator].get() == &stream;
}

void SimulatedWorker::ReceiveWelcome(const SimulatedStream& stream, const v1::Welcome& welcome) {
  if (!IsCurrent(stream)) return;
  session_.OnWelcome(stream.aggregator, welcome, network_->events().now());
  CarryOut();
}

void SimulatedWorker::ReceiveResult(const SimulatedStream& stream, const StoredResult& result) {
  if (!IsCurrent(stream)) return;
  absl::StatusOr<CheckedResult> checked =
      CheckResult(result.message, result.payload, layout(), *FastestHostBackend());
  if (checked.ok()) {
    AppliedEntry entry;
    entry.place = PlaceOf(checked->header);
    entry.chain = checked->chain;
    entry.header = checked->header;
    pending_[{checked->header.chunk(), entry.place}] = entry;
    session_.OnResult(stream.aggregator, *std::move(checked), network_->events().now());
  } else {
    session_.OnBadMessage(stream.aggregator, checked.status());
  }
  CarryOut();
}

void SimulatedWorker::ReceiveControl(const SimulatedStream& stream,
                                     const v1::ServerMessage& message) {
  if (!IsCurrent(stream)) return;
  const auto incoming = streams_[stream.aggregator]->incoming->Read(message);
  TALLY_CHECK(incoming.ok(), incoming.status().ToString());
  if (incoming->has_value()) {
    TakeIncoming(session_, stream.aggregator, **incoming, network_->events().now());
  }
  CarryOut();
}

void SimulatedWorker::ReceiveSnapshot(const SimulatedStream& stream,
                                      const ResidualSnapshot& snapshot) {
  if (!IsCurrent(stream)) return;
  v1::ResidualSnapshot message;
  message.set_chunk(snapshot.chunk);
  message.set_round(snapshot.place.round);
  message.set_half(snapshot.place.half);
  message.set_chain(snapshot.chain);
  message.set_payload_digest(snapshot.payload_digest);
  session_.OnSnapshot(stream.aggregator, message, snapshot.payload, network_->events().now());
  CarryOut();
}

void SimulatedWorker::ReceiveRefusal(const SimulatedStream& stream, const absl::Status& status) {
  if (!IsCurrent(stream) || status.ok()) return;
  v1::Refusal refusal;
  refusal.set_code(static_cast<uint32_t>(status.code()));
  refusal.set_message(std::string(status.message()));
  session_.OnRefusal(stream.aggregator, refusal);
  CarryOut();
}

void SimulatedWorker::LoseStream(const SimulatedStream& stream, const absl::Status& status) {
  if (!IsCurrent(stream)) return;
  streams_[stream.aggregator] = nullptr;
  session_.OnStreamLost(stream.aggregator, status, network_->events().now());
  CarryOut();
}

void SimulatedWorker::Kill() {
  dead_ = true;
  for (std::shared_ptr<SimulatedStream>& stream : streams_) {
    if (stream == nullptr) continue;
    network_->events().After(network_->Latency(), [this, stream] {
      (*aggregators_)[stream->aggregator]->ReceiveEnd(stream);
      stream->broken = true;
    });
    stream = nullptr;
  }
}

void SimulatedWorker::CutStreamTo(size_t aggregator) {
  const std::shared_ptr<SimulatedStream> stream = streams_[aggregator];
  if (stream == nullptr) return;
  network_->Break(stream, absl::CancelledError("cut by this worker"));
  network_->events().After(network_->Latency(), [this, stream] {
    (*aggregators_)[stream->aggregator]->ReceiveEnd(stream);
  });
}

bool SimulatedWorker::has_closed_its_books() const {
  if (dead_ || left_late_ || is_unsettled()) return false;
  return left_ || (session_.evicted() && session_.told_by_all());
}

uint64_t SimulatedWorker::ChainOf(uint32_t chunk) const {
  const auto entries = history_.find(chunk);
  if (entries != history_.end() && !entries->second.empty()) return entries->second.back().chain;
  return first_chains_.empty() ? 0 : first_chains_[chunk];
}

std::string SimulatedWorker::Chains() const {
  std::string bytes;
  for (uint32_t chunk = 0; chunk < shared_.size(); ++chunk) {
    const uint64_t chain = ChainOf(chunk);
    bytes.append(reinterpret_cast<const char*>(&chain), sizeof(chain));
  }
  return bytes;
}

std::string SimulatedWorker::ReplicatedState() const {
  std::string bytes;
  for (const SharedChunk& chunk : shared_) {
    bytes.append(reinterpret_cast<const char*>(&chunk.digest), sizeof(chunk.digest));
    bytes.append(reinterpret_cast<const char*>(chunk.tracked.data()),
                 chunk.tracked.size() * sizeof(float));
  }
  return bytes;
}

void SimulatedWorker::GiveStateIfWanted() {
  if (!session_.state_wanted()) return;
  const std::string state = Chains() + ReplicatedState();
  Buffer bytes(state.size());
  std::memcpy(bytes.data(), state.data(), state.size());
  const absl::Status status = session_.GiveState(std::make_shared<const Buffer>(std::move(bytes)),
                                                 network_->events().now());
  TALLY_CHECK(status.ok(), status.ToString());
}

void SimulatedWorker::LoadState(const Buffer& bytes) {
  absl::Span<const uint8_t> rest = bytes.bytes();
  const auto read = [&](void* data, size_t size) {
    TALLY_CHECK(size <= rest.size(), "the state is whole");
    if (size > 0) std::memcpy(data, rest.data(), size);
    rest.remove_prefix(size);
  };
  const SharedState& joined = *session_.joined_state();
  first_chains_.resize(shared_.size());
  read(first_chains_.data(), first_chains_.size() * sizeof(uint64_t));
  for (uint32_t chunk = 0; chunk < shared_.size(); ++chunk) {
    const uint64_t chain = first_chains_[chunk];
    read(&shared_[chunk].digest, sizeof(uint64_t));
    read(shared_[chunk].tracked.data(), shared_[chunk].tracked.size() * sizeof(float));
    if (Tracks(layout(), chunk)) own_.Rebase(chunk, shared_[chunk].tracked);
    // Scripts know nothing of a genesis.
    TALLY_CHECK(chain == 0 || chain == joined.chunks[chunk].chain,
                "the state stands where its chains say");
  }
}

void SimulatedWorker::CarryOut() {
  if (dead_) return;
  for (SessionAction& action : session_.TakeActions()) {
    if (const auto* open = absl::get_if<OpenStream>(&action)) {
      streams_[open->aggregator] = network_->Open(this, open->aggregator);
      streams_[open->aggregator]->incoming = std::make_unique<IncomingReader>(
          &layout(), options_.client.roster_limit, FastestHostBackend());
    } else if (const auto* cut = absl::get_if<CutStream>(&action)) {
      CutStreamTo(cut->aggregator);
    } else if (absl::holds_alternative<RunStarted>(action)) {
      if (is_newcomer()) LoadState(*session_.joined_state()->bytes);
    } else if (const auto* send = absl::get_if<SendMessage>(&action)) {
      const std::shared_ptr<SimulatedStream> stream = streams_[send->aggregator];
      if (stream == nullptr) continue;
      for (const OutboundFrame& frame : CutIntoFrames(send->message, send->payload)) {
        network_->SendUp(stream, [this, stream, message = Parse(frame)]() mutable {
          (*aggregators_)[stream->aggregator]->Receive(stream, std::move(message));
        });
      }
    } else if (const auto* result = absl::get_if<DeliverResult>(&action)) {
      Deliver(result->result);
    } else if (absl::holds_alternative<RunLeft>(action)) {
      left_ = true;
    } else if (const auto* failed = absl::get_if<SessionFailed>(&action)) {
      // It was released by an aggregator that was killed before it had released everybody.
      left_ = left_late_ = leaving_ && absl::IsDeadlineExceeded(failed->status);
      if (!left_) Fail(failed->status);
    }
  }
  GoOn();
  ScheduleTick();
}

void SimulatedWorker::Deliver(const ChunkResult& result) {
  const Place place = {result.round, result.half};
  if (result.settled) {
    settlements_.push_back({session_.member(), process(), result.chunk, place, result.counted});
    if (result.counted) own_.TakeOut(result.chunk, place);
    return;
  }
  const auto found = pending_.find({result.chunk, place});
  TALLY_CHECK(found != pending_.end(), "what is delivered came in");
  AppliedEntry entry = std::move(found->second);
  pending_.erase(found);
  entry.counted = result.counted;
  Apply(result, entry);
  history_[result.chunk].push_back(std::move(entry));
  if (!result.exchange.has_value() || !HasSecondHalf(*result.exchange)) return;
  const Exchange values = {ValuesExchange{
      .num_values = SparseCountOf(result.payload->bytes()),
      .candidates_digest = result.payload_digest,
  }};
  network_->events().After(
      choices_.Between(absl::ZeroDuration(), absl::Milliseconds(2)),
      [this, chunk = result.chunk, round = result.round, values, candidates = result.payload] {
        Contribute(chunk, values, {round, 1}, candidates);
        CarryOut();
      });
}

void SimulatedWorker::Apply(const ChunkResult& result, const AppliedEntry& entry) {
  SharedChunk& shared = shared_[result.chunk];
  shared.digest = SharedDigestAfter(shared.digest, entry.header);
  if (result.counted) own_.TakeOut(result.chunk, entry.place);
  if (!Tracks(layout(), result.chunk)) return;
  if (result.exchange.has_value()) {
    const std::vector<float> values =
        ContributionValues(*result.exchange, layout(), result.chunk, result.payload->bytes(), {});
    for (size_t i = 0; i < values.size(); ++i) shared.tracked[i] += values[i];
  }
  if (result.tracking_rebase) own_.Rebase(result.chunk, shared.tracked);
}

void SimulatedWorker::Fail(const absl::Status& status) {
  failure_ = status;
  for (const UndoneContribution& undone : session_.TakeUndone()) {
    own_.PutBack(undone.chunk, undone.place);
  }
  TakeInheritances();
  if (absl::IsAborted(status) && options_.when_aborted) options_.when_aborted();
}

bool SimulatedWorker::SaveIfDue() {
  const absl::Time now = network_->events().now();
  if (!options_.save_after.has_value() || saved_.has_value() ||
      session_.next_round() != *options_.save_after + 1 || !session_.CheckSaveable().ok()) {
    return false;
  }
  if (session_.AwaitedSnapshot().has_value()) {
    if (save_until_ == absl::InfiniteFuture()) {
      save_until_ = now + absl::Seconds(5);
      network_->events().At(save_until_, [this] { CarryOut(); });
    }
    return now < save_until_;
  }
  const absl::StatusOr<SavedRun> run = session_.SaveRun();
  TALLY_CHECK(run.ok(), run.status().ToString());
  saved_ = {EncodeSavedRun(*run, layout()), shared_, own_};
  return false;
}

void SimulatedWorker::GoOn() {
  if (finished() || thinking_ || !session_.started() || session_.missing_results() > 0) return;
  if (session_.evicted() && !session_.settled()) return;
  if (!session_.evicted() && SaveIfDue()) return;
  thinking_ = true;
  absl::Duration longest = std::min(options_.longest_thought, absl::Milliseconds(20));
  if (options_.longest_thought > longest && choices_.OneIn(8)) longest = options_.longest_thought;
  // Who only follows computes no gradients.
  if (!session_.takes_part()) longest = absl::Milliseconds(1);
  network_->events().After(choices_.Between(absl::ZeroDuration(), longest), [this] {
    thinking_ = false;
    if (finished()) return;
    if (session_.evicted()) {
      if (session_.settled()) Fail(session_.StartRound(network_->events().now()));
      return;
    }
    PlayRound();
    CarryOut();
  });
}

void SimulatedWorker::PlayRound() {
  const absl::Time now = network_->events().now();
  GiveStateIfWanted();
  TakeInheritances();
  const uint64_t digest = Digest64(ReplicatedState());
  replicas_.insert({Digest64(Chains()), digest});
  session_.TellReplicaDigest(digest);
  const uint64_t round = session_.next_round();
  if (round > options_.last_round || leaves_early_) {
    leaving_ = true;
    thinking_ = true;  // for ever
    const std::vector<float> residual = leaves_early_ ? own_.residual() : std::vector<float>();
    TALLY_CHECK(session_.Leave(residual, now).ok(), "a worker leaves between rounds");
    return;
  }
  if (round == options_.save_after) session_.SaveNextRound();
  TALLY_CHECK(session_.StartRound(now).ok(), "a round starts when the last one is over");
  // In any order.
  std::vector<uint32_t> chunks(layout().chunks().size());
  for (uint32_t chunk = 0; chunk < chunks.size(); ++chunk) {
    chunks[chunk] = chunk;
    std::swap(chunks[chunk], chunks[choices_.Below(chunk + 1)]);
  }
  for (const uint32_t chunk : chunks) {
    Contribute(chunk, ScriptedExchange(layout(), options_.client.roster_limit, chunk, round),
               {round, 0}, nullptr);
  }
}

void SimulatedWorker::TakeInheritances() {
  for (Inheritance& inheritance : session_.TakeInheritances()) {
    own_.Inherit(inheritance);
    inherited_.push_back(std::move(inheritance));
  }
}

void SimulatedWorker::Contribute(uint32_t chunk, const Exchange& exchange, const Place& place,
                                 const SharedBuffer& candidates) {
  if (finished()) return;
  const uint64_t seed = ScriptSeed(options_.seed, name(), chunk, place, shared_[chunk].digest);
  SharedBuffer payload;
  if (!Abstains(seed)) {
    payload = std::make_shared<const Buffer>(
        candidates == nullptr
            ? own_.Contribute(exchange, chunk, seed)
            : own_.ContributeValues(exchange, chunk,
                                    CandidatesOf(layout(), chunk, candidates->bytes())));
  }
  log_->Add(session_.member(), chunk, place, ChainOf(chunk), {payload, process()});
  v1::Contribution contribution;
  *contribution.mutable_exchange() = EncodeExchange(exchange);
  contribution.set_abstain(payload == nullptr);
  if (payload != nullptr) contribution.set_payload_digest(Digest64(payload->bytes()));
  const absl::Status status = session_.Contribute(chunk, std::move(contribution),
                                                  std::move(payload), network_->events().now());
  // An observer's run may be over.
  TALLY_CHECK(status.ok() || !session_.failure().ok(), status.ToString());
}

void SimulatedWorker::ScheduleTick() {
  const absl::Time next = session_.NextTick();
  if (finished() || next == absl::InfiniteFuture()) return;
  network_->events().At(next, [this, tick = ++tick_] {
    if (tick != tick_ || dead_) return;
    if (inbox_.paused()) {
      return network_->events().At(inbox_.paused_until(), [this] {
        if (!dead_) ScheduleTick();
      });
    }
    session_.Tick(network_->events().now());
    CarryOut();
  });
}

}  // namespace tally
