#include "client/client_options.h"

#include "absl/container/flat_hash_set.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "base/status_macros.h"
#include "client/saved_run.h"
#include "codecs/limits.h"
#include "google/protobuf/stubs/common.h"

namespace tally {
namespace {

absl::Status OptionError(absl::string_view field, absl::string_view value_and_rule) {
  return absl::InvalidArgumentError(absl::StrCat("`", field, "` ", value_and_rule));
}

absl::Status CheckName(absl::string_view field, absl::string_view name) {
  if (name.empty() || name.size() > kMaxNameBytes) {
    return OptionError(field,
                       absl::StrCat("has ", name.size(), " bytes, must have 1 to ", kMaxNameBytes));
  }
  if (!google::protobuf::internal::IsStructurallyValidUTF8(name.data(),
                                                           static_cast<int>(name.size()))) {
    return OptionError(field, "is not UTF-8, must be");
  }
  return absl::OkStatus();
}

absl::Status CheckAggregators(absl::Span<const AggregatorAddress> aggregators) {
  if (aggregators.empty() || aggregators.size() > kMaxAggregators) {
    return OptionError("aggregators", absl::StrCat("has ", aggregators.size(),
                                                   " entries, must have 1 to ", kMaxAggregators));
  }
  absl::flat_hash_set<absl::string_view> names;
  for (size_t i = 0; i < aggregators.size(); ++i) {
    const std::string field = absl::StrCat("aggregators[", i, "].name");
    TALLY_RETURN_IF_ERROR(CheckName(field, aggregators[i].name));
    if (!names.insert(aggregators[i].name).second) {
      return OptionError(field, absl::StrCat("= ", aggregators[i].name, ", must be unique"));
    }
    if (aggregators[i].address.empty()) {
      return OptionError(absl::StrCat("aggregators[", i, "].address"),
                         "is empty, must be \"host:port\" or \"unix:/path\"");
    }
  }
  return absl::OkStatus();
}

absl::Status CheckDuration(absl::string_view field, absl::Duration duration) {
  if (duration > absl::ZeroDuration() && duration < absl::InfiniteDuration()) {
    return absl::OkStatus();
  }
  return OptionError(
      field, absl::StrCat("= ", absl::FormatDuration(duration), ", must be positive and finite"));
}

absl::Status CheckSavedRun(const ClientOptions& options) {
  if (options.saved_run.empty()) return absl::OkStatus();
  const absl::StatusOr<SavedRun> run = DecodeSavedRun(options.saved_run, *options.layout);
  if (!run.ok()) {
    return absl::Status(run.status().code(), absl::StrCat("`saved_run`: ", run.status().message()));
  }
  if (run->worker != options.worker) {
    return OptionError("saved_run", absl::StrCat("was saved by worker `", run->worker,
                                                 "`, must be that of `", options.worker, "`"));
  }
  if (options.first_round != 0) {
    return OptionError("first_round",
                       absl::StrCat("= ", options.first_round,
                                    ", must be 0 with `saved_run`, which says ", run->next_round));
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status ValidateClientOptions(const ClientOptions& options) {
  TALLY_RETURN_IF_ERROR(CheckName("job", options.job));
  TALLY_RETURN_IF_ERROR(CheckName("worker", options.worker));
  TALLY_RETURN_IF_ERROR(CheckAggregators(options.aggregators));
  if (!options.layout.has_value()) return OptionError("layout", "is unset, must be set");
  if (options.expected_workers < 1 || options.expected_workers > kMaxRoster) {
    return OptionError("expected_workers", absl::StrCat("= ", options.expected_workers,
                                                        ", must be from 1 to ", kMaxRoster));
  }
  if (options.roster_limit != 0 &&
      (options.roster_limit < options.expected_workers || options.roster_limit > kMaxRoster)) {
    return OptionError("roster_limit",
                       absl::StrCat("= ", options.roster_limit, ", must be 0 or from ",
                                    options.expected_workers, " to ", kMaxRoster));
  }
  if (options.first_round > kMaxRound) {
    return OptionError("first_round",
                       absl::StrCat("= ", options.first_round, ", must be at most ", kMaxRound));
  }
  if (options.max_late > kMaxRoster) {
    return OptionError("max_late",
                       absl::StrCat("= ", options.max_late, ", must be at most ", kMaxRoster));
  }
  TALLY_RETURN_IF_ERROR(CheckDuration("late_ceiling", options.late_ceiling));
  TALLY_RETURN_IF_ERROR(CheckSavedRun(options));
  if (options.snapshot_interval < 1 || options.snapshot_interval > kMaxSnapshotInterval) {
    return OptionError("snapshot_interval",
                       absl::StrCat("= ", options.snapshot_interval, ", must be from 1 to ",
                                    kMaxSnapshotInterval));
  }
  TALLY_RETURN_IF_ERROR(CheckDuration("start_timeout", options.start_timeout));
  TALLY_RETURN_IF_ERROR(CheckDuration("aggregator_timeout", options.aggregator_timeout));
  TALLY_RETURN_IF_ERROR(CheckDuration("handover_timeout", options.handover_timeout));
  TALLY_RETURN_IF_ERROR(CheckDuration("heartbeat_interval", options.heartbeat_interval));
  const FaultPlan& faults = options.faults;
  if (faults.cut <= absl::ZeroDuration() || faults.kill <= absl::ZeroDuration() ||
      faults.delay < absl::ZeroDuration() || faults.delay == absl::InfiniteDuration()) {
    return OptionError("faults", absl::StrCat("has cut = ", absl::FormatDuration(faults.cut),
                                              ", delay = ", absl::FormatDuration(faults.delay),
                                              ", kill = ", absl::FormatDuration(faults.kill),
                                              ", must have positive means and a finite delay"));
  }
  return absl::OkStatus();
}

}  // namespace tally
