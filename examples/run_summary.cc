#include "examples/run_summary.h"

#include <algorithm>
#include <cstddef>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/strings/string_view.h"
#include "base/byte_size.h"
#include "base/status_macros.h"
#include "examples/method_presets.h"

namespace tally {
namespace {

constexpr double kDenseBitsBothWays = 64;
constexpr size_t kCurvePieces = 20;

// The sum of a figure over the reports.
template <typename T>
T Sum(absl::Span<const TrainingReport> reports, T (*figure)(const TrainingReport&)) {
  T sum = 0;
  for (const TrainingReport& report : reports) sum += figure(report);
  return sum;
}

absl::Status CheckSameRun(absl::Span<const TrainingReport> reports) {
  if (reports.empty()) return absl::InvalidArgumentError("a run must have reports");
  const TrainingReport& first = reports[0];
  std::vector<bool> seen(first.workers);
  for (const TrainingReport& report : reports) {
    if (report.optimizer != first.optimizer || report.variant != first.variant ||
        report.workers != first.workers || report.aggregators != first.aggregators ||
        report.rounds != first.rounds || report.parameters != first.parameters ||
        report.training_loss.size() != first.training_loss.size()) {
      return absl::InvalidArgumentError(
          absl::StrCat("the reports of `", first.worker, "` and `", report.worker,
                       "` must be of the same run: they differ in optimizer, variant, "
                       "workers, aggregators, rounds or parameters"));
    }
    if (report.rank >= report.workers || seen[report.rank]) {
      return absl::InvalidArgumentError(absl::StrCat("`rank` = ", report.rank, " of `",
                                                     report.worker, "` must be less than workers (",
                                                     report.workers, ") and its own"));
    }
    seen[report.rank] = true;
    if (report.rank == 0 && report.validation_loss.empty()) {
      return absl::InvalidArgumentError(
          absl::StrCat("`validation_loss` of `", report.worker, "` must not be empty"));
    }
  }
  if (reports.size() == first.workers && first.rounds > 0) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(
      "the run of ", first.optimizer, " has ", reports.size(), " reports of ", first.rounds,
      " rounds, must have ", first.workers, ", one of each worker, of 1 round or more"));
}

absl::Status CheckSameParameters(absl::Span<const TrainingReport> reports) {
  const uint64_t digest = reports[0].parameters_digest;
  if (std::all_of(reports.begin(), reports.end(), [digest](const TrainingReport& report) {
        return report.parameters_digest == digest;
      })) {
    return absl::OkStatus();
  }
  return absl::FailedPreconditionError(absl::StrCat(
      "the workers of the ", reports[0].optimizer, " run ended with different parameters: ",
      absl::StrJoin(reports, ", ", [](std::string* out, const TrainingReport& report) {
        absl::StrAppend(out, report.worker, " ", FormatDigest(report.parameters_digest));
      })));
}

std::vector<LossPoint> MeanTrainingLoss(absl::Span<const TrainingReport> reports) {
  std::vector<LossPoint> mean = reports[0].training_loss;
  for (size_t i = 0; i < mean.size(); ++i) {
    double sum = 0;
    for (const TrainingReport& report : reports) sum += report.training_loss[i].loss;
    mean[i].loss = sum / static_cast<double>(reports.size());
  }
  return mean;
}

// Means over pieces of the curve, each at the last of its rounds.
std::vector<LossPoint> Smooth(absl::Span<const LossPoint> curve) {
  const size_t piece = std::max<size_t>(1, curve.size() / kCurvePieces);
  std::vector<LossPoint> smooth;
  for (size_t begin = 0; begin < curve.size(); begin += piece) {
    const absl::Span<const LossPoint> points = curve.subspan(begin, piece);
    double sum = 0;
    for (const LossPoint& point : points) sum += point.loss;
    smooth.push_back({points.back().round, sum / static_cast<double>(points.size())});
  }
  return smooth;
}

void AddQuality(absl::Span<const TrainingReport> reports, RunSummary& run) {
  for (const TrainingReport& report : reports) {
    const auto rounds = static_cast<double>(report.measured_rounds);
    run.measured_rounds += report.measured_rounds;
    run.mean_cosine += rounds * report.mean_cosine;
    run.mean_relative_error += rounds * report.mean_relative_error;
  }
  if (run.measured_rounds == 0) return;
  run.mean_cosine /= static_cast<double>(run.measured_rounds);
  run.mean_relative_error /= static_cast<double>(run.measured_rounds);
}

// The best run of this one's uncompressed twin, if there is one and this is none itself.
const RunSummary* TwinOf(const RunSummary& run, absl::Span<const RunSummary> runs) {
  const absl::string_view twin = PresetOf(run.optimizer).twin;
  if (twin == run.optimizer) return nullptr;
  const RunSummary* best = nullptr;
  for (const RunSummary& candidate : runs) {
    if (candidate.optimizer == twin &&
        (best == nullptr || candidate.final_validation_loss < best->final_validation_loss)) {
      best = &candidate;
    }
  }
  return best;
}

// How far the run's final validation loss is above its twin's, as a share of that.
double GapOf(const RunSummary& run, const RunSummary& twin) {
  return run.final_validation_loss / twin.final_validation_loss - 1.0;
}

// Of the runs that were measured; empty if none was.
std::string FormatQualities(absl::Span<const RunSummary> runs, size_t label_width) {
  std::string text;
  for (const RunSummary& run : runs) {
    if (run.measured_rounds == 0) continue;
    absl::StrAppendFormat(&text, "%-*s cosine %.2f, relative error %.2f\n", label_width,
                          RunLabel(run), run.mean_cosine, run.mean_relative_error);
  }
  if (text.empty()) return text;
  return "\nThe update against a worker's input, means over the compressed rounds:\n" + text;
}

void AppendBlock(const std::string& title, absl::Span<const LossPoint> curve, std::string* out) {
  absl::StrAppend(out, "\"", title, "\"\n");
  for (const LossPoint& point : curve) {
    absl::StrAppendFormat(out, "%d %.6g\n", point.round, point.loss);
  }
  // Two empty lines end a block.
  *out += "\n\n";
}

}  // namespace

