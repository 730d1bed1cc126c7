// How a job goes on without members whose contributions are late.
#include <algorithm>

#include "aggregator/job.h"
#include "codecs/duration.h"

namespace tally {
namespace {

// Spread of arrivals that is still usual, in median absolute deviations.
constexpr int kUsualDeviations = 4;
// Before so many arrivals were seen, an exchange waits as long as it may.
constexpr size_t kFewArrivals = 16;
// A wait that is not worth anybody's gradient.
constexpr absl::Duration kShortestPatience = absl::Milliseconds(5);

}  // namespace

absl::Duration Job::Patience() const {
  if (arrival_delays_.size() < kFewArrivals) return description_->late_ceiling;
  return std::max(kShortestPatience,
                  arrival_delays_.Median() + kUsualDeviations * arrival_delays_.Deviation());
}

void Job::NoteArrival(ChunkRound& chunk, absl::Time now) {
  if (description_->max_late == 0) return;
  if (chunk.num_arrived() > 1) arrival_delays_.Add(now - chunk.first_arrival_at());
  if (!chunk.has_quorum() || chunk.closes_at() != absl::InfiniteFuture()) return;
  const absl::Time ceiling = now + description_->late_ceiling;
  chunk.CloseAt(chunk.awaits_last_chance()
                    ? ceiling
                    : std::min(ceiling, std::max(now, chunk.first_arrival_at() + Patience())));
}

void Job::CloseOverdue(absl::Time now, Actions& actions) {
  for (ChunkRound& chunk : chunks_) {
    if (stopped_ || !chunk.overdue(now)) continue;
    last_wait_ = now - chunk.first_arrival_at();
    Seal(chunk, now, actions);
  }
}

absl::Time Job::next_deadline() const {
  absl::Time next = absl::InfiniteFuture();
  if (description_->max_late == 0) return next;
  for (const ChunkRound& chunk : chunks_) next = std::min(next, chunk.closes_at());
  return next;
}

}  // namespace tally
