#include "tests/util/raw_worker.h"

#include <cstring>
#include <utility>

#include "base/check.h"
#include "base/digest.h"
#include "codecs/limits.h"
#include "codecs/roster.h"

namespace tally {

RawWorker::RawWorker(int port, v1::Hello hello, const Layout& layout)
    : port_(port), hello_(std::move(hello)), layout_(layout) {}

v1::Hello RawWorker::NextHello() const {
  v1::Hello hello = hello_;
  for (const auto& [chunk, head] : heads_) {
    hello.set_intent(v1::INTENT_MEMBER);
    v1::ChunkProgress& progress = *hello.add_chunks();
    progress.set_chunk(chunk);
    progress.mutable_head()->set_round(head.newest_place.round);
    progress.mutable_head()->set_half(head.newest_place.half);
    progress.mutable_head()->set_chain(head.chain);
  }
  return hello;
}

void RawWorker::Connect() {
  stream_ = std::make_unique<RawStream>(port_);
  incoming_.Clear();
  payload_.clear();
  v1::ClientMessage message;
  *message.mutable_hello() = NextHello();
  stream_->Send(message);
}

absl::optional<v1::Welcome> RawWorker::AwaitWelcome() {
  while (absl::optional<v1::ServerMessage> message = Take()) {
    if (message->has_welcome()) return message->welcome();
  }
  return absl::nullopt;
}

void RawWorker::AwaitStart() {
  while (heads_.size() < layout_.chunks().size()) {
    TALLY_CHECK(Take().has_value(), "the run must start");
  }
}

TestContribution RawWorker::Contribution(uint32_t chunk, float value) const {
  return Contribution(
      chunk, DenseFloat32(),
      DensePayload(std::vector<float>(layout_.chunks()[chunk].num_elements, value)));
}

TestContribution RawWorker::Contribution(uint32_t chunk, const Exchange& exchange,
                                         std::string payload) const {
  const Head& head = heads_.at(chunk);
  TestContribution contribution =
      MakeContribution(hello_, chunk, head.next.round, head.chain, exchange, std::move(payload));
  contribution.message.set_half(head.next.half);
  return contribution;
}

void RawWorker::Contribute(uint32_t chunk, float value) { Send(Contribution(chunk, value)); }

void RawWorker::Send(const TestContribution& contribution) {
  for (const v1::ClientMessage& message : contribution.Slices(kSliceBytes)) {
    stream_->Send(message);
  }
}

const RawWorker::Result& RawWorker::AwaitResult(uint32_t chunk) {
  const Place open = next(chunk);
  while (next(chunk) == open) {
    TALLY_CHECK(Take().has_value(), "the round must end with a result");
  }
  return heads_.at(chunk).newest;
}

absl::Status RawWorker::AwaitRefusal() {
  while (absl::optional<v1::ServerMessage> message = Take()) {
    if (!message->has_refusal()) continue;
    const v1::Refusal& refusal = message->refusal();
    const absl::Status status = stream_->Finish();
    TALLY_CHECK(static_cast<uint32_t>(status.code()) == refusal.code() &&
                    status.message() == refusal.message(),
                "a stream ends with its refusal's code and words");
    return status;
  }
  return absl::NotFoundError("the stream ended without a refusal");
}

absl::Status RawWorker::Leave() {
  v1::ClientMessage message;
  message.mutable_leave();
  stream_->Send(message);
  stream_->CloseSending();
  return stream_->Finish();
}

absl::optional<v1::ServerMessage> RawWorker::Take() {
  absl::optional<v1::ServerMessage> message = stream_->Receive();
  if (message.has_value() && message->has_result()) Apply(*message);
  return message;
}

void RawWorker::Apply(const v1::ServerMessage& message) {
  const v1::Slice& slice = message.result().slice();
  if (slice.offset_bytes() == 0) incoming_ = message.result();
  TALLY_CHECK(slice.offset_bytes() == payload_.size() &&
                  message.result().chunk() == incoming_.chunk() &&
                  message.result().round() == incoming_.round(),
              "slices follow each other");
  payload_ += message.payload();
  if (payload_.size() < slice.total_bytes()) return;

  Result result{.header_bytes = incoming_.header(),
                .values = std::vector<float>(payload_.size() / sizeof(float))};
  TALLY_CHECK(result.header.ParseFromString(incoming_.header()), "a result has a header");
  TALLY_CHECK(result.header.payload_bytes() == payload_.size() &&
                  (payload_.empty() || result.header.payload_digest() == Digest64(payload_)),
              "the header tells the payload's size and digest");
  if (!result.values.empty()) {
    std::memcpy(result.values.data(), payload_.data(), result.values.size() * sizeof(float));
  }
  result.payload = std::move(payload_);
  payload_.clear();
  Head& head = heads_[result.header.chunk()];
  // What came before already, as the answer to a repeat.
  if (ChainOf(result.header_bytes) == head.chain) return;
  TALLY_CHECK(result.header.prev_chain() == head.chain, "a result continues this history");
  head.chain = ChainOf(result.header_bytes);
  head.newest_place = PlaceOf(result.header);
  head.next = PlaceAfter(result.header);
  head.newest = std::move(result);
}

}  // namespace tally
