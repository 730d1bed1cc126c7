#include "codecs/roster.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/digest.h"
#include "base/status_macros.h"
#include "codecs/limits.h"

namespace tally {
namespace {

// For messages: "w-5/12".
std::string Name(const MemberId& member) {
  return absl::StrCat(member.worker, "/", member.incarnation);
}

bool WorkerLess(const MemberId& a, const MemberId& b) { return a.worker < b.worker; }

// The position of `worker` in `members`, sorted by worker id; members.size() if it is not there.
size_t Find(absl::Span<const MemberId> members, absl::string_view worker) {
  const auto found = std::lower_bound(
      members.begin(), members.end(), worker,
      [](const MemberId& member, absl::string_view id) { return member.worker < id; });
  if (found == members.end() || found->worker != worker) return members.size();
  return found - members.begin();
}

absl::Status HeaderError(absl::string_view field, const std::string& value_and_rule) {
  return absl::DataLossError(absl::StrCat("`header.", field, "` ", value_and_rule));
}

// Removes members from a roster as a header's lists name them.
class Removals {
 public:
  // `members`, sorted by worker id, outlives this.
  explicit Removals(absl::Span<const MemberId> members)
      : members_(members), removed_(members.size()) {}

  // Returns DATA_LOSS if the member of `header.<field>` is not in the roster (any more).
  absl::Status Remove(const v1::Member& member, const std::string& field) {
    const size_t position = Find(members_, member.worker());
    if (position == members_.size() || removed_[position] ||
        members_[position].incarnation != member.incarnation()) {
      return HeaderError(field,
                         absl::StrCat("= ", Name({member.worker(), member.incarnation()}),
                                      ", must be a member of the roster before this entry, once"));
    }
    removed_[position] = true;
    return absl::OkStatus();
  }

  std::vector<MemberId> Remaining() const {
    std::vector<MemberId> remaining;
    for (size_t i = 0; i < members_.size(); ++i) {
      if (!removed_[i]) remaining.push_back(members_[i]);
    }
    return remaining;
  }

