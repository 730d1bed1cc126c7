#include "codecs/custodians.h"

#include <algorithm>
#include <string>
#include <utility>

#include "base/mix64.h"
#include "base/status_macros.h"

namespace tally {
namespace {

bool Goes(const std::string& worker, const v1::ResultHeader& header) {
  const auto is_worker = [&worker](const v1::Member& member) { return member.worker() == worker; };
  return std::any_of(header.evicted().begin(), header.evicted().end(), is_worker) ||
         std::any_of(header.returned().begin(), header.returned().end(), is_worker) ||
         std::any_of(header.left().begin(), header.left().end(),
                     [&](const v1::Departure& departure) { return is_worker(departure.member()); });
}

}  // namespace

absl::StatusOr<std::vector<MemberId>> CustodiansAfter(const Roster& roster,
                                                      const v1::ResultHeader& header) {
  TALLY_ASSIGN_OR_RETURN(std::vector<MemberId> members, roster.Participants(header.participants()));
  members.erase(
      std::remove_if(members.begin(), members.end(),
                     [&header](const MemberId& member) { return Goes(member.worker, header); }),
      members.end());
  return members;
}

size_t FirstCustodian(uint64_t chain, size_t num_custodians) {
  return static_cast<size_t>(Mix64(chain) % num_custodians);
}

}  // namespace tally
