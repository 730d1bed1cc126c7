#include "client/transport/faulty_transport.h"

#include <signal.h>

#include <algorithm>
#include <deque>
#include <thread>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "base/choices.h"
#include "base/mutex.h"

namespace tally {
namespace {

// What each draw is for.
constexpr uint64_t kCuts = 1;
constexpr uint64_t kDelays = 2;
constexpr uint64_t kKills = 3;

class FaultyTransport final : public Transport, private Transport::Events {
 public:
  FaultyTransport(std::unique_ptr<Transport> transport, const FaultPlan& plan,
                  size_t num_aggregators)
      : plan_(plan),
        transport_(std::move(transport)),
        queues_(num_aggregators),
        delays_(plan.seed, kDelays) {}
  ~FaultyTransport() override { Shutdown(); }

  void Start(Transport::Events* events) override {
    events_ = events;
    transport_->Start(this);
    thread_ = std::thread([this] { Run(); });
  }

  void Open(size_t aggregator) override {
    // Frames of the stream before must not come into this one.
    MutexLock lock(&mutex_);
    queues_[aggregator].clear();
    transport_->Open(aggregator);
  }

  void Cut(size_t aggregator) override { transport_->Cut(aggregator); }

  void Send(size_t aggregator, OutboundFrame frame) override {
    if (plan_.delay == absl::ZeroDuration()) return transport_->Send(aggregator, std::move(frame));
    MutexLock lock(&mutex_);
    std::deque<LateFrame>& queue = queues_[aggregator];
    absl::Time due = absl::Now() + delays_.Between(absl::ZeroDuration(), plan_.delay);
    if (!queue.empty()) due = std::max(due, queue.back().due);
    queue.push_back({due, std::move(frame)});
    wakes_.NotifyAll();
  }

  void Shutdown() override {
    {
      MutexLock lock(&mutex_);
      stopping_ = true;
      wakes_.NotifyAll();
    }
    if (thread_.joinable()) thread_.join();
    transport_->Shutdown();
  }

 private:
  struct LateFrame {
    absl::Time due;
    OutboundFrame frame;
  };

  void OnMessage(size_t aggregator, v1::ServerMessage message) override {
    events_->OnMessage(aggregator, std::move(message));
  }
  void OnClosed(size_t aggregator, const absl::Status& status) override {
    events_->OnClosed(aggregator, status);
  }

  void Run() {
    Choices kills(plan_.seed, kKills);
    Choices cuts(plan_.seed, kCuts);
    const absl::Time kill_at = absl::Now() + TimeAround(plan_.kill, kills);
    absl::Time cut_at = absl::Now() + TimeAround(plan_.cut, cuts);
    MutexLock lock(&mutex_);
    while (!stopping_) {
      const absl::Time now = absl::Now();
      if (now >= kill_at) raise(SIGKILL);
      if (now >= cut_at) {
        transport_->Cut(cuts.Below(queues_.size()));
        cut_at = now + TimeAround(plan_.cut, cuts);
      }
      absl::Time next = std::min(kill_at, cut_at);
      for (size_t a = 0; a < queues_.size(); ++a) {
        std::deque<LateFrame>& queue = queues_[a];
        while (!queue.empty() && queue.front().due <= now) {
          transport_->Send(a, std::move(queue.front().frame));
          queue.pop_front();
        }
        if (!queue.empty()) next = std::min(next, queue.front().due);
      }
      wakes_.WaitFor(&mutex_, std::min(next - now, absl::Seconds(1)));
    }
  }

  const FaultPlan plan_;
  const std::unique_ptr<Transport> transport_;
  Transport::Events* events_ = nullptr;

  // Held while the transport below is called, which returns at once and calls nobody back from
  // inside: so no frame can slip into a later stream.
  Mutex mutex_;
  CondVar wakes_;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  std::vector<std::deque<LateFrame>> queues_ ABSL_GUARDED_BY(mutex_);  // by aggregator
  Choices delays_ ABSL_GUARDED_BY(mutex_);
  std::thread thread_;
};

}  // namespace

std::unique_ptr<Transport> MakeFaultyTransport(std::unique_ptr<Transport> transport,
                                               const FaultPlan& plan, size_t num_aggregators) {
  return std::make_unique<FaultyTransport>(std::move(transport), plan, num_aggregators);
}

}  // namespace tally
