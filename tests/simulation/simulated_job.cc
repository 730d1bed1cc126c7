#include "tests/simulation/simulated_job.h"

#include <algorithm>
#include <cstring>
#include <set>
#include <tuple>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "base/choices.h"
#include "base/digest.h"
#include "tests/simulation/simulated_process.h"

namespace tally {
namespace {

// Newcomers of a run, at most.
constexpr uint32_t kMaxJoining = 4;

class SimulatedJob {
 public:
  explicit SimulatedJob(const SimulationOptions& options)
      : options_(options),
        network_(options.seed),
        faults_(options.seed, /*purpose=*/3),
        faults_end_(network_.events().now() + options.faults_for) {
    for (size_t a = 0; a < options.aggregators; ++a) {
      aggregators_.push_back(
          std::make_unique<SimulatedAggregator>(&network_, a, options.seed, options.evict_after));
    }
    for (uint32_t w = 0; w < options.workers; ++w) {
      workers_.push_back(std::make_unique<SimulatedWorker>(
          &network_, &aggregators_, OptionsOf(SimulatedMember(w)), SimulatedMember(w),
          options.rounds, options.seed, options.longest_thought));
    }
    Repeat(options.aggregator_kills, [this] { KillAggregator(); });
    Repeat(options.cuts, [this] { Cut(); });
    Repeat(options.worker_kills, [this] { KillWorker(); });
    Repeat(options.partitions, [this] { Part(); });
    Repeat(options.pauses, [this] { Pause(); });
    Repeat(options.joins, [this] { Join(); });
    Repeat(options.leaves, [this] { Leave(); });
    for (const ScriptedFault& fault : options_.script) {
      network_.events().After(fault.at, [this, fault] { Play(fault); });
    }
  }

  SimulationReport Run() {
    EventQueue& events = network_.events();
    const absl::Time begin = events.now();
    while (!finished() && events.now() - begin < options_.deadline && events.RunNext()) {
    }
    report_.status = Verdict();
    report_.duration = events.now() - begin;
    for (const auto& worker : workers_) {
      // Who comes after the end begins the run anew, and has nothing to do with this one.
      if (IsNewcomer(*worker) && !worker->is_newcomer()) continue;
      // Of a worker's processes the last one speaks for it.
      report_.histories[worker->name()] = worker->history();
      report_.late_contributions += worker->missed_contributions();
      if (worker->is_newcomer()) {
        report_.joined_contributions += CountedEntries(worker->history());
      }
      if (worker->left_late()) report_.late_leavers.push_back(worker->name());
      if (worker->came_too_late()) report_.outrun_workers.push_back(worker->name());
      if (worker->was_evicted()) report_.evicted_workers.push_back(worker->name());
    }
    for (const auto& worker : workers_) {
      if (worker->is_unsettled()) continue;
      report_.settlements.insert(report_.settlements.end(), worker->settlements().begin(),
                                 worker->settlements().end());
    }
    ReportBequests();
    return std::move(report_);
  }

 private:
  static double SumOfSquares(const Buffer& payload) {
    std::vector<float> values(payload.size() / sizeof(float));
    std::memcpy(values.data(), payload.data(), payload.size());
    double sum = 0;
    for (const float value : values) sum += double{value} * value;
    return sum;
  }

