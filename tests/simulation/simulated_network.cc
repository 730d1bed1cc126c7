#include "tests/simulation/simulated_network.h"

#include <algorithm>
#include <utility>

#include "tests/simulation/simulated_worker.h"

namespace tally {

std::shared_ptr<SimulatedStream> SimulatedNetwork::Open(SimulatedWorker* worker,
                                                        size_t aggregator) {
  auto stream = std::make_shared<SimulatedStream>();
  stream->id = next_id_++;
  stream->worker = worker;
  stream->aggregator = aggregator;
  stream->last_up = stream->last_down = events_.now();
  return stream;
}

void SimulatedNetwork::SendUp(const std::shared_ptr<SimulatedStream>& stream,
                              std::function<void()> receive) {
  if (parted(*stream)) return Break(stream, absl::UnavailableError("no route"));
  stream->last_up = std::max(stream->last_up, events_.now() + Latency());
  events_.At(stream->last_up, [stream, receive = std::move(receive)] {
    if (!stream->broken) receive();
  });
}

void SimulatedNetwork::SendDown(const std::shared_ptr<SimulatedStream>& stream,
                                std::function<void()> receive) {
  stream->last_down = std::max(stream->last_down, events_.now() + Latency());
  events_.At(stream->last_down, [stream, receive = std::move(receive)]() mutable {
    stream->worker->inbox().Receive([stream, receive = std::move(receive)] {
      if (!stream->broken) receive();
    });
  });
}

void SimulatedNetwork::Break(const std::shared_ptr<SimulatedStream>& stream,
                             const absl::Status& status) {
  // What is on its way may still arrive, or not.
  events_.After(Latency(), [stream, status] {
    if (stream->broken) return;
    stream->broken = true;
    stream->worker->LoseStream(*stream, status);
  });
}

}  // namespace tally
