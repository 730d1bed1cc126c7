#include "tests/simulation/simulation.h"

#include <algorithm>
#include <functional>
#include <memory>
#include <utility>

#include "base/choices.h"
#include "tests/simulation/simulated_aggregator.h"
#include "tests/simulation/simulated_job.h"
#include "tests/simulation/simulated_network.h"

namespace tally {
namespace {

class Simulation {
 public:
  explicit Simulation(const SimulationOptions& options)
      : options_(options),
        network_(options.seed),
        faults_(options.seed, /*purpose=*/3),
        begin_(network_.events().now()) {
    for (size_t a = 0; a < options.aggregators; ++a) {
      aggregators_.push_back(std::make_unique<SimulatedAggregator>(
          &network_, a, options.seed, options.window_chunks, options.evict_after));
    }
    for (uint32_t j = 0; j < options.jobs; ++j) {
      if (options.lone_job.value_or(j) != j) continue;
      jobs_.push_back(std::make_unique<SimulatedJob>(options, j, &network_, &aggregators_));
    }
    Repeat(options.aggregator_kills, [this] { KillAggregator(); });
    Repeat(options.cuts, [this] { Cut(); });
    Repeat(options.worker_kills, [this] { SomeJob().KillWorker(); });
    Repeat(options.partitions, [this] { SomeJob().PartWorker(); });
    Repeat(options.pauses, [this] { Pause(); });
    Repeat(options.joins, [this] { SomeJob().Join(); });
    Repeat(options.leaves, [this] { SomeJob().Leave(); });
    for (const ScriptedFault& fault : options_.script) {
      network_.events().After(fault.at, [this, fault] { Play(fault); });
    }
  }

  Simulated Run() {
    EventQueue& events = network_.events();
    while (!finished() && events.now() - begin_ < options_.deadline && events.RunNext()) {
    }
    Simulated simulated;
    for (uint32_t a = 0; a < aggregators_.size(); ++a) {
      AggregatorReport& report = simulated.aggregators.emplace_back();
      report.peak_bytes = aggregators_[a]->peak_bytes();
      for (const auto& job : jobs_) report.admitted_bytes += job->AdmittedBytes(a);
    }
    for (const auto& job : jobs_) simulated.jobs.push_back(job->Report());
    return simulated;
  }

 private:
  bool finished() const {
    return std::all_of(jobs_.begin(), jobs_.end(), [](const auto& job) { return job->finished(); });
  }
  SimulatedJob& SomeJob() { return *jobs_[faults_.Below(jobs_.size())]; }
  SimulatedAggregator& SomeAggregator() {
    return *aggregators_[faults_.Below(aggregators_.size())];
  }

  // Lets something happen at random times with this mean distance.
  void Repeat(absl::Duration mean, std::function<void()> event) {
    if (mean == absl::InfiniteDuration()) return;
    network_.events().After(faults_.Between(absl::ZeroDuration(), 2 * mean),
                            [this, mean, event = std::move(event)] {
                              if (network_.events().now() > begin_ + options_.faults_for) return;
                              event();
                              Repeat(mean, event);
                            });
  }

  void Play(const ScriptedFault& fault) {
    const absl::Time end = network_.events().now() + fault.lasts;
    switch (fault.kind) {
      case ScriptedFault::Kind::kKillAggregator:
        return Restart(*aggregators_[fault.aggregator], fault.lasts);
      case ScriptedFault::Kind::kPauseAggregator:
        return aggregators_[fault.aggregator]->PauseUntil(end);
      default:
        return jobs_.front()->Play(fault, end);
    }
  }

  void Restart(SimulatedAggregator& aggregator, absl::Duration down_for) {
    if (!aggregator.running()) return;
    aggregator.Kill();
    network_.events().After(down_for, [&aggregator] { aggregator.Start(); });
  }

  void KillAggregator() {
    SimulatedAggregator& aggregator = SomeAggregator();
    if (!aggregator.running()) return;
    absl::Duration notice = absl::ZeroDuration();
    if (faults_.OneIn(3)) {
      aggregator.Drain();
      notice = faults_.Between(absl::Milliseconds(1), absl::Milliseconds(500));
    }
    network_.events().After(notice, [this, &aggregator] {
      Restart(aggregator, faults_.Between(absl::Milliseconds(1), absl::Seconds(2)));
    });
  }

  void Pause() {
    const absl::Duration longest = faults_.OneIn(6) ? absl::Minutes(2) : absl::Seconds(4);
    const absl::Time end =
        network_.events().now() + faults_.Between(absl::Milliseconds(10), longest);
    if (faults_.OneIn(2)) {
      SomeAggregator().PauseUntil(end);
    } else {
      SomeJob().PauseWorker(end);
    }
  }

  void Cut() {
    SimulatedAggregator& aggregator = SomeAggregator();
    const std::vector<std::shared_ptr<SimulatedStream>> streams = aggregator.streams();
    if (!streams.empty()) aggregator.Cut(streams[faults_.Below(streams.size())]);
  }

  const SimulationOptions options_;
  SimulatedNetwork network_;
  Choices faults_;
  const absl::Time begin_;
  SimulatedAggregators aggregators_;
  std::vector<std::unique_ptr<SimulatedJob>> jobs_;
};

}  // namespace

SimulationOptions SimulationOptions::Undisturbed() const {
  SimulationOptions calm = *this;
  calm.aggregator_kills = calm.cuts = calm.worker_kills = calm.partitions = calm.pauses =
      calm.joins = calm.leaves = absl::InfiniteDuration();
  calm.script.clear();
  calm.restart_after.reset();
  return calm;
}

Simulated Simulate(const SimulationOptions& options) { return Simulation(options).Run(); }

}  // namespace tally