absl::StatusOr<RunSummary> SummarizeRun(absl::Span<const TrainingReport> reports) {
  TALLY_RETURN_IF_ERROR(CheckSameRun(reports));
  TALLY_RETURN_IF_ERROR(CheckSameParameters(reports));
  const TrainingReport& first =
      *std::find_if(reports.begin(), reports.end(),
                    [](const TrainingReport& report) { return report.rank == 0; });
  const auto workers = static_cast<double>(reports.size());
  const double worker_rounds = workers * static_cast<double>(first.rounds);
  RunSummary run;
  run.optimizer = first.optimizer;
  run.variant = first.variant;
  run.workers = first.workers;
  run.aggregators = first.aggregators;
  run.rounds = first.rounds;
  run.parameters = first.parameters;
  run.initial_validation_loss = first.validation_loss.front().loss;
  run.final_validation_loss = first.validation_loss.back().loss;
  run.bytes_up_per_round =
      static_cast<double>(
          Sum<uint64_t>(reports, [](const TrainingReport& report) { return report.bytes_up; })) /
      worker_rounds;
  run.bytes_down_per_round =
      static_cast<double>(
          Sum<uint64_t>(reports, [](const TrainingReport& report) { return report.bytes_down; })) /
      worker_rounds;
  run.bits_per_parameter_up = Sum<double>(reports, BitsPerParameterUp) / workers;
  run.bits_per_parameter_down = Sum<double>(reports, BitsPerParameterDown) / workers;
  run.snapshot_bits_per_parameter =
      8.0 *
      static_cast<double>(Sum<uint64_t>(
          reports, [](const TrainingReport& report) { return report.other_bytes_down; })) /
      (worker_rounds * static_cast<double>(first.parameters));
  run.rounds_per_second = RoundsPerSecond(first);
  AddQuality(reports, run);
  run.parameters_digest = first.parameters_digest;
  run.training_loss = MeanTrainingLoss(reports);
  run.validation_loss = first.validation_loss;
  return run;
}

std::string RunLabel(const RunSummary& run) {
  return run.variant.empty() ? run.optimizer : absl::StrCat(run.optimizer, ":", run.variant);
}

absl::Status CompareLosses(absl::Span<const RunSummary> runs) {
  for (const RunSummary& run : runs) {
    const absl::optional<double> allowed = PresetOf(run.optimizer).allowed_gap;
    const RunSummary* twin = TwinOf(run, runs);
    if (!run.variant.empty() || twin == nullptr || !allowed.has_value() ||
        GapOf(run, *twin) <= *allowed) {
      continue;
    }
    return absl::FailedPreconditionError(absl::StrFormat(
        "the final validation loss of %s, %.4f, is %.1f %% above that of %s, %.4f; at most %.0f %% "
        "are allowed",
        RunLabel(run), run.final_validation_loss, 100 * GapOf(run, *twin), RunLabel(*twin),
        twin->final_validation_loss, 100 * *allowed));
  }
  return absl::OkStatus();
}

