#include "tests/reference/recording_exchanger.h"

#include <utility>

namespace tally {

absl::Status RecordingExchanger::Contribute(uint32_t chunk, const Exchange& exchange,
                                            Buffer payload) {
  contributions_[PlaceOf(chunk, exchange)].assign(reinterpret_cast<const char*>(payload.data()),
                                                  payload.size());
  return exchanger_.Contribute(chunk, exchange, std::move(payload));
}

absl::Status RecordingExchanger::Abstain(uint32_t chunk, const Exchange& exchange) {
  contributions_[PlaceOf(chunk, exchange)] = "";
  return exchanger_.Abstain(chunk, exchange);
}

absl::StatusOr<ChunkResult> RecordingExchanger::NextResult() {
  absl::StatusOr<ChunkResult> result = exchanger_.NextResult();
  if (result.ok()) Keep(*result);
  return result;
}

absl::StatusOr<absl::optional<ChunkResult>> RecordingExchanger::PollResult() {
  absl::StatusOr<absl::optional<ChunkResult>> result = exchanger_.PollResult();
  if (result.ok() && result->has_value()) Keep(**result);
  return result;
}

RecordingExchanger::Place RecordingExchanger::PlaceOf(uint32_t chunk,
                                                      const Exchange& exchange) const {
  return {exchanger_.next_round() - 1, IsSecondHalf(exchange) ? 1 : 0, chunk};
}

void RecordingExchanger::Keep(const ChunkResult& result) {
  std::string& bytes = results_[{result.round, result.half, result.chunk}];
  if (result.payload == nullptr) return;
  bytes.assign(reinterpret_cast<const char*>(result.payload->data()), result.payload->size());
}

}  // namespace tally
