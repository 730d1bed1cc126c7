#include "tests/simulation/history_model.h"

#include <cmath>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/types/variant.h"
#include "base/check.h"
#include "base/status_macros.h"
#include "codecs/exchange.h"
#include "kernels/host_backends.h"
#include "tests/simulation/contribution_values.h"
#include "tests/simulation/scripted_exchange.h"

namespace tally {
namespace {

Roster RosterOf(std::vector<MemberId> members) {
  absl::StatusOr<Roster> roster = Roster::Create(0, std::move(members));
  TALLY_CHECK(roster.ok(), roster.status().ToString());
  return *std::move(roster);
}

}  // namespace

HistoryModel::HistoryModel(std::shared_ptr<const JobDescription> description, uint32_t chunk,
                           const ContributionLog* log, std::vector<MemberId> members)
    : description_(std::move(description)),
      chunk_(chunk),
      tracks_(Tracks(description_->layout, chunk)),
      log_(log),
      roster_(RosterOf(std::move(members))),
      shared_(tracks_ ? description_->layout.chunks()[chunk].num_elements : 0) {
  if (tracks_) TrackRoster();
}

void HistoryModel::Resume(const ContributionLog* log, std::vector<MemberId> members) {
  log_ = log;
  roster_ = RosterOf(std::move(members));
  chain_ = 0;
}

absl::Status HistoryModel::Wrong(const AppliedEntry& entry, const std::string& what) const {
  return absl::DataLossError(
      absl::StrCat("chunk ", chunk_, ", ", PlaceName(entry.place), ": ", what));
}

absl::Status HistoryModel::Append(const AppliedEntry& entry) {
  const v1::ResultHeader& header = entry.header;
  if (chain_ != 0 && header.prev_chain() != chain_) return Wrong(entry, "does not follow");
  if (header.residual_rebased()) residual_ = nullptr;
  TALLY_ASSIGN_OR_RETURN(const std::vector<MemberId> participants,
                         roster_.Participants(header.participants()));
  if (header.has_exchange()) TALLY_RETURN_IF_ERROR(Recompute(entry, participants));
  // What is owed comes with the next exchange.
  if (tracks_ && !header.tracking_rebase() && !header.owes_tracking_rebase()) {
    const absl::Status status = CheckTracking();
    if (!status.ok()) return Wrong(entry, std::string(status.message()));
  }
  TALLY_ASSIGN_OR_RETURN(roster_, roster_.After(header));
  if (header.tracking_rebase()) {
    residual_ = nullptr;
    tracked_.clear();
  }
  if (tracks_) TrackRoster();
  chain_ = entry.chain;
  return absl::OkStatus();
}

void HistoryModel::TrackRoster() {
  std::map<std::string, std::vector<float>> tracked;
  for (const MemberId& member : roster_.members()) {
    const auto found = tracked_.find(member.worker);
    tracked[member.worker] = found == tracked_.end() ? shared_ : std::move(found->second);
  }
  tracked_ = std::move(tracked);
}

absl::Status HistoryModel::Recompute(const AppliedEntry& entry,
                                     const std::vector<MemberId>& participants) {
  const Layout& layout = description_->layout;
  ExchangeTask task{
      .chunk = chunk_, .place = entry.place, .description = description_, .exchange = {}};
  TALLY_ASSIGN_OR_RETURN(task.exchange, DecodeExchange(entry.header.exchange(), layout, chunk_));
  for (const MemberId& member : participants) {
    const ContributionLog::Entry* const made = log_->Find(member, chunk_, entry.place, chain_);
    if (made == nullptr || made->payload == nullptr) {
      return Wrong(entry, absl::StrCat("counts what ", member.worker, " did not contribute"));
    }
    task.payloads.push_back(made->payload);
    const std::vector<float> values =
        ContributionValues(task.exchange, layout, chunk_, made->payload->bytes(), candidates_);
    std::vector<double>& sum = counted_[made->process];
    sum.resize(values.size());
    for (size_t i = 0; i < values.size(); ++i) sum[i] += values[i];
  }
  task.divisor = static_cast<uint32_t>(
      task.exchange.divisor == Divisor::kRoster ? roster_.size() : participants.size());
  if (absl::holds_alternative<SignExchange>(task.exchange.kind)) {
    if (residual_ == nullptr) {
      residual_ = std::make_shared<Residual>(layout.chunks()[chunk_].num_elements);
    }
    task.residual = residual_;
  }
  TALLY_ASSIGN_OR_RETURN(const ExchangeOutcome outcome, RunExchange(task, *HostBackends().front()));
  if (outcome.payload_digest != entry.header.payload_digest()) return Wrong(entry, "other payload");
  TakeResult(task, outcome, participants);
  return absl::OkStatus();
}

void HistoryModel::TakeResult(const ExchangeTask& task, const ExchangeOutcome& outcome,
                              const std::vector<MemberId>& participants) {
  const Layout& layout = description_->layout;
  if (HasSecondHalf(task.exchange)) {
    candidates_ = CandidatesOf(layout, chunk_, outcome.payload->bytes());
  }
  if (!tracks_) return;
  const auto add = [&](std::vector<float>& sum, const Buffer& payload) {
    const std::vector<float> values =
        ContributionValues(task.exchange, layout, chunk_, payload.bytes(), {});
    for (size_t i = 0; i < values.size(); ++i) sum[i] += values[i];
  };
  for (size_t p = 0; p < participants.size(); ++p) {
    add(tracked_[participants[p].worker], *task.payloads[p]);
  }
  add(shared_, *outcome.payload);
}

absl::Status HistoryModel::CheckTracking() const {
  // Sums of some dozens of values of a few units, in fp32.
  constexpr double kRounding = 1e-3;
  std::vector<float> left_over(shared_.size());
  if (residual_ != nullptr) {
    TALLY_ASSIGN_OR_RETURN(const absl::Span<float> values, residual_->OnHost());
    left_over.assign(values.begin(), values.end());
  }
  for (size_t i = 0; i < shared_.size(); ++i) {
    double mean = 0;
    for (const auto& [worker, tracked] : tracked_) mean += tracked[i];
    mean /= static_cast<double>(tracked_.size());
    if (std::abs(mean - shared_[i] - left_over[i]) <= kRounding) continue;
    return absl::DataLossError(absl::StrCat("element ", i, ": workers track ", mean,
                                            " on average, but all share ", shared_[i], " and ",
                                            left_over[i], " is left over"));
  }
  return absl::OkStatus();
}

}  // namespace tally
