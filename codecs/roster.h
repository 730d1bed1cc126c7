// Who takes part: a function of the headers of a chunk's history, the same on workers and
// aggregators.
#ifndef TALLY_CODECS_ROSTER_H_
#define TALLY_CODECS_ROSTER_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/optional.h"
#include "absl/types/span.h"
#include "proto/tally/v1/exchange.pb.h"
#include "proto/tally/v1/layout.pb.h"

namespace tally {

// A worker's entry into a run.
struct MemberId {
  std::string worker;
  uint64_t incarnation = 0;
  friend bool operator==(const MemberId&, const MemberId&) = default;
};

v1::Member EncodeMember(const MemberId& member);

// Returns INVALID_ARGUMENT if the worker id is empty or longer than kMaxNameBytes, or the
// incarnation is 0.
absl::StatusOr<MemberId> DecodeMember(const v1::Member& message);

// Members sorted bytewise by worker id, under an epoch number that grows with every change.
// Immutable; copies share the members, because every entry of every chunk's history has a roster
// and most have the same.
class Roster {
 public:
  Roster() = default;
  // Returns INVALID_ARGUMENT if two members have the same worker id, or there are more than
  // kMaxRoster.
  static absl::StatusOr<Roster> Create(uint64_t epoch, std::vector<MemberId> members);

  uint64_t epoch() const { return epoch_; }
  absl::Span<const MemberId> members() const { return *members_; }
  size_t size() const { return members_->size(); }
  friend bool operator==(const Roster& a, const Roster& b) {
    return a.epoch_ == b.epoch_ && (a.members_ == b.members_ || *a.members_ == *b.members_);
  }
  // Position of the worker, if it is a member.
  absl::optional<size_t> IndexOf(absl::string_view worker) const;

  // XXH3-64 of the worker ids in order, each after its length (4 bytes, little-endian).
  uint64_t WorkersDigest() const;

  // Whether this very incarnation is a member.
  bool Has(const MemberId& member) const {
    const absl::optional<size_t> position = IndexOf(member.worker);
    return position.has_value() && (*members_)[*position] == member;
  }

  // The roster of the exchange after `header`, which follows this one in a chunk's history: without
  // the members that returned, left or were evicted, and with the activated ones. A genesis gives
  // the roster that it lists, whatever this one is.
  // Returns DATA_LOSS, naming the field, if
  // - a member that goes is not in this roster with that incarnation, or goes twice;
  // - one that comes is malformed or already there;
  // - `epoch` has not grown by one where the roster changed, or has where it did not;
  // - `roster` is not the new one where it changed, or not empty where it did not;
  // - a genesis lists no members, unsorted ones or more than a roster may have.
  absl::StatusOr<Roster> After(const v1::ResultHeader& header) const;

  // Fills in `epoch` and `roster` of a header that follows this roster, from the events in it.
  // Returns DATA_LOSS as After does for members that go and come.
  absl::Status Complete(v1::ResultHeader& header) const;

  // The members whose bits are set in `participants`, in roster order.
  // Returns DATA_LOSS if the bitmap has not ceil(size() / 8) bytes, or an unused bit is set.
  absl::StatusOr<std::vector<MemberId>> Participants(absl::string_view participants) const;

  // The bitmap with these roster positions set.
  std::string ParticipantBitmap(absl::Span<const size_t> positions) const;

 private:
  using Members = std::vector<MemberId>;

  // The roster that the header's events make of this one, at the same epoch.
  // Returns DATA_LOSS as After does for members that go and come.
  absl::StatusOr<Roster> AfterEvents(const v1::ResultHeader& header) const;

  uint64_t epoch_ = 0;
  std::shared_ptr<const Members> members_ = std::make_shared<const Members>();
};

// The running digest after the entry with these header bytes.
uint64_t ChainOf(absl::string_view header_bytes);

}  // namespace tally

#endif  // TALLY_CODECS_ROSTER_H_
