#include "examples/training_report.h"

#include <google/protobuf/struct.pb.h>
#include <google/protobuf/util/json_util.h>

#include <cstdio>
#include <fstream>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "base/status_macros.h"

namespace tally {
namespace {

using JsonObject = google::protobuf::Struct;
using JsonValue = google::protobuf::Value;

double BitsPerParameter(const TrainingReport& report, uint64_t num_bytes) {
  if (report.compressed_rounds == 0 || report.parameters == 0) return 0;
  return 8.0 * static_cast<double>(num_bytes) / static_cast<double>(report.compressed_rounds) /
         static_cast<double>(report.parameters);
}

std::string FormatCurve(const std::vector<LossPoint>& curve) {
  return absl::StrCat("[",
                      absl::StrJoin(curve, ", ",
                                    [](std::string* out, const LossPoint& point) {
                                      absl::StrAppendFormat(out, "[%d, %.9g]", point.round,
                                                            point.loss);
                                    }),
                      "]");
}

absl::Status KeyError(absl::string_view key, absl::string_view rule) {
  return absl::InvalidArgumentError(absl::StrCat("`", key, "` must be ", rule));
}

absl::Status Read(const JsonObject& object, const std::string& key, std::string* out) {
  const auto found = object.fields().find(key);
  if (found == object.fields().end() || !found->second.has_string_value()) {
    return KeyError(key, "a string");
  }
  *out = found->second.string_value();
  return absl::OkStatus();
}

absl::Status Read(const JsonObject& object, const std::string& key, double* out) {
  const auto found = object.fields().find(key);
  if (found == object.fields().end() || !found->second.has_number_value()) {
    return KeyError(key, "a number");
  }
  *out = found->second.number_value();
  return absl::OkStatus();
}

// A count that a double, which is all that JSON has, holds exactly.
absl::StatusOr<uint64_t> ToCount(const std::string& key, const JsonValue& value) {
  constexpr double kTooLarge = 9007199254740992.0;  // 2^53
  const double number = value.number_value();
  const bool is_count = value.has_number_value() && number >= 0 && number < kTooLarge &&
                        number == static_cast<double>(static_cast<uint64_t>(number));
  if (!is_count) return KeyError(key, "a whole number from 0 to 2^53 - 1");
  return static_cast<uint64_t>(number);
}

absl::Status Read(const JsonObject& object, const std::string& key, uint64_t* out) {
  const auto found = object.fields().find(key);
  if (found == object.fields().end()) return KeyError(key, "a number");
  TALLY_ASSIGN_OR_RETURN(*out, ToCount(key, found->second));
  return absl::OkStatus();
}

absl::Status Read(const JsonObject& object, const std::string& key, std::vector<LossPoint>* out) {
  const auto found = object.fields().find(key);
  if (found == object.fields().end() || !found->second.has_list_value()) {
    return KeyError(key, "a list");
  }
  for (const JsonValue& entry : found->second.list_value().values()) {
    const auto& pair = entry.list_value().values();
    if (pair.size() != 2 || !pair[1].has_number_value()) {
      return KeyError(key, "a list of [round, loss]");
    }
    TALLY_ASSIGN_OR_RETURN(const uint64_t round, ToCount(key, pair[0]));
    out->push_back({round, pair[1].number_value()});
  }
  return absl::OkStatus();
}

absl::Status ReadDigest(const JsonObject& object, const std::string& key, uint64_t* out) {
  std::string text;
  TALLY_RETURN_IF_ERROR(Read(object, key, &text));
  if (text.size() != 16 || !absl::SimpleHexAtoi(text, out)) {
    return KeyError(key, "16 hexadecimal digits");
  }
  return absl::OkStatus();
}

}  // namespace

double BitsPerParameterUp(const TrainingReport& report) {
  return BitsPerParameter(report, report.compressed_bytes_up);
}

double BitsPerParameterDown(const TrainingReport& report) {
  return BitsPerParameter(report, report.compressed_bytes_down);
}

double RoundsPerSecond(const TrainingReport& report) {
  return report.seconds > 0
             ? static_cast<double>(report.rounds - report.joined_after) / report.seconds
             : 0;
}

std::string FormatDigest(uint64_t digest) { return absl::StrFormat("%016x", digest); }

std::string JsonString(absl::string_view text) {
  std::string json = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') {
      absl::StrAppend(&json, "\\", absl::string_view(&c, 1));
    } else if (static_cast<unsigned char>(c) < 0x20) {
      absl::StrAppendFormat(&json, "\\u%04x", c);
    } else {
      json.push_back(c);
    }
  }
  json.push_back('"');
  return json;
}