  void ReportBequests() {
    std::set<std::string> interrupted;
    for (const auto& worker : workers_) {
      const Bequest* const bequest = worker->bequest();
      if (bequest == nullptr) continue;
      if (!worker->failure().ok() || worker->dead()) interrupted.insert(worker->name());
      // Several processes of a worker may have left, one after the other.
      SimulationReport::Bequeathed& sum = report_.bequests[worker->name()];
      sum.handed_over += bequest->handed_over_norm() * bequest->handed_over_norm();
      sum.discarded += bequest->discarded_norm() * bequest->discarded_norm();
    }
    for (const std::string& worker : interrupted) report_.bequests.erase(worker);
    // Processes of one name leave different residuals.
    std::set<std::tuple<std::string, uint32_t, uint64_t>> taken;
    for (const auto& worker : workers_) {
      for (const Inheritance& inheritance : worker->inherited()) {
        const bool is_first = taken
                                  .insert({inheritance.leaver, inheritance.chunk,
                                           Digest64(inheritance.payload->bytes())})
                                  .second;
        report_.inherited_twice += is_first ? 0 : 1;
        const auto bequest = report_.bequests.find(inheritance.leaver);
        if (bequest == report_.bequests.end()) continue;
        bequest->second.inherited += SumOfSquares(*inheritance.payload);
      }
    }
  }

  static uint64_t CountedEntries(const std::map<uint32_t, std::vector<AppliedEntry>>& history) {
    uint64_t count = 0;
    for (const auto& [chunk, entries] : history) {
      for (const AppliedEntry& entry : entries) count += entry.counted ? 1 : 0;
    }
    return count;
  }

  ClientOptions OptionsOf(const MemberId& member) const {
    ClientOptions options;
    options.job = "simulated";
    options.worker = member.worker;
    options.elastic = options_.joins != absl::InfiniteDuration() || !options_.script.empty();
    options.roster_limit = options_.workers + kMaxJoining;
    for (uint32_t a = 0; a < options_.aggregators; ++a) {
      options.aggregators.push_back({absl::StrCat("agg-", a), "simulated"});
    }
    options.layout = SimulatedLayout(options_.dealt);
    options.expected_workers = options_.workers;
    options.seed = kSimulatedSeed;
    options.snapshot_interval = options_.snapshot_interval;
    options.max_late = options_.max_late;
    options.late_ceiling = absl::Milliseconds(300);
    return options;
  }

  bool finished() const {
    return std::all_of(workers_.begin(), workers_.end(),
                       [](const auto& worker) { return worker->finished(); });
  }

  absl::Status Verdict() const {
    for (const auto& worker : workers_) {
      const bool may_fail =
          worker->was_evicted() ||
          ((IsNewcomer(*worker) || options_.max_late > 0) && worker->came_too_late());
      if (!worker->failure().ok() && !may_fail) {
        return absl::Status(worker->failure().code(),
                            absl::StrCat(worker->name(), ": ", worker->failure().message()));
      }
    }
    for (const auto& worker : workers_) {
      if (!worker->finished()) {
        return absl::DeadlineExceededError(
            absl::StrCat(worker->name(), " is stuck: ", worker->WaitingFor()));
      }
    }
    return absl::OkStatus();
  }

  bool IsNewcomer(const SimulatedWorker& worker) const {
    return std::none_of(workers_.begin(), workers_.begin() + options_.workers,
                        [&](const auto& starter) { return starter.get() == &worker; });
  }

