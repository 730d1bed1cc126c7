#include "aggregator/engine.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/mix64.h"
#include "base/status_macros.h"
#include "codecs/duration.h"

namespace tally {
namespace {

// Ended runs that are remembered.
constexpr size_t kKeptEndedRuns = 1024;
// The longest time between two ticks that counts as such.
constexpr absl::Duration kLongestTick = absl::Seconds(1);

// The chains at the ends of histories, by chunk.
std::map<uint32_t, uint64_t> ChainsOf(const v1::Hello& hello) {
  std::map<uint32_t, uint64_t> chains;
  for (const v1::ChunkProgress& progress : hello.chunks()) {
    if (progress.has_head()) chains[progress.chunk()] = progress.head().chain();
  }
  return chains;
}

uint64_t HeadsDigest(const std::map<uint32_t, uint64_t>& chains) {
  uint64_t digest = 0;
  for (const auto& [chunk, chain] : chains) digest = Mix64(Mix64(digest ^ chunk) ^ chain);
  return digest;
}

}  // namespace

Engine::Engine(EngineOptions options)
    : options_(std::move(options)), admission_(options_.memory_limit_bytes) {}

const Engine::EndedRun* Engine::FindEnded(const JobDescription& description) const {
  // Whoever begins a run of the same number anew has nothing to do with those of the last one.
  const auto found = jobs_.find(description.job);
  if (found != jobs_.end() && found->second.job->formed()) return nullptr;
  const auto ended = std::find_if(ended_runs_.rbegin(), ended_runs_.rend(), [&](const auto& run) {
    return run.job == description.job && run.run == description.run;
  });
  return ended == ended_runs_.rend() ? nullptr : &*ended;
}

absl::StatusOr<Job*> Engine::FindOrCreate(const JobDescription& description, const v1::Hello& hello,
                                          absl::Time now) {
  const auto found = jobs_.find(description.job);
  const bool has_ended = FindEnded(description) != nullptr;
  if (has_ended && HoldsHistory(hello)) {
    return absl::FailedPreconditionError(
        absl::StrCat("`run` = ", description.run, " of job `", description.job,
                     "` is over here: all of its workers have left; this one was evicted before"));
  }
  if (found != jobs_.end()) {
    Job* const job = found->second.job.get();
    if (job->description().run != description.run) {
      const std::vector<std::string> workers = job->ConnectedWorkers();
      return absl::UnavailableError(
          absl::StrCat("`run` = ", description.run, ", must wait: run ", job->description().run,
                       " of job `", description.job, "` lives here, ",
                       workers.empty() ? "though its workers are gone"
                                       : absl::StrCat("with ", absl::StrJoin(workers, ", "))));
    }
    const bool is_other_start = job->description().first_round != description.first_round;
    if (is_other_start && job->formed() && job->ConnectedWorkers().empty()) {
      return absl::UnavailableError(absl::StrCat(
          "`settings.first_round` = ", description.first_round, ", must wait: run ",
          description.run, " of job `", description.job, "`, which began with round ",
          job->description().first_round, ", lives here, though its workers are gone"));
    }
    TALLY_RETURN_IF_ERROR(CheckSameRun(job->description(), description));
    // Who comes later need not have begun where the others did.
    const bool starts = hello.intent() == v1::INTENT_START || hello.intent() == v1::INTENT_RESUME;
    if (starts && !job->formed()) {
      TALLY_RETURN_IF_ERROR(CheckSameStart(job->description(), description));
    }
    return job;
  }
  if (hello.intent() == v1::INTENT_OBSERVER && has_ended) {
    return absl::FailedPreconditionError(
        absl::StrCat("`run` = ", description.run, " of job `", description.job,
                     "` is over here: all of its members have left"));
  }
  if (hello.intent() == v1::INTENT_OBSERVER && !description.OwnChunks().empty()) {
    return NotHereYetError(description);
  }
  if (ClaimsMembership(hello) && !HoldsHistory(hello) && !description.OwnChunks().empty()) {
    return absl::FailedPreconditionError(absl::StrCat(
        "`intent` = ", v1::Intent_Name(hello.intent()),
        ", must be INTENT_START: neither this worker nor aggregator `", options_.name,
        "` has a history of run ", description.run, " of job `", description.job, "`"));
  }
  const uint64_t bytes = WorstCaseBytes(description, options_.window_chunks);
  // After a restart the runs that were here come back, and must find room.
  const bool others_may_come_back = !HoldsHistory(hello) && running_time_ < options_.recover_after;
  TALLY_RETURN_IF_ERROR(
      admission_.Admit(bytes, others_may_come_back ? admission_.limit_bytes() / 2 : 0));
  auto job =
      std::make_unique<Job>(next_serial_++, std::make_shared<const JobDescription>(description),
                            options_.window_chunks, options_.eviction, bytes, now, running_time_);
  Job* const made = job.get();
  jobs_by_serial_[made->serial()] = made;
  jobs_[description.job] = {.job = std::move(job), .connected_at = running_time_};
  return made;
}

absl::Status Engine::Greet(StreamId stream, const v1::Hello& hello, absl::Time now,
                           Actions& actions) {
  if (draining_) {
    return absl::UnavailableError(
        absl::StrCat("aggregator `", options_.name, "` is draining and takes no new streams"));
  }
  TALLY_ASSIGN_OR_RETURN(const ValidHello valid, ValidateHello(hello, options_.name));
  const EndedRun* const ended = FindEnded(valid.description);
  if (hello.intent() == v1::INTENT_LEAVING && ended != nullptr) {
    const auto evicted = ended->evicted.find(valid.member.worker);
    const bool was_evicted =
        evicted != ended->evicted.end() && valid.member.incarnation <= evicted->second;
    // Who was not must have what the others have: nothing was decided without it.
    if (!was_evicted || HeadsDigest(ChainsOf(hello)) == ended->heads_digest) {
      actions.push_back(CloseStream{stream, absl::OkStatus()});
      return absl::OkStatus();
    }
  }
  TALLY_ASSIGN_OR_RETURN(Job* const job, FindOrCreate(valid.description, hello, now));
  v1::Welcome welcome;
  welcome.set_aggregator(options_.name);
  *welcome.mutable_instance() = options_.instance;
  *welcome.mutable_silence_limit() = EncodeDuration(options_.silence_limit);
  TALLY_RETURN_IF_ERROR(
      job->HandleHello(stream, valid.member, hello, std::move(welcome), now, actions));
  streams_[stream] = {
      .job_serial = job->serial(), .member = valid.member, .heard_at = running_time_};
  return absl::OkStatus();
}

Actions Engine::HandleHello(StreamId stream, const v1::Hello& hello, absl::Time now) {
  Actions actions;
  absl::Status status = Greet(stream, hello, now, actions);
  if (!status.ok()) actions.push_back(CloseStream{stream, std::move(status)});
  return Settle(std::move(actions));
}

Actions Engine::HandleContribution(StreamId stream, StagedContribution contribution,
                                   absl::Time now) {
  Job* const job = Hear(stream);
  if (job == nullptr) return {};
  // The worker keeps it for the next process of this name.
  if (draining_ && job->WouldBeginRound(contribution.place.round)) return {};
  Actions actions;
  absl::Status status = job->HandleContribution(stream, streams_[stream].member,
                                                std::move(contribution), now, actions);
  if (!status.ok()) {
    job->HandleClosed(stream, streams_[stream].member, actions);
    actions.push_back(CloseStream{stream, std::move(status)});
  }
  return Settle(std::move(actions));
}

Actions Engine::HandleReplay(StreamId stream, Replayed piece, absl::Time now) {
  Job* const job = Hear(stream);
  if (job == nullptr) return {};
  Actions actions;
  const absl::Status status =
      job->HandleReplay(streams_[stream].member, std::move(piece), now, actions);
  if (!status.ok()) {
    job->HandleClosed(stream, streams_[stream].member, actions);
    actions.push_back(CloseStream{stream, status});
  }
  return Settle(std::move(actions));
}

Actions Engine::HandleSnapshotAck(StreamId stream, const v1::ResidualSnapshotAck& ack,
                                  absl::Time now) {
  Job* const job = Hear(stream);
  if (job == nullptr) return {};
  const absl::Status status = job->HandleSnapshotAck(streams_[stream].member, ack, now);
  return status.ok() ? Actions() : HandleOffence(stream, status);
}

Actions Engine::HandleOutcome(const ExchangeOutcome& outcome, absl::Time now) {
  Job* const job = FindBySerial(outcome.job_serial);
  if (job == nullptr) return {};
  Actions actions;
  job->HandleOutcome(outcome, now, actions);
  return Settle(std::move(actions));
}

Actions Engine::HandleComputeFailure(uint64_t job_serial, const absl::Status& status) {
  Job* const job = FindBySerial(job_serial);
  if (job == nullptr) return {};
  Actions actions;
  job->Stop(status, actions);
  return Settle(std::move(actions));
}

Actions Engine::HandleHeartbeat(StreamId stream, const v1::Heartbeat& heartbeat, absl::Time now) {
  Job* const job = Hear(stream);
  if (job == nullptr) return {};
  Actions actions;
  job->HandleHeartbeat(streams_[stream].member, heartbeat, now, actions);
  return Settle(std::move(actions));
}

Actions Engine::HandleLeave(StreamId stream, const v1::Leave& leave, absl::Time now) {
  Job* const job = Hear(stream);
  if (job == nullptr) return {};
  Actions actions;
  job->HandleLeave(streams_[stream].member, leave, now, actions);
  return Settle(std::move(actions));
}

Actions Engine::HandleHandover(StreamId stream, v1::Handover handover, std::string piece,
                               absl::Time now) {
  Job* const job = Hear(stream);
  if (job == nullptr) return {};
  Actions actions;
  const absl::Status status = job->HandleHandover(streams_[stream].member, std::move(handover),
                                                  std::move(piece), now, actions);
  return status.ok() ? Settle(std::move(actions)) : HandleOffence(stream, status);
}

Actions Engine::HandleHandoverAck(StreamId stream, const v1::HandoverAck& ack, absl::Time now) {
  Job* const job = Hear(stream);
  if (job == nullptr) return {};
  Actions actions;
  job->HandleHandoverAck(stream, streams_[stream].member, ack, now, actions);
  return Settle(std::move(actions));
}

Actions Engine::HandleActivate(StreamId stream, const v1::Activate& activate, absl::Time now) {
  Job* const job = Hear(stream);
  if (job == nullptr) return {};
  Actions actions;
  job->HandleActivate(streams_[stream].member, activate, now, actions);
  return Settle(std::move(actions));
}

Actions Engine::HandleStateRequest(StreamId stream, const v1::StateRequest& request,
                                   absl::Time now) {
  Job* const job = Hear(stream);
  if (job == nullptr) return {};
  Actions actions;
  job->HandleStateRequest(streams_[stream].member, request, now, actions);
  return Settle(std::move(actions));
}

Actions Engine::HandleStatePart(StreamId stream, v1::StatePart part, std::string piece,
                                absl::Time now) {
  Job* const job = Hear(stream);
  if (job == nullptr) return {};
  Actions actions;
  const absl::Status status = job->HandleStatePart(streams_[stream].member, std::move(part),
                                                   std::move(piece), now, actions);
  return status.ok() ? Settle(std::move(actions)) : HandleOffence(stream, status);
}

Actions Engine::HandleOffence(StreamId stream, absl::Status status) {
  Actions actions = HandleClosed(stream);
  actions.push_back(CloseStream{stream, std::move(status)});
  return actions;
}

Actions Engine::HandleClosed(StreamId stream) {
  const auto found = streams_.find(stream);
  if (found == streams_.end()) return {};
  Actions actions;
  if (Job* const job = FindBySerial(found->second.job_serial)) {
    job->HandleClosed(stream, found->second.member, actions);
  }
  streams_.erase(found);
  return Settle(std::move(actions));
}

Actions Engine::HandleTick(absl::Time now) {
  if (last_tick_ != absl::InfinitePast()) {
    running_time_ += std::clamp(now - last_tick_, absl::ZeroDuration(), kLongestTick);
  }
  last_tick_ = now;

  Actions actions;
  std::vector<StreamId> silent;
  for (const auto& [id, stream] : streams_) {
    if (running_time_ - stream.heard_at > options_.silence_limit) silent.push_back(id);
  }
  for (const StreamId stream : silent) {
    Actions closing = HandleOffence(stream, absl::DeadlineExceededError(absl::StrCat(
                                                "nothing was heard on this stream for ",
                                                absl::FormatDuration(options_.silence_limit))));
    std::move(closing.begin(), closing.end(), std::back_inserter(actions));
  }
  const bool may_evict = running_time_ >= options_.recover_after;
  for (const auto& [name, entry] : jobs_) {
    entry.job->HandleTick(now, running_time_, may_evict, actions);
    if (draining_) entry.job->SecureResiduals(actions);
  }
  return Settle(std::move(actions));
}

absl::Time Engine::next_deadline() const {
  absl::Time next = absl::InfiniteFuture();
  for (const auto& [name, entry] : jobs_) next = std::min(next, entry.job->next_deadline());
  return next;
}

Actions Engine::StartDraining() {
  draining_ = true;
  Actions actions;
  for (const auto& [id, stream] : streams_) {
    SendControl send{.stream = id};
    send.message.mutable_notice()->set_draining(true);
    actions.push_back(std::move(send));
  }
  for (const auto& [name, entry] : jobs_) entry.job->SecureResiduals(actions);
  return Settle(std::move(actions));
}

bool Engine::drained() const {
  return draining_ && std::all_of(jobs_.begin(), jobs_.end(), [](const auto& entry) {
           return entry.second.job->between_rounds() && entry.second.job->secured();
         });
}

size_t Engine::exchanges_under_way() const {
  size_t count = 0;
  for (const auto& [name, entry] : jobs_) count += entry.job->exchanges_under_way();
  return count;
}

Actions Engine::Stop(const absl::Status& status) {
  Actions actions;
  for (const auto& [name, entry] : jobs_) entry.job->Stop(status, actions);
  return Settle(std::move(actions));
}

Job* Engine::FindBySerial(uint64_t serial) {
  const auto found = jobs_by_serial_.find(serial);
  return found == jobs_by_serial_.end() ? nullptr : found->second;
}

Job* Engine::Hear(StreamId stream) {
  const auto found = streams_.find(stream);
  if (found == streams_.end()) return nullptr;
  found->second.heard_at = running_time_;
  return FindBySerial(found->second.job_serial);
}

Actions Engine::Settle(Actions actions) {
  for (const Action& action : actions) {
    if (const auto* close = absl::get_if<CloseStream>(&action)) streams_.erase(close->stream);
  }
  for (auto entry = jobs_.begin(); entry != jobs_.end();) {
    auto& [job, connected_at] = entry->second;
    if (job->connected()) connected_at = running_time_;
    if (!job->over() && running_time_ - connected_at < options_.forget_after) {
      ++entry;
      continue;
    }
    // One that has not begun here may have begun before a restart.
    const bool over = job->formed() && (job->over() || job->left_by_most());
    // Observers alone are no run.
    Actions closing;
    job->End(closing);
    for (Action& action : closing) {
      streams_.erase(absl::get<CloseStream>(action).stream);
      actions.push_back(std::move(action));
    }
    if (over) {
      ended_runs_.push_back({.job = job->description().job,
                             .run = job->description().run,
                             .evicted = job->fences(),
                             .heads_digest = HeadsDigest(job->Chains())});
      if (ended_runs_.size() > kKeptEndedRuns) ended_runs_.pop_front();
    }
    admission_.Release(job->admitted_bytes());
    jobs_by_serial_.erase(job->serial());
    entry = jobs_.erase(entry);
  }
  return actions;
}

v1::GetStatusResponse Engine::Status(const std::string& job, absl::Time now) const {
  v1::GetStatusResponse response;
  response.set_aggregator(options_.name);
  response.set_memory_limit_bytes(admission_.limit_bytes());
  response.set_admitted_bytes(admission_.admitted_bytes());
  response.set_draining(draining_);
  for (const auto& [name, entry] : jobs_) {
    if (job.empty() || job == name) *response.add_jobs() = entry.job->Status(now);
  }
  return response;
}

}  // namespace tally