std::string FormatReport(const TrainingReport& report) {
  std::vector<std::string> lines;
  const auto add = [&lines](absl::string_view key, const std::string& value) {
    lines.push_back(absl::StrCat("  \"", key, "\": ", value));
  };
  const auto count = [](uint64_t value) { return absl::StrCat(value); };
  const auto number = [](double value) { return absl::StrFormat("%.9g", value); };
  add("optimizer", JsonString(report.optimizer));
  add("variant", JsonString(report.variant));
  add("worker", JsonString(report.worker));
  add("rank", count(report.rank));
  add("workers", count(report.workers));
  add("aggregators", count(report.aggregators));
  add("rounds", count(report.rounds));
  add("parameters", count(report.parameters));
  if (!report.validation_loss.empty()) {
    add("initial_validation_loss", number(report.validation_loss.front().loss));
    add("final_validation_loss", number(report.validation_loss.back().loss));
  }
  add("bytes_up", count(report.bytes_up));
  add("bytes_down", count(report.bytes_down));
  add("other_bytes_down", count(report.other_bytes_down));
  add("compressed_rounds", count(report.compressed_rounds));
  add("compressed_bytes_up", count(report.compressed_bytes_up));
  add("compressed_bytes_down", count(report.compressed_bytes_down));
  add("bits_per_parameter_up", number(BitsPerParameterUp(report)));
  add("bits_per_parameter_down", number(BitsPerParameterDown(report)));
  add("missed_contributions", count(report.missed_contributions));
  add("joined_after", count(report.joined_after));
  add("handed_over_norm", number(report.handed_over_norm));
  add("discarded_norm", number(report.discarded_norm));
  add("longest_round_seconds", number(report.longest_round_seconds));
  add("measured_rounds", count(report.measured_rounds));
  add("mean_cosine", number(report.mean_cosine));
  add("mean_relative_error", number(report.mean_relative_error));
  add("seconds", number(report.seconds));
  add("rounds_per_second", number(RoundsPerSecond(report)));
  add("parameters_digest", JsonString(FormatDigest(report.parameters_digest)));
  add("validation_loss", FormatCurve(report.validation_loss));
  add("training_loss", FormatCurve(report.training_loss));
  return absl::StrCat("{\n", absl::StrJoin(lines, ",\n"), "\n}\n");
}

absl::StatusOr<TrainingReport> ParseReport(absl::string_view json) {
  JsonObject object;
  const auto parsed = google::protobuf::util::JsonStringToMessage(
      google::protobuf::StringPiece(json.data(), json.size()), &object);
  if (!parsed.ok()) {
    return absl::InvalidArgumentError(absl::StrCat("must be a JSON object: ", parsed.ToString()));
  }
  TrainingReport report;
  TALLY_RETURN_IF_ERROR(Read(object, "optimizer", &report.optimizer));
  TALLY_RETURN_IF_ERROR(Read(object, "variant", &report.variant));
  TALLY_RETURN_IF_ERROR(Read(object, "worker", &report.worker));
  TALLY_RETURN_IF_ERROR(Read(object, "rank", &report.rank));
  TALLY_RETURN_IF_ERROR(Read(object, "workers", &report.workers));
  TALLY_RETURN_IF_ERROR(Read(object, "aggregators", &report.aggregators));
  TALLY_RETURN_IF_ERROR(Read(object, "rounds", &report.rounds));
  TALLY_RETURN_IF_ERROR(Read(object, "parameters", &report.parameters));
  TALLY_RETURN_IF_ERROR(Read(object, "bytes_up", &report.bytes_up));
  TALLY_RETURN_IF_ERROR(Read(object, "bytes_down", &report.bytes_down));
  TALLY_RETURN_IF_ERROR(Read(object, "other_bytes_down", &report.other_bytes_down));
  TALLY_RETURN_IF_ERROR(Read(object, "compressed_rounds", &report.compressed_rounds));
  TALLY_RETURN_IF_ERROR(Read(object, "compressed_bytes_up", &report.compressed_bytes_up));
  TALLY_RETURN_IF_ERROR(Read(object, "compressed_bytes_down", &report.compressed_bytes_down));
  TALLY_RETURN_IF_ERROR(Read(object, "missed_contributions", &report.missed_contributions));
  TALLY_RETURN_IF_ERROR(Read(object, "joined_after", &report.joined_after));
  TALLY_RETURN_IF_ERROR(Read(object, "handed_over_norm", &report.handed_over_norm));
  TALLY_RETURN_IF_ERROR(Read(object, "discarded_norm", &report.discarded_norm));
  TALLY_RETURN_IF_ERROR(Read(object, "longest_round_seconds", &report.longest_round_seconds));
  TALLY_RETURN_IF_ERROR(Read(object, "measured_rounds", &report.measured_rounds));
  TALLY_RETURN_IF_ERROR(Read(object, "mean_cosine", &report.mean_cosine));
  TALLY_RETURN_IF_ERROR(Read(object, "mean_relative_error", &report.mean_relative_error));
  TALLY_RETURN_IF_ERROR(Read(object, "seconds", &report.seconds));
  TALLY_RETURN_IF_ERROR(ReadDigest(object, "parameters_digest", &report.parameters_digest));
  TALLY_RETURN_IF_ERROR(Read(object, "validation_loss", &report.validation_loss));
  TALLY_RETURN_IF_ERROR(Read(object, "training_loss", &report.training_loss));
  return report;
}

absl::Status WriteTextFile(const std::string& path, absl::string_view text) {
  std::ofstream file(path, std::ios::binary);
  file << text;
  file.close();
  if (!file) {
    return absl::UnavailableError(absl::StrCat("file ", path, " cannot be written"));
  }
  return absl::OkStatus();
}

absl::Status ReplaceTextFile(const std::string& path, absl::string_view text) {
  const std::string temporary = path + ".tmp";
  TALLY_RETURN_IF_ERROR(WriteTextFile(temporary, text));
  if (std::rename(temporary.c_str(), path.c_str()) != 0) {
    return absl::UnavailableError(absl::StrCat("file ", path, " cannot be replaced"));
  }
  return absl::OkStatus();
}

}  // namespace tally
