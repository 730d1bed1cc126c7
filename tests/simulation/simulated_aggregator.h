// An aggregator's process in a simulation.
#ifndef TALLY_TESTS_SIMULATION_SIMULATED_AGGREGATOR_H_
#define TALLY_TESTS_SIMULATION_SIMULATED_AGGREGATOR_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "aggregator/engine.h"
#include "aggregator/exchange_task.h"
#include "base/choices.h"
#include "kernels/backend.h"
#include "proto/tally/v1/aggregation.pb.h"
#include "tests/simulation/inbox.h"
#include "tests/simulation/simulated_network.h"

namespace tally {

// An aggregator that can be killed and started again with an empty memory.
class SimulatedAggregator {
 public:
  SimulatedAggregator(SimulatedNetwork* network, size_t index, uint64_t seed,
                      uint32_t window_chunks, absl::Duration evict_after);

  void Start();
  void Kill();
  // Is told to go; it must be killed in the end.
  void Drain();
  bool running() const { return engine_ != nullptr; }
  // Stands still until then; what arrives waits.
  void PauseUntil(absl::Time time) { inbox_.PauseUntil(time); }

  // Breaks one of its streams; the two sides learn of it at different times.
  void Cut(const std::shared_ptr<SimulatedStream>& stream);

  // A stream's message arrives.
  void Receive(const std::shared_ptr<SimulatedStream>& stream, v1::ClientMessage message);
  // The worker sends no more, or the stream broke.
  void ReceiveEnd(const std::shared_ptr<SimulatedStream>& stream);
  // The most memory that it has held, from its start or its last start on.
  int64_t peak_bytes() const { return peak_bytes_; }
  // What it has told its operator.
  const std::vector<std::string>& announcements() const { return announcements_; }
  // Streams that are open here.
  std::vector<std::shared_ptr<SimulatedStream>> streams() const;
  v1::GetStatusResponse Status() const { return engine_->Status("", network_->events().now()); }

 private:
  // Has the engine do something, in the aggregator's own memory, and carries out what follows.
  void Run(const std::function<Actions()>& call);
  void CarryOut(Actions actions);
  void Take(const std::shared_ptr<SimulatedStream>& stream, const v1::ClientMessage& message);
  void TakeEnd(const std::shared_ptr<SimulatedStream>& stream);
  void Tick(uint64_t life);
  void RunLater(ExchangeTask task);

  SimulatedNetwork* const network_;
  const size_t index_;
  const uint32_t window_chunks_;
  const absl::Duration evict_after_;
  const Backend* const backend_;
  Choices choices_;
  uint64_t life_ = 0;
  int64_t peak_bytes_ = 0;
  std::vector<std::string> announcements_;
  Inbox inbox_;
  std::unique_ptr<Engine> engine_;
  std::map<StreamId, std::shared_ptr<SimulatedStream>> streams_;
};

using SimulatedAggregators = std::vector<std::unique_ptr<SimulatedAggregator>>;

}  // namespace tally

#endif  // TALLY_TESTS_SIMULATION_SIMULATED_AGGREGATOR_H_
