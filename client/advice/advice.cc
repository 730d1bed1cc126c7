#include "client/advice/advice.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/string_view.h"
#include "base/status_macros.h"
#include "client/advice/method_plan.h"
#include "client/advice/round_load.h"
#include "client/optimizers/create_optimizer.h"
#include "client/optimizers/options_warnings.h"
#include "client/optimizers/sketch_options.h"
#include "codecs/layout.h"
#include "kernels/dtype.h"

namespace tally {
namespace {

uint64_t NumDense(const AdviceOptions& options) {
  const double dense = std::round(options.dense_share * static_cast<double>(options.parameters));
  return std::min(static_cast<uint64_t>(dense), options.parameters - 1);
}

std::vector<Tensor> TensorsOf(const AdviceOptions& options) {
  const uint64_t num_dense = NumDense(options);
  std::vector<Tensor> tensors = {
      {.name = "compressed", .num_elements = options.parameters - num_dense}};
  if (num_dense > 0) {
    tensors.push_back({.name = "dense", .num_elements = num_dense, .treatment = Treatment::kDense});
  }
  return tensors;
}

// One method and how it is set.
struct Variant {
  absl::string_view method;
  OptimizerOptions optimizer;
};

// Returns INVALID_ARGUMENT if a size is beyond what a sketch may have.
absl::Status SizeSketch(const AdviceOptions& options, SketchOptions& sketch) {
  const auto compressed = static_cast<double>(options.parameters - NumDense(options));
  const auto size = [&](absl::string_view field, double share, uint32_t& value) -> absl::Status {
    const double wanted = std::ceil(share * compressed);
    if (wanted > std::numeric_limits<uint32_t>::max()) {
      return absl::InvalidArgumentError(
          absl::StrCat("`", field, "` = ", wanted, ", must be below 2^32"));
    }
    value = static_cast<uint32_t>(wanted);
    return absl::OkStatus();
  };
  TALLY_RETURN_IF_ERROR(size("sketch.num_updated", options.sketch_share, sketch.num_updated));
  return size("sketch.columns", options.sketch_columns_share, sketch.columns);
}

// The layout of a method's run.
absl::StatusOr<Layout> LayoutFor(const AdviceOptions& options, const Variant& variant) {
  absl::optional<DealingOptions> dealing;
  if (Sketches(variant.method)) {
    dealing = DealingOptions{.num_groups = NumSketchGroups(variant.optimizer.sketch.columns,
                                                           options.parameters - NumDense(options))};
  }
  return Layout::Create(TensorsOf(options), options.chunk_elements, dealing);
}

RoundLoad LoadOf(const AdviceOptions& options, const Variant& variant, const Layout& layout,
                 bool compressed) {
  const std::vector<Exchange> dense = {Exchange{DenseExchange{variant.optimizer.dtype}}};
  return LoadOfRound(layout, options.workers, options.aggregators, [&](uint32_t chunk) {
    if (!compressed || layout.chunks()[chunk].dense) return dense;
    return CompressedExchanges(variant.method, variant.optimizer, layout, chunk);
  });
}

absl::Status FillCosts(const AdviceOptions& options, const Variant& variant, const MethodPlan& plan,
                       AdviceRow& row) {
  TALLY_ASSIGN_OR_RETURN(const Layout layout, LayoutFor(options, variant));
  if (Sketches(variant.method)) {
    TALLY_RETURN_IF_ERROR(ValidateSketchOptions(variant.optimizer.sketch, layout));
  }
  row.warning = absl::StrJoin(
      OptionsWarnings(variant.method, variant.optimizer, layout, options.workers), "; ");
  for (const PlannedPhase& phase : plan.phases) {
    // Not a Duration a parameter: those come in quarters of a nanosecond.
    const double nanoseconds =
        phase.compressed ? plan.compressed_nanoseconds : plan.dense_nanoseconds;
    const absl::Duration worker =
        absl::Nanoseconds(nanoseconds * static_cast<double>(options.parameters));
    row.cost = CostOfRound(options, LoadOf(options, variant, layout, phase.compressed), worker,
                           phase.exchanges_per_round);
    const double share = static_cast<double>(phase.rounds) / static_cast<double>(options.rounds);
    row.mean_up_bytes += share * row.cost.up_bytes;
    row.mean_down_bytes += share * row.cost.down_bytes;
    row.mean_round += share * row.cost.round;
  }
  return absl::OkStatus();
}

// A row without gains. What refuses its options becomes its warning.
absl::StatusOr<AdviceRow> RowOf(const AdviceOptions& options, Variant variant) {
  AdviceRow row = {.method = std::string(variant.method)};
  absl::Status refusal;
  if (Sketches(variant.method)) refusal = SizeSketch(options, variant.optimizer.sketch);
  TALLY_ASSIGN_OR_RETURN(const MethodPlan plan,
                         PlanOf(variant.method, variant.optimizer, options.rounds));
  if (plan.compresses()) row.verdict = AdviceVerdict::kSlower;  // until it is compared
  if (refusal.ok()) {
    row.settings = plan.settings;
    refusal = FillCosts(options, variant, plan, row);
  }
  if (!refusal.ok()) row.warning = std::string(refusal.message());
  return row;
}

std::vector<Variant> VariantsOf(const OptimizerOptions& optimizer) {
  std::vector<Variant> variants;
  for (const absl::string_view name : OptimizerNames()) {
    variants.push_back({name, optimizer});
    Variant other = variants.back();
    if (name == "dense_adam" && optimizer.dtype == DType::kFloat32) {
      other.optimizer.dtype = DType::kBFloat16;
    } else if (name == "birder" && !optimizer.vote_counts) {
      other.optimizer.vote_counts = true;
    } else if (name == "cd_adam" && optimizer.compressor == CdAdamCompressor::kSign) {
      other.optimizer.compressor = CdAdamCompressor::kTopk;
    } else {
      continue;
    }
    variants.push_back(std::move(other));
  }
  return variants;
}

// The first of the candidates for which `time_of` is shortest.
template <typename Candidates, typename TimeOf>
size_t Shortest(const Candidates& candidates, TimeOf time_of) {
  return static_cast<size_t>(
      std::min_element(candidates.begin(), candidates.end(),
                       [&](const auto& a, const auto& b) { return time_of(a) < time_of(b); }) -
      candidates.begin());
}

AdviceVerdict VerdictOf(const AdviceRow& row) {
  if (row.verdict == AdviceVerdict::kUncompressed) return row.verdict;
  if (!row.warning.empty()) return AdviceVerdict::kUnsuitable;
  if (row.gain >= kWorthwhileGain) return AdviceVerdict::kFaster;
  return row.gain > 1 / kWorthwhileGain ? AdviceVerdict::kNoGain : AdviceVerdict::kSlower;
}

// Fills in what depends on all rows.
void Compare(Advice& advice) {
  const auto unless = [](bool left_out, absl::Duration time) {
    return left_out ? absl::InfiniteDuration() : time;
  };
  advice.fastest_ring = Shortest(advice.rings, [](const RingCost& ring) { return ring.round; });
  advice.fastest_dense = Shortest(advice.rows, [&](const AdviceRow& row) {
    return unless(row.verdict != AdviceVerdict::kUncompressed, row.mean_round);
  });
  const absl::Duration dense = advice.rows[advice.fastest_dense].mean_round;
  const absl::Duration ring = advice.rings[advice.fastest_ring].round;
  for (AdviceRow& row : advice.rows) {
    if (row.mean_round > absl::ZeroDuration()) {
      row.gain = absl::FDivDuration(dense, row.mean_round);
      row.ring_gain = absl::FDivDuration(ring, row.mean_round);
    }
    row.verdict = VerdictOf(row);
  }
  advice.fastest = Shortest(advice.rows, [&](const AdviceRow& row) {
    return unless(
        row.verdict == AdviceVerdict::kUncompressed || row.verdict == AdviceVerdict::kUnsuitable,
        row.mean_round);
  });
  const AdviceRow& fastest = advice.rows[advice.fastest];
  if (fastest.verdict == AdviceVerdict::kUncompressed ||
      fastest.verdict == AdviceVerdict::kUnsuitable) {
    advice.fastest = advice.fastest_dense;
  }
  if (fastest.verdict != AdviceVerdict::kFaster) return;
  advice.recommendation = fastest.ring_gain >= kWorthwhileGain
                              ? Recommendation::kCompress
                              : Recommendation::kCompressUnlessRing;
}

}  // namespace

absl::StatusOr<Advice> Advise(const AdviceOptions& options) {
  Advice advice;
  TALLY_ASSIGN_OR_RETURN(advice.options, CompleteAdviceOptions(options));
  // What no method can have is an error; what one method cannot take becomes its row's warning.
  TALLY_RETURN_IF_ERROR(
      Layout::Create(TensorsOf(advice.options), advice.options.chunk_elements).status());
  for (Variant& variant : VariantsOf(options.optimizer)) {
    TALLY_ASSIGN_OR_RETURN(AdviceRow row, RowOf(advice.options, std::move(variant)));
    advice.rows.push_back(std::move(row));
  }
  const absl::Duration worker = advice.rows.front().cost.worker;  // of dense_adam
  for (const DType dtype : {DType::kFloat32, DType::kBFloat16}) {
    advice.rings.push_back(CostOfRing(advice.options, dtype, worker));
  }
  Compare(advice);
  return advice;
}

}  // namespace tally
