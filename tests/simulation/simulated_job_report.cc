// What becomes known of a job when it has ended.
#include <algorithm>
#include <cstring>
#include <map>
#include <set>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/buffer.h"
#include "base/digest.h"
#include "tests/simulation/simulated_job.h"

namespace tally {
namespace {

double SumOfSquares(const Buffer& payload) {
  std::vector<float> values(payload.size() / sizeof(float));
  std::memcpy(values.data(), payload.data(), payload.size());
  double sum = 0;
  for (const float value : values) sum += double{value} * value;
  return sum;
}

uint64_t CountedEntries(const History& history) {
  uint64_t count = 0;
  for (const auto& [chunk, entries] : history) {
    for (const AppliedEntry& entry : entries) count += entry.counted ? 1 : 0;
  }
  return count;
}

}  // namespace

bool SimulatedJob::WasAnnounced(const std::string& event) const {
  const std::string job = absl::StrCat("job `job-", index_, "`");
  return std::any_of(aggregators_->begin(), aggregators_->end(), [&](const auto& aggregator) {
    const std::vector<std::string>& news = aggregator->announcements();
    return std::any_of(news.begin(), news.end(), [&](const std::string& text) {
      return absl::StartsWith(text, job) && absl::StrContains(text, event);
    });
  });
}

bool SimulatedJob::WasEvicted(const SimulatedWorker& worker) const {
  // Who watches may lose track.
  const bool watches = worker.is_newcomer() || options_.max_late > 0;
  return worker.was_evicted() &&
         (watches || !absl::IsAborted(worker.failure()) ||
          WasAnnounced(absl::StrCat("worker `", worker.name(), "` was evicted")));
}

SimulationReport SimulatedJob::Report() {
  report_.status = Verdict();
  report_.runs.push_back(ReportRun(options_.rounds));
  report_.anybody_evicted =
      WasAnnounced("was evicted") || WasAnnounced("is not waited for any more");
  // Whose histories are reported.
  std::map<std::string, const SimulatedWorker*> last_processes;
  report_.anybody_drifted = WasAnnounced("is another than that of most workers");
  for (const auto& worker : workers_) {
    // Who comes after the end begins the run anew, and has nothing to do with this one.
    if (IsNewcomer(*worker) && !worker->is_newcomer()) continue;
    report_.undone_contributions += worker->undone_contributions();
    report_.late_contributions += worker->missed_contributions();
    if (worker->is_newcomer()) report_.joined_contributions += CountedEntries(worker->history());
    if (worker->left_late()) report_.late_leavers.push_back(worker->name());
    if (worker->came_too_late()) report_.outrun_workers.push_back(worker->name());
    last_processes[worker->name()] = worker.get();
  }
  for (const auto& [name, worker] : last_processes) {
    if (WasEvicted(*worker)) report_.evicted_workers.push_back(name);
  }
  ReportBooks();
  ReportBequests();
  return std::move(report_);
}

absl::Status SimulatedJob::Verdict() const {
  const std::string job = absl::StrCat("job-", index_, ": ");
  for (const auto& worker : workers_) {
    const bool may_fail = WasEvicted(*worker) || ((IsNewcomer(*worker) || options_.max_late > 0) &&
                                                  worker->came_too_late());
    if (!worker->failure().ok() && !may_fail) {
      return absl::Status(worker->failure().code(),
                          absl::StrCat(job, worker->name(), ": ", worker->failure().message()));
    }
  }
  for (const auto& worker : workers_) {
    if (!worker->finished()) {
      return absl::DeadlineExceededError(
          absl::StrCat(job, worker->name(), " is stuck: ", worker->WaitingFor()));
    }
  }
  return is_down_ ? absl::DeadlineExceededError(job + "is down") : absl::OkStatus();
}

RunReport SimulatedJob::ReportRun(uint64_t last_round) const {
  RunReport run{.log = log_, .members = members_};
  for (const auto& worker : workers_) {
    if (IsNewcomer(*worker) && !worker->is_newcomer()) continue;
    run.replicas.emplace_back(worker->name(), worker->replicas());
    History& history = run.histories[worker->name()] = worker->history();
    for (auto& [chunk, entries] : history) {
      while (!entries.empty() && entries.back().place.round > last_round) entries.pop_back();
    }
  }
  return run;
}

void SimulatedJob::ReportBooks() {
  for (const auto& worker : workers_) {
    if (!worker->is_unsettled()) {
      report_.settlements.insert(report_.settlements.end(), worker->settlements().begin(),
                                 worker->settlements().end());
    }
    // They go on with the process that comes again.
    if (!worker->has_closed_its_books() || (IsNewcomer(*worker) && !worker->is_newcomer()) ||
        returned_.count(worker.get()) > 0 || unsettled_processes_.count(worker->process()) > 0) {
      continue;
    }
    report_.books.push_back({worker->process(), worker->member(), worker->own(),
                             !worker->leaves_early() && !worker->was_evicted()});
  }
}

void SimulatedJob::ReportBequests() {
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

}  // namespace tally