  // Lets something happen at random times with this mean distance.
  void Repeat(absl::Duration mean, std::function<void()> event) {
    if (mean == absl::InfiniteDuration()) return;
    network_.events().After(faults_.Between(absl::ZeroDuration(), 2 * mean),
                            [this, mean, event = std::move(event)] {
                              if (network_.events().now() > faults_end_) return;
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
      case ScriptedFault::Kind::kKillWorker:
        report_.killed_workers.push_back(workers_[fault.worker]->name());
        return workers_[fault.worker]->Kill();
      case ScriptedFault::Kind::kPauseWorker:
        return workers_[fault.worker]->PauseUntil(end);
      case ScriptedFault::Kind::kReplaceWorker:
        return StartNewcomer(workers_[fault.worker]->name(), RunEntry::kJoin);
      case ScriptedFault::Kind::kLeaveWorker:
        return Leave(*workers_[fault.worker]);
      case ScriptedFault::Kind::kPart:
        return Part(*workers_[fault.worker], fault.aggregator, end);
    }
  }

  void Restart(SimulatedAggregator& aggregator, absl::Duration down_for) {
    if (!aggregator.running()) return;
    ++report_.aggregator_kills;
    aggregator.Kill();
    network_.events().After(down_for, [&aggregator] { aggregator.Start(); });
  }

  void KillAggregator() {
    SimulatedAggregator& aggregator = *aggregators_[faults_.Below(aggregators_.size())];
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

  void KillWorker() {
    if (!all_started()) return;
    std::vector<SimulatedWorker*> alive;
    size_t num_members = 0;
    for (const auto& worker : workers_) {
      if (!worker->finished()) alive.push_back(worker.get());
      if (worker->takes_part() && !worker->leaves_early()) ++num_members;
    }
    if (alive.empty()) return;
    SimulatedWorker& worker = *alive[faults_.Below(alive.size())];
    // Somebody keeps the state.
    const bool is_kept = worker.takes_part() && !worker.leaves_early();
    if (num_members < (is_kept ? 2 : 1)) return;
    report_.killed_workers.push_back(worker.name());
    worker.Kill();
  }

  void Leave() {
    if (!all_started()) return;
    std::vector<SimulatedWorker*> members;
    for (const auto& worker : workers_) {
      if (worker->takes_part() && !worker->leaves_early()) members.push_back(worker.get());
    }
    // Somebody goes on.
    if (members.size() > 1) Leave(*members[faults_.Below(members.size())]);
  }

  void Leave(SimulatedWorker& worker) {
    // Multiples of 1/64, some of them zero; whole chunks too.
    const Layout layout = SimulatedLayout(options_.dealt);
    std::vector<float> residual(layout.num_elements());
    for (size_t i = 0; i < layout.num_compressed(); ++i) {
      if (i / 256 != faults_.Below(4)) residual[i] = static_cast<float>(faults_.Below(64)) / 64;
    }
    report_.early_leavers.push_back(worker.name());
    worker.LeaveEarly(std::move(residual));
  }

  // A new worker comes, or a new process of one that is gone.
  void Join() {
    const bool goes_on = std::any_of(workers_.begin(), workers_.end(),
                                     [](const auto& worker) { return worker->takes_part(); });
    if (!all_started() || !goes_on || num_joins_ == kMaxJoining) return;
    MemberId member = SimulatedMember(options_.workers + num_joins_++);
    for (const auto& worker : workers_) {
      const bool is_gone = worker->dead() || worker->was_evicted();
      if (is_gone && faults_.OneIn(2)) member.worker = worker->name();
    }
    const auto is_here = [&](const auto& worker) {
      return worker->name() == member.worker && !worker->dead() && !worker->was_evicted();
    };
    if (std::any_of(workers_.begin(), workers_.end(), is_here)) return;
    // So few newcomers begin no run of their own if they come when this one is over.
    StartNewcomer(member.worker,
                  options_.workers > kMaxJoining ? RunEntry::kBegin : RunEntry::kJoin);
  }

  void StartNewcomer(const std::string& worker, RunEntry entry) {
    const MemberId member = {worker,
                             static_cast<uint64_t>(absl::ToUnixMicros(network_.events().now()))};
    report_.newcomers.push_back(worker);
    ClientOptions options = OptionsOf(member);
    options.entry = entry;
    workers_.push_back(std::make_unique<SimulatedWorker>(&network_, &aggregators_, options, member,
                                                         options_.rounds, options_.seed,
                                                         options_.longest_thought));
  }

  // Nobody starts a run without those that it expects, and nobody waits for them for ever.
  bool all_started() const {
    return std::all_of(workers_.begin(), workers_.begin() + options_.workers,
                       [](const auto& worker) { return worker->dead() || worker->started(); });
  }

  void Part() {
    if (!all_started()) return;
    SimulatedWorker& worker = *workers_[faults_.Below(workers_.size())];
    const size_t index = faults_.Below(aggregators_.size());
    const absl::Duration longest = faults_.OneIn(3) ? absl::Minutes(4) : absl::Seconds(10);
    Part(worker, index,
         network_.events().now() + faults_.Between(absl::Milliseconds(100), longest));
  }

  void Part(SimulatedWorker& worker, size_t index, absl::Time until) {
    network_.Part(&worker, index, until);
    ++report_.partitions;
    for (const std::shared_ptr<SimulatedStream>& stream : aggregators_[index]->streams()) {
      if (stream->worker == &worker) CutStream(*aggregators_[index], stream);
    }
  }

  void Pause() {
    if (!all_started()) return;
    const absl::Duration longest = faults_.OneIn(6) ? absl::Minutes(2) : absl::Seconds(4);
    const absl::Time end =
        network_.events().now() + faults_.Between(absl::Milliseconds(10), longest);
    ++report_.pauses;
    if (faults_.OneIn(2)) {
      aggregators_[faults_.Below(aggregators_.size())]->PauseUntil(end);
    } else {
      workers_[faults_.Below(workers_.size())]->PauseUntil(end);
    }
  }

  void Cut() {
    SimulatedAggregator& aggregator = *aggregators_[faults_.Below(aggregators_.size())];
    const std::vector<std::shared_ptr<SimulatedStream>> streams = aggregator.streams();
    if (streams.empty()) return;
    ++report_.cuts;
    CutStream(aggregator, streams[faults_.Below(streams.size())]);
  }

  void CutStream(SimulatedAggregator& aggregator, const std::shared_ptr<SimulatedStream>& stream) {
    network_.Break(stream, absl::UnavailableError("the connection was cut"));
    // The two sides learn of it at different times.
    network_.events().After(faults_.Between(absl::ZeroDuration(), absl::Milliseconds(10)),
                            [&aggregator, stream] { aggregator.ReceiveEnd(stream); });
  }

  const SimulationOptions options_;
  SimulatedNetwork network_;
  Choices faults_;
  const absl::Time faults_end_;
  SimulatedWorker::Aggregators aggregators_;
  // Those who begin the run, then newcomers.
  std::vector<std::unique_ptr<SimulatedWorker>> workers_;
  uint32_t num_joins_ = 0;
  SimulationReport report_;
};

}  // namespace

Layout SimulatedLayout(bool dealt) {
  absl::optional<DealingOptions> dealing;
  if (dealt) dealing = DealingOptions{.num_groups = 2, .seed = 1};
  absl::StatusOr<Layout> layout = Layout::Create({{"a", 500, Treatment::kCompressed, {{3, 4}}},
                                                  {"b", 100, Treatment::kCompressed},
                                                  {"c", 10, Treatment::kDense}},
                                                 256, dealing);
  TALLY_CHECK(layout.ok(), layout.status().ToString());
  return *std::move(layout);
}

MemberId SimulatedMember(uint32_t index) { return {absl::StrCat("w-", index), 1000 + index}; }

std::string FirstDifference(const SimulationReport& run, const SimulationReport& other) {
  for (const auto& [worker, chunks] : run.histories) {
    for (const auto& [chunk, entries] : chunks) {
      const auto describe = [](const AppliedEntry& entry) {
        return absl::StrCat(PlaceName(entry.place), ", chain ", absl::Hex(entry.chain),
                            entry.counted ? "" : ", missed",
                            entry.header.residual_rebased() ? ", rebased" : "");
      };
      const std::vector<AppliedEntry>& theirs = other.histories.at(worker).at(chunk);
      for (size_t i = 0; i < std::max(entries.size(), theirs.size()); ++i) {
        const std::string a = i < entries.size() ? describe(entries[i]) : "nothing";
        const std::string b = i < theirs.size() ? describe(theirs[i]) : "nothing";
        if (a != b) return absl::StrCat(worker, ", chunk ", chunk, ": ", a, " against ", b);
      }
    }
  }
  return "";
}

SimulationReport Simulate(const SimulationOptions& options) { return SimulatedJob(options).Run(); }

}  // namespace tally