std::string FormatSummary(absl::Span<const RunSummary> runs) {
  const auto format_run = [](std::string* out, const RunSummary& run) {
    absl::StrAppendFormat(out,
                          "    {\n"
                          "      \"optimizer\": %s,\n"
                          "      \"variant\": %s,\n"
                          "      \"workers\": %d,\n"
                          "      \"aggregators\": %d,\n"
                          "      \"rounds\": %d,\n"
                          "      \"parameters\": %d,\n"
                          "      \"initial_validation_loss\": %.9g,\n"
                          "      \"final_validation_loss\": %.9g,\n"
                          "      \"bytes_up_per_round\": %.9g,\n"
                          "      \"bytes_down_per_round\": %.9g,\n"
                          "      \"bits_per_parameter_up\": %.6g,\n"
                          "      \"bits_per_parameter_down\": %.6g,\n"
                          "      \"snapshot_bits_per_parameter\": %.6g,\n"
                          "      \"rounds_per_second\": %.6g,\n"
                          "      \"measured_rounds\": %d,\n"
                          "      \"mean_cosine\": %.6g,\n"
                          "      \"mean_relative_error\": %.6g,\n"
                          "      \"parameters_digest\": \"%s\"\n"
                          "    }",
                          JsonString(run.optimizer), JsonString(run.variant), run.workers,
                          run.aggregators, run.rounds, run.parameters, run.initial_validation_loss,
                          run.final_validation_loss, run.bytes_up_per_round,
                          run.bytes_down_per_round, run.bits_per_parameter_up,
                          run.bits_per_parameter_down, run.snapshot_bits_per_parameter,
                          run.rounds_per_second, run.measured_rounds, run.mean_cosine,
                          run.mean_relative_error, FormatDigest(run.parameters_digest));
  };
  return absl::StrCat("{\n  \"runs\": [\n", absl::StrJoin(runs, ",\n", format_run), "\n  ]\n}\n");
}

std::string FormatTable(absl::Span<const RunSummary> runs) {
  if (runs.empty()) return "";
  std::string table = absl::StrFormat(
      "%d parameters, %d rounds, %d workers, %d aggregators; validation loss at the start %.4f\n\n",
      runs[0].parameters, runs[0].rounds, runs[0].workers, runs[0].aggregators,
      runs[0].initial_validation_loss);
  size_t label_width = 17;
  for (const RunSummary& run : runs) label_width = std::max(label_width, RunLabel(run).size());
  const auto add_row = [&table, label_width](const std::vector<std::string>& cells) {
    absl::StrAppendFormat(&table, "%-*s", label_width, cells[0]);
    for (size_t i = 1; i < cells.size(); ++i) absl::StrAppendFormat(&table, "%11s", cells[i]);
    table += "\n";
  };
  add_row({"", "validation", "against", "bits/param", "bits/param", "reduction", "bytes up",
           "bytes down", "rounds"});
  add_row({"method", "loss", "its twin", "up", "down", "to fp32", "per round", "per round",
           "per second"});
  for (const RunSummary& run : runs) {
    const RunSummary* twin = TwinOf(run, runs);
    const double bits = run.bits_per_parameter_up + run.bits_per_parameter_down;
    const auto bytes = [](double value) { return FormatByteSize(static_cast<uint64_t>(value)); };
    add_row({RunLabel(run), absl::StrFormat("%.4f", run.final_validation_loss),
             twin != nullptr ? absl::StrFormat("%+.1f %%", 100 * GapOf(run, *twin)) : "-",
             absl::StrFormat("%.3f", run.bits_per_parameter_up),
             absl::StrFormat("%.3f", run.bits_per_parameter_down),
             bits > 0 ? absl::StrFormat("%.1f x", kDenseBitsBothWays / bits) : "-",
             bytes(run.bytes_up_per_round), bytes(run.bytes_down_per_round),
             absl::StrFormat("%.2f", run.rounds_per_second)});
  }
  table += FormatQualities(runs, label_width);
  table += "\nDigests of the final parameters, equal on all workers:\n";
  for (const RunSummary& run : runs) {
    absl::StrAppendFormat(&table, "%-*s %s\n", label_width, RunLabel(run),
                          FormatDigest(run.parameters_digest));
  }
  return table;
}

std::string FormatCurves(absl::Span<const RunSummary> runs) {
  std::string curves;
  for (const RunSummary& run : runs) {
    AppendBlock(absl::StrCat(RunLabel(run), ", training"), Smooth(run.training_loss), &curves);
    AppendBlock(absl::StrCat(RunLabel(run), ", validation"), run.validation_loss, &curves);
  }
  return curves;
}

}  // namespace tally
