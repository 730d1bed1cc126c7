#include "client/inheritances.h"

#include <algorithm>
#include <cstddef>
#include <utility>

namespace tally {
namespace {

// Of a chunk: leavers have long given up on older ones.
constexpr size_t kKeptPromises = 1024;

}  // namespace

void Inheritances::Read(const v1::ResultHeader& header, uint64_t chain, const MemberId& self,
                        absl::Time now) {
  for (const v1::Departure& left : header.left()) {
    if (left.heir() != self.worker) continue;
    std::deque<Promise>& promises = promises_[header.chunk()];
    promises.push_back({.leaver = {left.member().worker(), left.member().incarnation()},
                        .chain = chain,
                        .made_at = now});
    if (promises.size() > kKeptPromises) promises.pop_front();
  }
}

bool Inheritances::Receive(const v1::Handover& message, SharedBuffer payload) {
  const MemberId leaver = {message.leaver().worker(), message.leaver().incarnation()};
  std::deque<Promise>& promises = promises_[message.chunk()];
  const auto found = std::find_if(promises.begin(), promises.end(), [&](const Promise& promise) {
    return promise.leaver == leaver && promise.chain == message.after_chain();
  });
  if (!asked_ || found == promises.end()) return false;
  if (!found->is_here) here_.push_back({leaver.worker, message.chunk(), std::move(payload)});
  found->is_here = true;
  return true;
}

bool Inheritances::AwaitsAnySince(absl::Time time) const {
  return asked_ && std::any_of(promises_.begin(), promises_.end(), [time](const auto& chunk) {
           return std::any_of(chunk.second.begin(), chunk.second.end(),
                              [time](const Promise& promise) {
                                return !promise.is_here && promise.made_at >= time;
                              });
         });
}

std::vector<Inheritance> Inheritances::Take() {
  asked_ = true;
  return std::exchange(here_, {});
}

}  // namespace tally
