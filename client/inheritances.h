// Which inheritances a worker takes.
#ifndef TALLY_CLIENT_INHERITANCES_H_
#define TALLY_CLIENT_INHERITANCES_H_

#include <cstdint>
#include <deque>
#include <map>
#include <utility>
#include <vector>

#include "absl/time/time.h"
#include "base/buffer.h"
#include "client/inheritance.h"
#include "codecs/roster.h"
#include "proto/tally/v1/exchange.pb.h"
#include "proto/tally/v1/membership.pb.h"

namespace tally {

// Takes an inheritance once, and only if a header has promised it to this worker while it was a
// member: what a leaver sends again, or to a later process of the same name, adds nothing. Not
// thread-safe.
class Inheritances {
 public:
  // `here` came to another process of this worker, which saved it.
  explicit Inheritances(std::vector<Inheritance> here = {}) : here_(std::move(here)) {}

  // Takes in what a header of a chunk, after which `self` is in the roster, promises to it.
  void Read(const v1::ResultHeader& header, uint64_t chain, const MemberId& self, absl::Time now);
  // Whether the leaver is to be told that it is here, now or from before. A caller that has never
  // asked for inheritances gets none.
  bool Receive(const v1::Handover& message, SharedBuffer payload);
  // Something that was promised since then has not come; nothing does for a caller that has never
  // asked.
  bool AwaitsAnySince(absl::Time time) const;
  // What has come since the last call.
  std::vector<Inheritance> Take();
  // What the next call will give.
  const std::vector<Inheritance>& here() const { return here_; }

 private:
  struct Promise {
    MemberId leaver;
    uint64_t chain = 0;
    absl::Time made_at;
    bool is_here = false;
  };

  bool asked_ = false;
  std::map<uint32_t, std::deque<Promise>> promises_;  // by chunk, the newest ones
  std::vector<Inheritance> here_;
};

}  // namespace tally

#endif  // TALLY_CLIENT_INHERITANCES_H_
