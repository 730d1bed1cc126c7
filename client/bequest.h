// What a worker that leaves hands over.
#ifndef TALLY_CLIENT_BEQUEST_H_
#define TALLY_CLIENT_BEQUEST_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "absl/types/optional.h"
#include "absl/types/span.h"
#include "base/buffer.h"
#include "client/inheritance.h"
#include "codecs/layout.h"
#include "codecs/roster.h"
#include "proto/tally/v1/exchange.pb.h"
#include "proto/tally/v1/membership.pb.h"

namespace tally {

// The residual of a worker that leaves, chunk by chunk, until heirs have it. Per chunk:
//
//   no heir --Read: a header names one--> given --Acknowledge--> taken
//      '--Read: it names nobody, GiveUp--> lost <--Read: the heir goes, GiveUp--'
//
// Each aggregator passes one chunk's residual on at a time. Where a residual is zero there is
// nothing to be done; what stands in chunks that are always exchanged dense, where nobody keeps
// one, is lost. Pure state machine. Not thread-safe.
class Bequest {
 public:
  // `residual` [layout.num_elements()], finite, in the order of the flat vector.
  Bequest(const Layout& layout, size_t num_aggregators, MemberId leaver,
          absl::Span<const float> residual);

  // What this worker had inherited itself and not taken in. Before the first Read.
  void Add(const Inheritance& inheritance);

  // Takes in what a header of the chunk says of its leaver and heir.
  void Read(const v1::ResultHeader& header, uint64_t chain);
  // The same, where the header is out of this worker's reach, or the heir has come back: a handover
  // without payload.
  void Read(const v1::Handover& note);
  // What is to be sent to that aggregator now, and its payload; unset: nothing, or what was sent
  // may still be on its way. One that is not acknowledged is given again after a while.
  struct Gift {
    v1::Handover message;
    SharedBuffer payload;
  };
  absl::optional<Gift> Next(size_t aggregator, absl::Time now);
  // When Next may give something; infinitely late: not before something else happens.
  absl::Time next_at(size_t aggregator) const;
  // Its stream is a new one: what was sent is not on its way any more.
  void Restart(size_t aggregator) { aggregators_[aggregator].sent_at = absl::InfinitePast(); }
  // The heir has the chunk's residual.
  void Acknowledge(const v1::HandoverAck& ack);
  // Nothing more will be taken there.
  void GiveUp(size_t aggregator);

  // Nothing is left to be given to that aggregator.
  bool done(size_t aggregator) const;
  // What the first chunk there that is not done waits for, for people; empty if all are.
  std::string Reason(size_t aggregator) const;

  // Norms (2).
  double handed_over_norm() const;
  double discarded_norm() const;

 private:
  enum class State : uint8_t { kUnnamed, kGiven, kTaken, kLost };
  struct Chunk {
    SharedBuffer payload;  // null: zero
    double sum_of_squares = 0;
    State state = State::kTaken;
    std::string heir;
    uint64_t chain = 0;  // of the header that names it
  };
  struct Aggregator {
    absl::Time sent_at = absl::InfinitePast();
  };

  void SetValues(Chunk& chunk, absl::Span<const float> values);
  // The lowest chunk there that has an heir and is not taken.
  absl::optional<uint32_t> Given(size_t aggregator) const;
  double NormOf(State state) const;

  const MemberId leaver_;
  std::vector<Chunk> chunks_;
  std::vector<Aggregator> aggregators_;
};

}  // namespace tally

#endif  // TALLY_CLIENT_BEQUEST_H_
