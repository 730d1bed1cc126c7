#include "tests/simulation/simulated_job.h"

#include <algorithm>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "aggregator/admission.h"
#include "base/check.h"
#include "base/mix64.h"
#include "client/saved_run.h"
#include "tests/simulation/scripted_exchange.h"

namespace tally {
namespace {

// Of all random draws of simulated runs.
constexpr uint64_t kRunSeed = 7;
// Newcomers of a run, at most.
constexpr uint32_t kMaxJoining = 4;
constexpr absl::Duration kLookForSaved = absl::Milliseconds(5);

std::string WorkerName(uint32_t index) { return absl::StrCat("w-", index); }

}  // namespace

SimulatedJob::SimulatedJob(const SimulationOptions& options, uint32_t index,
                           SimulatedNetwork* network, SimulatedAggregators* aggregators)
    : options_(options),
      index_(index),
      layout_(SimulatedLayout(options.dealt != (index % 2 == 1))),
      network_(network),
      aggregators_(aggregators),
      faults_(options.seed, /*purpose=*/1000 + index) {
  report_.description = std::make_shared<const JobDescription>(DescriptionAt(0));
  for (uint32_t w = 0; w < options.workers; ++w) {
    members_.push_back({WorkerName(w), 1000 + w});
    Start(members_.back(), OptionsOf(WorkerName(w)), num_processes_++, nullptr);
  }
  if (options_.restart_after.has_value()) AwaitRestart();
}

JobDescription SimulatedJob::DescriptionAt(uint32_t aggregator) const {
  const ClientOptions options = OptionsOf(WorkerName(0));
  JobDescription description{.job = options.job,
                             .seed = options.seed,
                             .layout = layout_,
                             .aggregator_index = aggregator,
                             .expected_workers = options.expected_workers,
                             .roster_limit = options.roster_limit,
                             .snapshot_interval = options.snapshot_interval,
                             .max_late = options.max_late};
  for (const AggregatorAddress& address : options.aggregators) {
    description.aggregators.push_back(address.name);
  }
  return description;
}

uint64_t SimulatedJob::AdmittedBytes(uint32_t aggregator) const {
  return WorstCaseBytes(DescriptionAt(aggregator), options_.window_chunks);
}

ClientOptions SimulatedJob::OptionsOf(const std::string& worker) const {
  ClientOptions options;
  options.job = absl::StrCat("job-", index_);
  options.worker = worker;
  options.elastic =
      options_.elastic || options_.joins != absl::InfiniteDuration() || !options_.script.empty();
  options.roster_limit = options_.workers + kMaxJoining;
  for (uint32_t a = 0; a < options_.aggregators; ++a) {
    options.aggregators.push_back({absl::StrCat("agg-", a), "simulated"});
  }
  options.layout = layout_;
  options.expected_workers = options_.workers;
  options.seed = kRunSeed;
  options.snapshot_interval = options_.snapshot_interval;
  options.max_late = options_.max_late;
  options.late_ceiling = absl::Milliseconds(300);
  return options;
}

void SimulatedJob::Start(MemberId member, ClientOptions options, uint32_t process,
                         const SimulatedWorker::Saved* saved) {
  SimulatedWorkerOptions worker{.client = std::move(options),
                                .member = std::move(member),
                                .last_round = options_.rounds - 1,
                                .seed = options_.seed ^ Mix64(index_),
                                .longest_thought = options_.longest_thought,
                                .process = process};
  if (saved == nullptr) worker.save_after = options_.restart_after;
  const size_t position = workers_.size();
  worker.when_aborted = [this, position] { AwaitReturn(position); };
  workers_.push_back(std::make_unique<SimulatedWorker>(network_, aggregators_, log_.get(),
                                                       std::move(worker), saved));
}

void SimulatedJob::AwaitReturn(size_t position) {
  ++num_returning_;
  network_->events().After(faults_.Between(absl::ZeroDuration(), absl::Milliseconds(100)),
                           [this, position] {
                             --num_returning_;
                             const SimulatedWorker& gone = *workers_[position];
                             if (gone.dead()) return;
                             returned_.insert(&gone);
                             if (!gone.has_closed_its_books())
                               unsettled_processes_.insert(gone.process());
                             const SimulatedWorker::Saved kept = {.own = gone.own()};
                             StartNewcomer(gone.name(), RunEntry::kJoin, gone.process(), &kept);
                           });
}

bool SimulatedJob::finished() const {
  return !is_down_ && num_returning_ == 0 &&
         std::all_of(workers_.begin(), workers_.end(),
                     [](const auto& worker) { return worker->finished(); });
}

bool SimulatedJob::all_started() const {
  return !is_down_ &&
         std::all_of(workers_.begin(), workers_.begin() + options_.workers,
                     [](const auto& worker) { return worker->dead() || worker->started(); });
}

bool SimulatedJob::IsNewcomer(const SimulatedWorker& worker) const {
  return std::none_of(workers_.begin(), workers_.begin() + options_.workers,
                      [&](const auto& starter) { return starter.get() == &worker; });
}

void SimulatedJob::AwaitRestart() {
  network_->events().After(kLookForSaved, [this] {
    if (std::any_of(workers_.begin(), workers_.end(),
                    [](const auto& worker) { return worker->finished(); })) {
      return;
    }
    if (std::all_of(workers_.begin(), workers_.end(),
                    [](const auto& worker) { return worker->saved() != nullptr; })) {
      // One may have read what a crash undid, and been evicted: nobody resumes that.
      if (!SavedOneHistory()) return;
      return network_->events().After(
          faults_.Between(absl::ZeroDuration(), absl::Milliseconds(100)), [this] { EndRun(); });
    }
    AwaitRestart();
  });
}

bool SimulatedJob::SavedOneHistory() const {
  std::set<std::vector<uint64_t>> histories;
  for (const auto& worker : workers_) {
    const absl::StatusOr<SavedRun> run =
        DecodeSavedRun(worker->saved()->run, report_.description->layout);
    TALLY_CHECK(run.ok(), run.status().ToString());
    std::vector<uint64_t> chains;
    for (const SavedRun::Chunk& chunk : run->chunks) chains.push_back(chunk.chain);
    histories.insert(std::move(chains));
  }
  return histories.size() == 1;
}

void SimulatedJob::EndRun() {
  if (std::any_of(workers_.begin(), workers_.end(),
                  [](const auto& worker) { return worker->finished(); })) {
    return;
  }
  report_.runs.push_back(ReportRun(*options_.restart_after));
  for (const auto& worker : workers_) worker->Kill();
  former_workers_ = std::exchange(workers_, {});
  is_down_ = true;
  network_->events().After(faults_.Between(absl::ZeroDuration(), absl::Seconds(50)),
                           [this] { ResumeRun(); });
}

void SimulatedJob::ResumeRun() {
  is_down_ = false;
  log_ = std::make_shared<ContributionLog>();
  members_.clear();
  // The books of a worker go on.
  num_processes_ = 0;
  for (uint32_t w = 0; w < options_.workers; ++w) {
    members_.push_back({WorkerName(w), 2000 + w});
    ClientOptions options = OptionsOf(WorkerName(w));
    options.run = 1;
    options.saved_run = former_workers_[w]->saved()->run;
    Start(members_.back(), std::move(options), num_processes_++, former_workers_[w]->saved());
  }
}

void SimulatedJob::KillWorker() {
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

void SimulatedJob::Leave() {
  if (!all_started()) return;
  std::vector<SimulatedWorker*> members;
  for (const auto& worker : workers_) {
    if (worker->takes_part() && !worker->leaves_early()) members.push_back(worker.get());
  }
  // Somebody goes on.
  if (members.size() > 1) LeaveEarly(*members[faults_.Below(members.size())]);
}

void SimulatedJob::LeaveEarly(SimulatedWorker& worker) {
  report_.early_leavers.push_back(worker.name());
  worker.LeaveEarly();
}

void SimulatedJob::Join() {
  const bool goes_on = std::any_of(workers_.begin(), workers_.end(),
                                   [](const auto& worker) { return worker->takes_part(); });
  if (!all_started() || !goes_on || num_joins_ == kMaxJoining) return;
  std::string name = WorkerName(options_.workers + num_joins_++);
  for (const auto& worker : workers_) {
    const bool is_gone = worker->dead() || worker->was_evicted();
    if (is_gone && faults_.OneIn(2)) name = worker->name();
  }
  const auto is_here = [&](const auto& worker) {
    return worker->name() == name && !worker->dead() && !worker->was_evicted();
  };
  if (std::any_of(workers_.begin(), workers_.end(), is_here)) return;
  // So few newcomers begin no run of their own if they come when this one is over.
  StartNewcomer(name, options_.workers > kMaxJoining ? RunEntry::kBegin : RunEntry::kJoin,
                num_processes_++, nullptr);
}

void SimulatedJob::StartNewcomer(const std::string& worker, RunEntry entry, uint32_t process,
                                 const SimulatedWorker::Saved* kept) {
  report_.newcomers.push_back(worker);
  ClientOptions options = OptionsOf(worker);
  options.entry = entry;
  Start({worker, static_cast<uint64_t>(absl::ToUnixMicros(network_->events().now()))},
        std::move(options), process, kept);
}

void SimulatedJob::PartWorker() {
  if (!all_started()) return;
  SimulatedWorker& worker = *workers_[faults_.Below(workers_.size())];
  const size_t aggregator = faults_.Below(aggregators_->size());
  const absl::Duration longest = faults_.OneIn(3) ? absl::Minutes(4) : absl::Seconds(10);
  Part(worker, aggregator,
       network_->events().now() + faults_.Between(absl::Milliseconds(100), longest));
}

void SimulatedJob::Part(SimulatedWorker& worker, size_t aggregator, absl::Time until) {
  network_->Part(&worker, aggregator, until);
  for (const std::shared_ptr<SimulatedStream>& stream : (*aggregators_)[aggregator]->streams()) {
    if (stream->worker == &worker) (*aggregators_)[aggregator]->Cut(stream);
  }
}

void SimulatedJob::PauseWorker(absl::Time until) {
  if (all_started()) workers_[faults_.Below(workers_.size())]->PauseUntil(until);
}

void SimulatedJob::Play(const ScriptedFault& fault, absl::Time end) {
  SimulatedWorker& worker = *workers_[fault.worker];
  switch (fault.kind) {
    case ScriptedFault::Kind::kKillWorker:
      report_.killed_workers.push_back(worker.name());
      return worker.Kill();
    case ScriptedFault::Kind::kPauseWorker:
      return worker.PauseUntil(end);
    case ScriptedFault::Kind::kReplaceWorker:
      return StartNewcomer(worker.name(), RunEntry::kJoin, num_processes_++, nullptr);
    case ScriptedFault::Kind::kLeaveWorker:
      return LeaveEarly(worker);
    case ScriptedFault::Kind::kPart:
      return Part(worker, fault.aggregator, end);
    case ScriptedFault::Kind::kKillAggregator:
    case ScriptedFault::Kind::kPauseAggregator:
      return;  // the simulation's
  }
}

}  // namespace tally
