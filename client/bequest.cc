#include "client/bequest.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/digest.h"

namespace tally {
namespace {

// Longer than a residual takes over any link that can train; the relay drops what it has already.
constexpr absl::Duration kGiveAgain = absl::Seconds(5);

bool Goes(const v1::ResultHeader& header, absl::string_view worker) {
  return std::any_of(header.evicted().begin(), header.evicted().end(),
                     [&](const v1::Member& member) { return member.worker() == worker; }) ||
         std::any_of(
             header.left().begin(), header.left().end(),
             [&](const v1::Departure& departure) { return departure.member().worker() == worker; });
}

}  // namespace

Bequest::Bequest(const Layout& layout, size_t num_aggregators, MemberId leaver,
                 absl::Span<const float> residual)
    : leaver_(std::move(leaver)), chunks_(layout.chunks().size()), aggregators_(num_aggregators) {
  std::vector<float> values;
  for (uint32_t c = 0; c < chunks_.size(); ++c) {
    const Layout::Chunk& shape = layout.chunks()[c];
    values.resize(shape.num_elements);
    if (shape.dealt) {
      layout.dealing()->Gather(c, 0, residual, absl::MakeSpan(values));
    } else {
      std::copy_n(residual.begin() + static_cast<std::ptrdiff_t>(shape.offset), values.size(),
                  values.begin());
    }
    SetValues(chunks_[c], values);
    if (shape.dense && chunks_[c].state == State::kUnnamed) chunks_[c].state = State::kLost;
  }
}

void Bequest::SetValues(Chunk& chunk, absl::Span<const float> values) {
  chunk.sum_of_squares = 0;
  for (const float value : values) chunk.sum_of_squares += double{value} * value;
  if (chunk.sum_of_squares == 0) return;
  Buffer payload(values.size() * sizeof(float));
  std::memcpy(payload.data(), values.data(), payload.size());
  chunk.payload = std::make_shared<const Buffer>(std::move(payload));
  chunk.state = State::kUnnamed;
}

void Bequest::Add(const Inheritance& inheritance) {
  Chunk& chunk = chunks_[inheritance.chunk];
  std::vector<float> values(inheritance.payload->size() / sizeof(float));
  std::memcpy(values.data(), inheritance.payload->data(), inheritance.payload->size());
  for (size_t i = 0; chunk.payload != nullptr && i < values.size(); ++i) {
    float own = 0;
    std::memcpy(&own, chunk.payload->data() + i * sizeof(float), sizeof(float));
    values[i] += own;
  }
  SetValues(chunk, values);
}

void Bequest::Read(const v1::ResultHeader& header, uint64_t chain) {
  Chunk& chunk = chunks_[header.chunk()];
  if (chunk.state == State::kGiven && Goes(header, chunk.heir)) chunk.state = State::kLost;
  if (chunk.state != State::kUnnamed) return;
  for (const v1::Departure& left : header.left()) {
    if (left.member().worker() != leaver_.worker) continue;
    v1::Handover note;
    note.set_chunk(header.chunk());
    note.set_heir(left.heir());
    note.set_after_chain(chain);
    Read(note);
  }
}

void Bequest::Read(const v1::Handover& note) {
  if (note.chunk() >= chunks_.size()) return;
  Chunk& chunk = chunks_[note.chunk()];
  // The heir has come back: what it was sent before may be lost.
  if (chunk.state == State::kGiven) Restart(note.chunk() % aggregators_.size());
  if (chunk.state != State::kUnnamed) return;
  chunk.state = note.heir().empty() ? State::kLost : State::kGiven;
  chunk.heir = note.heir();
  chunk.chain = note.after_chain();
}

absl::optional<uint32_t> Bequest::Given(size_t aggregator) const {
  for (size_t c = aggregator; c < chunks_.size(); c += aggregators_.size()) {
    if (chunks_[c].state == State::kGiven) return static_cast<uint32_t>(c);
  }
  return absl::nullopt;
}

absl::Time Bequest::next_at(size_t aggregator) const {
  return Given(aggregator).has_value() ? aggregators_[aggregator].sent_at + kGiveAgain
                                       : absl::InfiniteFuture();
}

absl::optional<Bequest::Gift> Bequest::Next(size_t aggregator, absl::Time now) {
  if (now < next_at(aggregator)) return absl::nullopt;
  const absl::optional<uint32_t> index = Given(aggregator);
  if (!index.has_value()) return absl::nullopt;
  const Chunk& chunk = chunks_[*index];
  aggregators_[aggregator].sent_at = now;
  Gift gift{.payload = chunk.payload};
  gift.message.set_chunk(*index);
  *gift.message.mutable_leaver() = EncodeMember(leaver_);
  gift.message.set_heir(chunk.heir);
  gift.message.set_after_chain(chunk.chain);
  gift.message.set_payload_digest(Digest64(chunk.payload->bytes()));
  return gift;
}

void Bequest::Acknowledge(const v1::HandoverAck& ack) {
  if (ack.chunk() >= chunks_.size() || chunks_[ack.chunk()].state != State::kGiven) return;
  chunks_[ack.chunk()].state = State::kTaken;
  Restart(ack.chunk() % aggregators_.size());
}

void Bequest::GiveUp(size_t aggregator) {
  for (size_t c = aggregator; c < chunks_.size(); c += aggregators_.size()) {
    if (chunks_[c].state != State::kTaken) chunks_[c].state = State::kLost;
  }
}

bool Bequest::done(size_t aggregator) const {
  for (size_t c = aggregator; c < chunks_.size(); c += aggregators_.size()) {
    if (chunks_[c].state == State::kUnnamed || chunks_[c].state == State::kGiven) return false;
  }
  return true;
}

std::string Bequest::Reason(size_t aggregator) const {
  for (size_t c = aggregator; c < chunks_.size(); c += aggregators_.size()) {
    if (chunks_[c].state == State::kUnnamed) {
      return absl::StrCat("chunk ", c, ": waiting for the round that names who inherits it");
    }
    if (chunks_[c].state == State::kGiven) {
      return absl::StrCat("chunk ", c, ": waiting for worker `", chunks_[c].heir,
                          "` to take what is left over");
    }
  }
  return "";
}

double Bequest::NormOf(State state) const {
  double sum = 0;
  for (const Chunk& chunk : chunks_) {
    if (chunk.state == state) sum += chunk.sum_of_squares;
  }
  return std::sqrt(sum);
}

double Bequest::handed_over_norm() const { return NormOf(State::kTaken); }
double Bequest::discarded_norm() const { return NormOf(State::kLost); }

}  // namespace tally