 private:
  absl::Span<const MemberId> members_;
  std::vector<bool> removed_;
};

// Checks `header.roster` against the members that it must list.
absl::Status CheckListed(const v1::ResultHeader& header, absl::Span<const MemberId> expected,
                         absl::string_view why) {
  if (static_cast<size_t>(header.roster_size()) != expected.size()) {
    return HeaderError("roster", absl::StrCat("has ", header.roster_size(), " members, must have ",
                                              expected.size(), " (", why, ")"));
  }
  for (int i = 0; i < header.roster_size(); ++i) {
    const MemberId listed = {header.roster(i).worker(), header.roster(i).incarnation()};
    if (listed != expected[i]) {
      return HeaderError(absl::StrCat("roster[", i, "]"),
                         absl::StrCat("= ", Name(listed), ", must be ", Name(expected[i])));
    }
  }
  return absl::OkStatus();
}

// The roster that a genesis lists.
absl::StatusOr<Roster> GenesisRoster(const v1::ResultHeader& header) {
  if (header.roster_size() == 0) {
    return HeaderError("roster", "has 0 members, must have at least 1 in a genesis");
  }
  std::vector<MemberId> members;
  members.reserve(header.roster_size());
  for (int i = 0; i < header.roster_size(); ++i) {
    absl::StatusOr<MemberId> member = DecodeMember(header.roster(i));
    if (!member.ok()) {
      return HeaderError(absl::StrCat("roster[", i, "]"),
                         absl::StrCat("is no member: ", member.status().message()));
    }
    if (i > 0 && !WorkerLess(members.back(), *member)) {
      return HeaderError(absl::StrCat("roster[", i, "]"),
                         absl::StrCat("= ", Name(*member), ", must come after ",
                                      Name(members.back()), ", bytewise by worker id"));
    }
    members.push_back(*std::move(member));
  }
  absl::StatusOr<Roster> roster = Roster::Create(header.epoch(), std::move(members));
  if (!roster.ok()) {
    return HeaderError("roster", absl::StrCat("is none: ", roster.status().message()));
  }
  return roster;
}

}  // namespace

v1::Member EncodeMember(const MemberId& member) {
  v1::Member message;
  message.set_worker(member.worker);
  message.set_incarnation(member.incarnation);
  return message;
}

absl::StatusOr<MemberId> DecodeMember(const v1::Member& message) {
  if (message.worker().empty() || message.worker().size() > kMaxNameBytes) {
    return absl::InvalidArgumentError(absl::StrCat("`member.worker` has ", message.worker().size(),
                                                   " bytes, must have 1 to ", kMaxNameBytes));
  }
  if (message.incarnation() == 0) {
    return absl::InvalidArgumentError("`member.incarnation` = 0, must be at least 1");
  }
  return MemberId{message.worker(), message.incarnation()};
}

absl::StatusOr<Roster> Roster::Create(uint64_t epoch, std::vector<MemberId> members) {
  if (members.size() > kMaxRoster) {
    return absl::InvalidArgumentError(
        absl::StrCat("`members` has ", members.size(), " entries, must have at most ", kMaxRoster));
  }
  std::sort(members.begin(), members.end(), WorkerLess);
  const auto twice =
      std::adjacent_find(members.begin(), members.end(),
                         [](const MemberId& a, const MemberId& b) { return a.worker == b.worker; });
  if (twice != members.end()) {
    return absl::InvalidArgumentError(absl::StrCat("`members` has worker \"", twice->worker,
                                                   "\" twice, must have each worker id once"));
  }
  Roster roster;
  roster.epoch_ = epoch;
  roster.members_ = std::make_shared<const Members>(std::move(members));
  return roster;
}

absl::optional<size_t> Roster::IndexOf(absl::string_view worker) const {
  const size_t position = Find(members(), worker);
  if (position == size()) return absl::nullopt;
  return position;
}

absl::StatusOr<Roster> Roster::After(const v1::ResultHeader& header) const {
  if (header.has_genesis()) return GenesisRoster(header);
  TALLY_ASSIGN_OR_RETURN(Roster next, AfterEvents(header));
  const bool changed = next.members_ != members_ && *next.members_ != *members_;
  if (changed) ++next.epoch_;
  const absl::string_view why =
      changed ? "this entry changes the roster" : "this entry does not change the roster";
  if (header.epoch() != next.epoch_) {
    return HeaderError(
        "epoch", absl::StrCat("= ", header.epoch(), ", must be ", next.epoch_, " (", why, ")"));
  }
  TALLY_RETURN_IF_ERROR(
      CheckListed(header, changed ? next.members() : absl::Span<const MemberId>(), why));
  return next;
}

absl::Status Roster::Complete(v1::ResultHeader& header) const {
  TALLY_ASSIGN_OR_RETURN(const Roster next, AfterEvents(header));
  const bool changed = *next.members_ != *members_;
  header.set_epoch(changed ? epoch_ + 1 : epoch_);
  header.clear_roster();
  if (!changed) return absl::OkStatus();
  for (const MemberId& member : next.members()) *header.add_roster() = EncodeMember(member);
  return absl::OkStatus();
}

absl::StatusOr<Roster> Roster::AfterEvents(const v1::ResultHeader& header) const {
  if (header.returned_size() + header.left_size() + header.evicted_size() +
          header.activated_size() ==
      0) {
    return *this;
  }
  Removals removals(members());
  for (int i = 0; i < header.returned_size(); ++i) {
    TALLY_RETURN_IF_ERROR(removals.Remove(header.returned(i), absl::StrCat("returned[", i, "]")));
  }
  for (int i = 0; i < header.left_size(); ++i) {
    TALLY_RETURN_IF_ERROR(
        removals.Remove(header.left(i).member(), absl::StrCat("left[", i, "].member")));
  }
  for (int i = 0; i < header.evicted_size(); ++i) {
    TALLY_RETURN_IF_ERROR(removals.Remove(header.evicted(i), absl::StrCat("evicted[", i, "]")));
  }
  Members members = removals.Remaining();
  for (int i = 0; i < header.activated_size(); ++i) {
    absl::StatusOr<MemberId> member = DecodeMember(header.activated(i));
    if (!member.ok()) {
      return HeaderError(absl::StrCat("activated[", i, "]"),
                         absl::StrCat("is no member: ", member.status().message()));
    }
    members.push_back(*std::move(member));
  }
  absl::StatusOr<Roster> next = Create(epoch_, std::move(members));
  if (!next.ok()) {
    return HeaderError("activated", absl::StrCat("does not fit: ", next.status().message()));
  }
  return next;
}

uint64_t Roster::WorkersDigest() const {
  std::string ids;
  for (const MemberId& member : *members_) {
    const auto size = static_cast<uint32_t>(member.worker.size());
    for (const int shift : {0, 8, 16, 24}) ids.push_back(static_cast<char>(size >> shift));
    ids += member.worker;
  }
  return Digest64(absl::string_view(ids));
}

absl::StatusOr<std::vector<MemberId>> Roster::Participants(absl::string_view participants) const {
  const size_t num_bytes = (size() + 7) / 8;
  if (participants.size() != num_bytes) {
    return HeaderError("participants",
                       absl::StrCat("has ", participants.size(), " bytes, must have ", num_bytes,
                                    " (", size(), " members)"));
  }
  std::vector<MemberId> members;
  for (size_t i = 0; i < num_bytes * 8; ++i) {
    if (((static_cast<uint8_t>(participants[i / 8]) >> (i % 8)) & 1) == 0) continue;
    if (i >= size()) {
      return HeaderError("participants", absl::StrCat("has bit ", i, " set, must have none past ",
                                                      size(), " members"));
    }
    members.push_back((*members_)[i]);
  }
  return members;
}

std::string Roster::ParticipantBitmap(absl::Span<const size_t> positions) const {
  std::string bitmap((size() + 7) / 8, '\0');
  for (const size_t position : positions) {
    bitmap[position / 8] = static_cast<char>(bitmap[position / 8] | (1 << (position % 8)));
  }
  return bitmap;
}

uint64_t ChainOf(absl::string_view header_bytes) { return Digest64(header_bytes); }

}  // namespace tally
