#include "client/session_test_support.h"

#include <algorithm>
#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/digest.h"
#include "codecs/layout_codec.h"

namespace tally {
namespace {

constexpr uint32_t kChunkElements = 256;

v1::JobSettings SettingsOf(const ClientOptions& options) {
  v1::JobSettings settings;
  settings.set_expected_workers(options.expected_workers);
  settings.set_roster_limit(std::max(options.roster_limit, options.expected_workers));
  settings.set_first_round(options.first_round);
  return settings;
}

}  // namespace

Layout LayoutOfChunks(size_t num_chunks) {
  std::vector<Tensor> tensors;
  if (num_chunks > 1) tensors.push_back({"weights", (num_chunks - 1) * kChunkElements});
  tensors.push_back({"bias", 10, Treatment::kDense});
  return *Layout::Create(std::move(tensors), kChunkElements);
}

ClientOptions OptionsOf(size_t num_aggregators, size_t num_chunks) {
  ClientOptions options;
  options.job = "bert";
  options.worker = Self().worker;
  for (size_t i = 0; i < num_aggregators; ++i) {
    options.aggregators.push_back({absl::StrCat("agg-", i), absl::StrCat("host-", i, ":7000")});
  }
  options.layout = LayoutOfChunks(num_chunks);
  options.expected_workers = 2;
  options.run = 7;
  options.seed = 77;
  options.initial_state_digest = 777;
  return options;
}

MemberId Self() { return {"w-1", 11}; }
MemberId Other() { return {"w-2", 22}; }

SharedBuffer ZeroPayload(const Exchange& exchange, const Layout& layout, size_t chunk) {
  Buffer payload(ContributionSize(exchange, layout, chunk).max_bytes);
  std::fill_n(payload.data(), payload.size(), uint8_t{0});
  return std::make_shared<const Buffer>(std::move(payload));
}

ResultMaker::ResultMaker(const ClientOptions& options)
    : options_(options),
      heads_(options.layout->chunks().size(), Head{options.first_round - 1, 0, Roster()}) {}

v1::ResultHeader ResultMaker::GenesisOf(uint32_t chunk, std::vector<MemberId> roster) {
  v1::ResultHeader header;
  header.set_run(options_.run);
  header.set_chunk(chunk);
  header.set_round(options_.first_round - 1);
  header.mutable_genesis()->set_seed(options_.seed);
  header.mutable_genesis()->set_layout_digest(
      Digest64(EncodeLayout(*options_.layout).SerializeAsString()));
  header.mutable_genesis()->set_settings_digest(Digest64(SettingsOf(options_).SerializeAsString()));
  header.mutable_genesis()->set_initial_state_digest(options_.initial_state_digest);
  header.set_epoch(1);
  for (const MemberId& member : roster) *header.add_roster() = EncodeMember(member);
  return header;
}

v1::ResultHeader ResultMaker::NextOf(uint32_t chunk, const Exchange& exchange,
                                     const std::vector<MemberId>& participants) {
  const Head& head = heads_[chunk];
  v1::ResultHeader header;
  header.set_run(options_.run);
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
  const SharedBuffer payload = ZeroPayload(exchange, *options_.layout, chunk);
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
  result.chain = ChainOf(header.SerializeAsString());
  if (header.has_exchange()) {
    result.exchange = *DecodeExchange(header.exchange(), *options_.layout, header.chunk());
    result.payload = ZeroPayload(*result.exchange, *options_.layout, header.chunk());
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

v1::Welcome WelcomeFrom(const std::string& aggregator, uint32_t window_chunks, uint64_t instance) {
  v1::Welcome welcome;
  welcome.set_aggregator(aggregator);
  welcome.mutable_instance()->set_start_us(instance);
  welcome.mutable_instance()->set_random(instance);
  welcome.set_verdict(v1::Welcome::VERDICT_MEMBER);
  welcome.set_window_chunks(window_chunks);
  welcome.mutable_silence_limit()->set_seconds(30);
  return welcome;
}

}  // namespace tally
