#include "client/optimizers/quality_metrics.h"

#include <cmath>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/string_view.h"

namespace tally {
namespace {

std::string Label(absl::string_view name, absl::string_view value) {
  return absl::StrCat(name, "=\"",
                      absl::StrReplaceAll(value, {{"\\", "\\\\"}, {"\"", "\\\""}, {"\n", "\\n"}}),
                      "\"");
}

std::string Value(double value) {
  if (std::isnan(value)) return "NaN";
  if (std::isinf(value)) return value > 0 ? "+Inf" : "-Inf";
  return absl::StrFormat("%.9g", value);
}

}  // namespace

std::string FormatQualityMetrics(const QualityLabels& labels, const RoundQuality& quality) {
  const std::string label_set =
      absl::StrCat("{", Label("job", labels.job), ",", Label("worker", labels.worker), ",",
                   Label("method", labels.method), "} ");
  std::string text;
  const auto add = [&](absl::string_view name, absl::string_view help, const std::string& value) {
    absl::StrAppend(&text, "# HELP ", name, " ", help, "\n# TYPE ", name, " gauge\n", name,
                    label_set, value, "\n");
  };
  add("tally_round_step", "Step that was measured last, counted from 1.",
      absl::StrCat(quality.step));
  add("tally_round_elements", "Compressed elements that were measured.",
      absl::StrCat(quality.num_elements));
  add("tally_round_input_norm", "Norm (2) of what this worker put into the round.",
      Value(quality.input_norm));
  add("tally_round_update_norm", "Norm (2) of the update that came out of it.",
      Value(quality.update_norm));
  add("tally_round_cosine", "Cosine between this worker's input and the update.",
      Value(quality.cosine));
  add("tally_round_relative_error", "Norm of input minus update, by the norm of the input.",
      Value(quality.relative_error));
  add("tally_round_residual_norm", "Norm (2) of what this worker keeps for later rounds.",
      Value(quality.residual_norm));
  if (!quality.sketch.has_value()) return text;
  const SketchQuality& sketch = *quality.sketch;
  add("tally_sketch_energy_share", "Share of the input's squared norm on the updated elements.",
      Value(sketch.energy_share));
  add("tally_sketch_candidates", "Candidates that the sketches proposed.",
      absl::StrCat(sketch.num_candidates));
  add("tally_sketch_chosen", "Candidates that were updated.", absl::StrCat(sketch.num_chosen));
  add("tally_sketch_error_bound", "Bound on the standard deviation of one row's estimate.",
      Value(sketch.error_bound));
  add("tally_sketch_smallest_chosen", "Smallest magnitude of an updated element.",
      Value(sketch.smallest_chosen));
  return text;
}

std::string QualityLine(const RoundQuality& quality) {
  std::string line =
      absl::StrFormat("update against input: cosine %.2f, relative error %.2f; residual norm %.3g",
                      quality.cosine, quality.relative_error, quality.residual_norm);
  if (!quality.sketch.has_value()) return line;
  const SketchQuality& sketch = *quality.sketch;
  absl::StrAppendFormat(&line,
                        "; %.0f %% of the energy in %d of %d candidates, error bound %.2g, "
                        "smallest chosen %.2g",
                        100 * sketch.energy_share, sketch.num_chosen, sketch.num_candidates,
                        sketch.error_bound, sketch.smallest_chosen);
  return line;
}

}  // namespace tally
