// What workers that leave hand over to others, as it passes through.
#ifndef TALLY_AGGREGATOR_HANDOVER_RELAY_H_
#define TALLY_AGGREGATOR_HANDOVER_RELAY_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/optional.h"
#include "codecs/layout.h"
#include "proto/tally/v1/membership.pb.h"

namespace tally {

// Of one job, at a time.
inline constexpr size_t kMaxHandovers = 4;

// A leaver sends the residual of one chunk after the other, each when the heir has acknowledged the
// one before; what it sends again over the same two streams is on its way already. So at most
// kMaxHandovers residuals of a job wait in the queues of their heirs. Aggregators look at none of
// the bytes; only the heir knows whether a header has promised them to it.
//
// Pure state machine. Not thread-safe.
class HandoverRelay {
 public:
  // `layout` outlives this.
  explicit HandoverRelay(const Layout* layout) : layout_(*layout) {}

  // Whether a slice that `leaver` sends is to be passed on to its heir, whose stream that is;
  // unset: it is not here. What is not passed on, the leaver sends again. Returns INVALID_ARGUMENT
  // if the slice is none of a residual of the chunk.
  absl::StatusOr<bool> Relay(const std::string& leaver, absl::optional<uint64_t> heir_stream,
                             const v1::Handover& slice, size_t piece_bytes);
  // Whoever has that stream has the chunk's residual. Whether the leaver waits for its word.
  bool Acknowledge(const std::string& leaver, uint32_t chunk, uint64_t heir_stream);
  // The leaver's stream is gone: over another one it begins anew.
  void Forget(const std::string& leaver) { routes_.erase(leaver); }
  // That stream is gone, and with it what lay in its queue.
  void ForgetHeir(uint64_t heir_stream);

 private:
  struct Route {
    uint32_t chunk = 0;
    uint64_t heir_stream = 0;
    uint64_t relayed_bytes = 0;
    uint64_t total_bytes = 0;
  };

  absl::Status CheckSlice(const v1::Handover& slice, size_t piece_bytes) const;

  const Layout& layout_;
  std::map<std::string, Route> routes_;  // by leaver
};

}  // namespace tally

#endif  // TALLY_AGGREGATOR_HANDOVER_RELAY_H_
