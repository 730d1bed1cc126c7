// Who is held for dead.
#ifndef TALLY_AGGREGATOR_EVICTION_H_
#define TALLY_AGGREGATOR_EVICTION_H_

#include <cstddef>
#include <vector>

#include "absl/time/time.h"
#include "absl/types/span.h"

namespace tally {

struct EvictionRule {
  // A member that was silent for so long, in the aggregator's own running time, may be evicted.
  absl::Duration evict_after = absl::Seconds(30);
  // The same with fewer witnesses than a majority needs, but at least one.
  absl::Duration minority_after = absl::Seconds(120);
  // A member that is heard, but for whose contribution alone others have waited so long, likewise:
  // its transport lives and its trainer hangs.
  absl::Duration progress_after = absl::Minutes(5);
};

// What is known of a member of the roster.
struct MemberSign {
  absl::Duration silent_for;
  // Since when others wait for its contribution, who have made theirs.
  absl::Duration awaited_for = absl::ZeroDuration();
  // It has a stream here.
  bool connected = false;
  // It has reported a stream to every aggregator of the job.
  bool reaches_all = false;
};

// A witness is heard, is not awaited for too long and has streams to all aggregators.
size_t NumWitnesses(absl::Span<const MemberSign> roster, const EvictionRule& rule);

// The positions in `roster`, sorted by worker id, of the members to be evicted: those that were
// silent, or awaited, for too long, if there are witnesses who stay. More than half of the roster
// must be witnesses, or half of it with its first member. So nobody is evicted while an aggregator
// is down or while everybody is cut off from something: it would help nobody; and two aggregators
// that see different halves of a roster never evict both.
//
// `num_level` others are heard, and nothing is out of their reach: observers that have the whole
// state and ask to be taken in, and members that leave and have been let go where they have no
// stream. Where no member is a witness any more (all that live have left) they are the few that
// somebody must be.
std::vector<size_t> MembersToEvict(absl::Span<const MemberSign> roster, const EvictionRule& rule,
                                   size_t num_level = 0);

}  // namespace tally

#endif  // TALLY_AGGREGATOR_EVICTION_H_
