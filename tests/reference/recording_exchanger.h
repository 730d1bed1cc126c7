// An exchanger that keeps what passes through it.
#ifndef TALLY_TESTS_REFERENCE_RECORDING_EXCHANGER_H_
#define TALLY_TESTS_REFERENCE_RECORDING_EXCHANGER_H_

#include <cstdint>
#include <map>
#include <string>
#include <tuple>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/optional.h"
#include "base/buffer.h"
#include "client/exchanger.h"
#include "codecs/exchange.h"
#include "codecs/layout.h"

namespace tally {

// One worker's messages, by round, half and chunk. Not thread-safe.
class RecordingExchanger final : public Exchanger {
 public:
  using Place = std::tuple<uint64_t, uint32_t, uint32_t>;

  // `exchanger` must outlive this.
  explicit RecordingExchanger(Exchanger* exchanger) : exchanger_(*exchanger) {}

  // Payloads; abstentions and results without participants are empty.
  const std::map<Place, std::string>& contributions() const { return contributions_; }
  const std::map<Place, std::string>& results() const { return results_; }

  const Layout& layout() const override { return exchanger_.layout(); }
  uint64_t run_seed() const override { return exchanger_.run_seed(); }
  absl::string_view worker() const override { return exchanger_.worker(); }
  uint64_t next_round() const override { return exchanger_.next_round(); }
  absl::Status StartRound() override { return exchanger_.StartRound(); }
  absl::Status Contribute(uint32_t chunk, const Exchange& exchange, Buffer payload) override;
  absl::Status Abstain(uint32_t chunk, const Exchange& exchange) override;
  absl::StatusOr<ChunkResult> NextResult() override;
  absl::StatusOr<absl::optional<ChunkResult>> PollResult() override;

 private:
  Place PlaceOf(uint32_t chunk, const Exchange& exchange) const;
  void Keep(const ChunkResult& result);

  Exchanger& exchanger_;
  std::map<Place, std::string> contributions_;
  std::map<Place, std::string> results_;
};

}  // namespace tally

#endif  // TALLY_TESTS_REFERENCE_RECORDING_EXCHANGER_H_
