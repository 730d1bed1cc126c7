// Input: serialized v1::ResultHeaders, each behind a byte with its length; a chunk's history.
#include <algorithm>
#include <string>
#include <vector>

#include "base/check.h"
#include "codecs/roster.h"
#include "google/protobuf/stubs/logging.h"
#include "proto/tally/v1/exchange.pb.h"
#include "tests/fuzz/fuzz_target.h"

namespace tally {
namespace {

void CheckRoster(const Roster& roster) {
  for (size_t i = 0; i < roster.size(); ++i) {
    TALLY_CHECK(i == 0 || roster.members()[i - 1].worker < roster.members()[i].worker, "order");
    TALLY_CHECK(roster.IndexOf(roster.members()[i].worker) == i, "index");
  }
}

void CheckParticipants(const Roster& roster, const std::string& bitmap) {
  const absl::StatusOr<std::vector<MemberId>> participants = roster.Participants(bitmap);
  if (!participants.ok()) return;
  std::vector<size_t> positions;
  for (const MemberId& member : *participants) positions.push_back(*roster.IndexOf(member.worker));
  TALLY_CHECK(roster.ParticipantBitmap(positions) == bitmap, "bitmap");
}

void Append(std::string& history, const v1::ResultHeader& header) {
  const std::string bytes = header.SerializeAsString();
  history.push_back(static_cast<char>(bytes.size()));
  history.append(bytes);
}

}  // namespace

std::vector<std::string> SeedInputs() {
  std::string history;
  v1::ResultHeader header;
  header.mutable_genesis()->set_seed(1);
  header.set_epoch(1);
  for (const char* worker : {"a", "b", "c"}) *header.add_roster() = EncodeMember({worker, 7});
  Append(history, header);

  header.Clear();
  header.set_epoch(2);
  header.set_participants("\x05");
  *header.add_evicted() = EncodeMember({"a", 7});
  *header.add_activated() = EncodeMember({"d", 8});
  for (const char* worker : {"b", "c"}) *header.add_roster() = EncodeMember({worker, 7});
  *header.add_roster() = EncodeMember({"d", 8});
  Append(history, header);

  header.Clear();
  header.set_epoch(2);
  header.set_participants("\x07");
  Append(history, header);
  return {history};
}

}  // namespace tally

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace tally;
  // Protobuf prints a line for each string that is not UTF-8.
  const google::protobuf::LogSilencer silencer;
  Roster roster;
  while (size > 0) {
    const size_t header_bytes = std::min<size_t>(data[0], size - 1);
    v1::ResultHeader header;
    const bool parsed = header.ParseFromArray(data + 1, static_cast<int>(header_bytes));
    data += 1 + header_bytes;
    size -= 1 + header_bytes;
    if (!parsed) continue;
    CheckParticipants(roster, header.participants());
    const absl::StatusOr<Roster> next = roster.After(header);
    if (!next.ok()) continue;
    TALLY_CHECK(next->epoch() == header.epoch(), "epoch");
    TALLY_CHECK(header.has_genesis() ||
                    (next->members() == roster.members()) == (next->epoch() == roster.epoch()),
                "an epoch for each change");
    roster = *next;
    CheckRoster(roster);
  }
  return 0;
}
