#include "tests/util/result_maker.h"

#include <algorithm>
#include <memory>
#include <utility>

#include "base/digest.h"
#include "codecs/layout_codec.h"

namespace tally {
namespace {

constexpr uint32_t kChunkElements = 256;

}  // namespace

Layout LayoutOfChunks(size_t num_chunks) {
  std::vector<Tensor> tensors;
  if (num_chunks > 1) tensors.push_back({"weights", (num_chunks - 1) * kChunkElements});
  tensors.push_back({"bias", 10, Treatment::kDense});
  return *Layout::Create(std::move(tensors), kChunkElements);
}

MemberId Self() { return {"w-1", 11}; }
MemberId Other() { return {"w-2", 22}; }

SharedBuffer ZeroPayload(const Exchange& exchange, const Layout& layout, size_t chunk) {
  Buffer payload(ContributionSize(exchange, layout, chunk).max_bytes);
  std::fill_n(payload.data(), payload.size(), uint8_t{0});
  return std::make_shared<const Buffer>(std::move(payload));
}

ResultMaker::ResultMaker(Layout layout, TestRun run)
    : layout_(std::move(layout)),
      run_(std::move(run)),
      heads_(layout_.chunks().size(), Head{run_.settings.first_round() - 1, 0, Roster()}) {}

v1::ResultHeader ResultMaker::GenesisOf(uint32_t chunk, std::vector<MemberId> roster) {
  v1::ResultHeader header;
  header.set_run(run_.run);
  header.set_chunk(chunk);
  header.set_round(run_.settings.first_round() - 1);
  header.mutable_genesis()->set_seed(run_.seed);
  header.mutable_genesis()->set_layout_digest(Digest64(EncodeLayout(layout_).SerializeAsString()));
  header.mutable_genesis()->set_settings_digest(Digest64(run_.settings.SerializeAsString()));
  header.mutable_genesis()->set_initial_state_digest(run_.initial_state_digest);
  header.set_epoch(1);
  for (const MemberId& member : roster) *header.add_roster() = EncodeMember(member);
  return header;
}

v1::ResultHeader ResultMaker::NextOf(uint32_t chunk, const Exchange& exchange,
                                     const std::vector<MemberId>& participants) {
  const Head& head = heads_[chunk];
  v1::ResultHeader header;
  header.set_run(run_.run);
  header.set_chunk(chunk);
  header.set_round(head.next_round);
  header.set_prev_chain(head.chain);
  header.set_epoch(head.roster.epoch());
  std::vector<size_t> positions;
  for (const MemberId& member : participants) {
    positions.push_back(*head.roster.IndexOf(member.worker));
  }
  header.set_participants(head.roster.ParticipantBitmap(positions));
  if (participants.empty()) return header;
  *header.mutable_exchange() = EncodeExchange(exchange);
  const SharedBuffer payload = ZeroPayload(exchange, layout_, chunk);
  header.set_payload_bytes(payload->size());
  header.set_payload_digest(Digest64(payload->bytes()));
  return header;
}

void ResultMaker::MoveTo(const v1::ResultHeader& header) {
  Head& head = heads_[header.chunk()];
  const absl::StatusOr<Roster> next = head.roster.After(header);
  head.next_round = header.round() + 1;
  head.chain = ChainOf(header.SerializeAsString());
  if (next.ok()) head.roster = *next;
}

CheckedResult ResultMaker::Checked(const v1::ResultHeader& header) {
  MoveTo(header);
  CheckedResult result;
  result.header = header;
  result.header_bytes = header.SerializeAsString();
  result.chain = ChainOf(result.header_bytes);
  if (header.has_exchange()) {
    result.exchange = *DecodeExchange(header.exchange(), layout_, header.chunk());
    result.payload = ZeroPayload(*result.exchange, layout_, header.chunk());
  }
  return result;
}

v1::ServerMessage ResultMaker::Sent(const v1::ResultHeader& header) {
  const CheckedResult checked = Checked(header);
  v1::ServerMessage message;
  v1::Result& result = *message.mutable_result();
  result.set_chunk(header.chunk());
  result.set_round(header.round());
  result.set_header(header.SerializeAsString());
  result.mutable_slice()->set_total_bytes(header.payload_bytes());
  if (checked.payload != nullptr) {
    message.set_payload(checked.payload->data(), checked.payload->size());
  }
  return message;
}

}  // namespace tally
