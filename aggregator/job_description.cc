#include "aggregator/job_description.h"

#include <utility>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/digest.h"
#include "base/status_macros.h"
#include "codecs/duration.h"
#include "codecs/layout_codec.h"
#include "codecs/limits.h"

namespace tally {
namespace {

absl::Status CheckName(absl::string_view field, absl::string_view name) {
  if (!name.empty() && name.size() <= kMaxNameBytes) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("`", field, "` has ", name.size(), " bytes, must have 1 to ", kMaxNameBytes));
}

absl::Status CheckAtMost(absl::string_view field, uint64_t value, uint64_t low, uint64_t high) {
  if (value >= low && value <= high) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("`", field, "` = ", value, ", must be from ", low, " to ", high));
}

absl::Status Differs(absl::string_view field, const absl::AlphaNum& theirs,
                     const absl::AlphaNum& ours) {
  return absl::InvalidArgumentError(
      absl::StrCat("`", field, "` = ", theirs, ", must be ", ours, " as on the run's workers"));
}

std::string NameList(const std::vector<std::string>& names) {
  return absl::StrCat("[", absl::StrJoin(names, ", "), "]");
}

absl::Status ReadAggregators(const v1::Hello& hello, absl::string_view own_name,
                             JobDescription& description) {
  description.aggregators.assign(hello.aggregators().begin(), hello.aggregators().end());
  const std::vector<std::string>& names = description.aggregators;
  TALLY_RETURN_IF_ERROR(CheckAtMost("aggregators.size", names.size(), 1, kMaxAggregators));
  absl::flat_hash_set<absl::string_view> unique;
  for (size_t i = 0; i < names.size(); ++i) {
    TALLY_RETURN_IF_ERROR(CheckName(absl::StrCat("aggregators[", i, "]"), names[i]));
    if (!unique.insert(names[i]).second) {
      return absl::InvalidArgumentError(
          absl::StrCat("`aggregators[", i, "]` = \"", names[i], "\", must be unique in the list"));
    }
  }
  TALLY_RETURN_IF_ERROR(
      CheckAtMost("aggregator_index", hello.aggregator_index(), 0, names.size() - 1));
  description.aggregator_index = hello.aggregator_index();
  const std::string& addressed = names[description.aggregator_index];
  if (addressed != own_name) {
    return absl::InvalidArgumentError(
        absl::StrCat("`aggregators[", description.aggregator_index, "]` = \"", addressed,
                     "\", must be the name of the aggregator addressed, \"", own_name, "\""));
  }
  return absl::OkStatus();
}

absl::Status ReadSettings(const v1::JobSettings& settings, JobDescription& description) {
  description.expected_workers = settings.expected_workers();
  TALLY_RETURN_IF_ERROR(
      CheckAtMost("settings.expected_workers", settings.expected_workers(), 1, kMaxRoster));
  description.roster_limit =
      settings.roster_limit() == 0 ? settings.expected_workers() : settings.roster_limit();
  TALLY_RETURN_IF_ERROR(CheckAtMost("settings.roster_limit", description.roster_limit,
                                    settings.expected_workers(), kMaxRoster));
  description.first_round = settings.first_round();
  TALLY_RETURN_IF_ERROR(CheckAtMost("settings.first_round", settings.first_round(), 0, kMaxRound));
  TALLY_RETURN_IF_ERROR(CheckAtMost("settings.snapshot_interval", settings.snapshot_interval(), 0,
                                    kMaxSnapshotInterval));
  description.snapshot_interval =
      settings.snapshot_interval() == 0 ? kDefaultSnapshotInterval : settings.snapshot_interval();
  description.max_late = settings.max_late();
  TALLY_RETURN_IF_ERROR(CheckAtMost("settings.max_late", settings.max_late(), 0, kMaxRoster));
  description.late_ceiling = settings.has_late_ceiling()
                                 ? DecodeDuration(settings.late_ceiling())
                                 : absl::Seconds(kDefaultLateCeilingSeconds);
  if (description.late_ceiling <= absl::ZeroDuration()) {
    return absl::InvalidArgumentError(
        absl::StrCat("`settings.late_ceiling` = ", absl::FormatDuration(description.late_ceiling),
                     ", must be positive"));
  }
  if (settings.has_start_timeout()) {
    const absl::Duration timeout = DecodeDuration(settings.start_timeout());
    if (timeout <= absl::ZeroDuration()) {
      return absl::InvalidArgumentError(absl::StrCat(
          "`settings.start_timeout` = ", absl::FormatDuration(timeout), ", must be positive"));
    }
    description.start_timeout = timeout;
  }
  return absl::OkStatus();
}

absl::Status CheckIntent(v1::Intent intent) {
  switch (intent) {
    case v1::INTENT_START:
    case v1::INTENT_RESUME:
    case v1::INTENT_MEMBER:
    case v1::INTENT_OBSERVER:
    case v1::INTENT_LEAVING:
      return absl::OkStatus();
    default:
      return absl::InvalidArgumentError(
          absl::StrCat("`intent` = ", static_cast<int>(intent), ", must be a specified Intent"));
  }
}

}  // namespace

std::vector<uint32_t> JobDescription::OwnChunks() const {
  std::vector<uint32_t> chunks;
  for (size_t chunk = aggregator_index; chunk < layout.chunks().size();
       chunk += aggregators.size()) {
    chunks.push_back(static_cast<uint32_t>(chunk));
  }
  return chunks;
}

absl::StatusOr<ValidHello> ValidateHello(const v1::Hello& hello,
                                         absl::string_view aggregator_name) {
  if (hello.version() != kProtocolVersion) {
    return absl::InvalidArgumentError(absl::StrCat("`version` = ", hello.version(), ", must be ",
                                                   kProtocolVersion, ", the protocol spoken here"));
  }
  TALLY_RETURN_IF_ERROR(CheckName("job", hello.job()));
  TALLY_ASSIGN_OR_RETURN(MemberId member, DecodeMember(hello.member()));
  TALLY_RETURN_IF_ERROR(CheckIntent(hello.intent()));
  TALLY_ASSIGN_OR_RETURN(Layout layout, DecodeLayout(hello.layout()));

  JobDescription description{.job = hello.job(),
                             .run = hello.run(),
                             .seed = hello.seed(),
                             .layout = std::move(layout),
                             .layout_digest = Digest64(hello.layout().SerializeAsString()),
                             .settings_digest = Digest64(hello.settings().SerializeAsString()),
                             .initial_state_digest = hello.initial_state_digest()};
  TALLY_RETURN_IF_ERROR(ReadAggregators(hello, aggregator_name, description));
  TALLY_RETURN_IF_ERROR(ReadSettings(hello.settings(), description));
  return ValidHello{
      .description = std::move(description), .member = std::move(member), .intent = hello.intent()};
}

absl::Status CheckSameRun(const JobDescription& running, const JobDescription& newcomer) {
  if (newcomer.aggregators != running.aggregators) {
    return Differs("aggregators", NameList(newcomer.aggregators), NameList(running.aggregators));
  }
  if (newcomer.seed != running.seed) return Differs("seed", newcomer.seed, running.seed);
  if (newcomer.layout_digest != running.layout_digest) {
    const auto shape = [](const JobDescription& description) {
      return absl::StrCat(description.layout.num_elements(), " elements in ",
                          description.layout.tensors().size(), " tensors and chunks of ",
                          description.layout.chunk_elements(), " (digest ",
                          absl::Hex(description.layout_digest), ")");
    };
    return Differs("layout", shape(newcomer), shape(running));
  }
  if (newcomer.expected_workers != running.expected_workers) {
    return Differs("settings.expected_workers", newcomer.expected_workers,
                   running.expected_workers);
  }
  if (newcomer.roster_limit != running.roster_limit) {
    return Differs("settings.roster_limit", newcomer.roster_limit, running.roster_limit);
  }
  if (newcomer.start_timeout != running.start_timeout) {
    const auto limit = [](const absl::optional<absl::Duration>& timeout) {
      return timeout.has_value() ? absl::FormatDuration(*timeout) : "unset";
    };
    return Differs("settings.start_timeout", limit(newcomer.start_timeout),
                   limit(running.start_timeout));
  }
  if (newcomer.first_round != running.first_round) {
    return Differs("settings.first_round", newcomer.first_round, running.first_round);
  }
  if (newcomer.snapshot_interval != running.snapshot_interval) {
    return Differs("settings.snapshot_interval", newcomer.snapshot_interval,
                   running.snapshot_interval);
  }
  if (newcomer.max_late != running.max_late) {
    return Differs("settings.max_late", newcomer.max_late, running.max_late);
  }
  if (newcomer.late_ceiling != running.late_ceiling) {
    return Differs("settings.late_ceiling", absl::FormatDuration(newcomer.late_ceiling),
                   absl::FormatDuration(running.late_ceiling));
  }
  if (newcomer.settings_digest != running.settings_digest) {
    return Differs("settings", absl::StrCat("digest ", absl::Hex(newcomer.settings_digest)),
                   absl::StrCat("digest ", absl::Hex(running.settings_digest)));
  }
  return absl::OkStatus();
}

absl::Status CheckSameStart(const JobDescription& running, const JobDescription& starter) {
  if (starter.initial_state_digest == running.initial_state_digest) return absl::OkStatus();
  return Differs("initial_state_digest", absl::Hex(starter.initial_state_digest),
                 absl::Hex(running.initial_state_digest));
}

}  // namespace tally
