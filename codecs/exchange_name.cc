// Exchanges in words.
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "codecs/exchange.h"

namespace tally {
namespace {

std::string GranularityName(const ScaleGranularity& granularity) {
  switch (granularity.unit) {
    case ScaleGranularity::Unit::kBlock:
      return absl::StrCat("block ", granularity.block_elements);
    case ScaleGranularity::Unit::kTensor:
      return "per tensor";
    case ScaleGranularity::Unit::kModel:
      break;
  }
  return "whole model";
}

absl::string_view VoteResultName(VoteResult result) {
  switch (result) {
    case VoteResult::kDrawn:
      return "drawn";
    case VoteResult::kMajority:
      return "majority";
    case VoteResult::kCounts:
      break;
  }
  return "counts";
}

// The name of a kind, without the closing bracket.
struct KindName {
  std::string operator()(const DenseExchange& dense) const {
    return absl::StrCat("dense(", DTypeName(dense.dtype));
  }
  std::string operator()(const SignExchange& sign) const {
    return absl::StrCat(
        "sign(", sign.scale_rule == ScaleRule::kRootMeanSquare ? "RMS" : "mean magnitude", ", ",
        GranularityName(sign.granularity), sign.zero_residual ? ", residual zeroed" : "");
  }
  std::string operator()(const SignRelayExchange& relay) const {
    return absl::StrCat("sign_relay(", GranularityName(relay.granularity));
  }
  std::string operator()(const VoteExchange& vote) const {
    return absl::StrCat("vote(", VoteResultName(vote.result));
  }
  std::string operator()(const SketchExchange& sketch) const {
    return absl::StrCat("sketch(", sketch.rows, "x", sketch.columns, " ", DTypeName(sketch.dtype),
                        ", ", sketch.num_candidates,
                        sketch.with_estimates ? " estimates" : " candidates", ", seed 0x",
                        absl::Hex(sketch.hash_seed));
  }
  std::string operator()(const ValuesExchange& values) const {
    return absl::StrCat("values(", values.num_values, " ", DTypeName(values.dtype), ", of 0x",
                        absl::Hex(values.candidates_digest));
  }
  std::string operator()(const SparseExchange& sparse) const {
    return absl::StrCat("sparse(at most ", sparse.max_values);
  }
};

}  // namespace

std::string ExchangeName(const Exchange& exchange) {
  return absl::StrCat(absl::visit(KindName(), exchange.kind),
                      exchange.divisor == Divisor::kRoster ? ", over roster)" : ")");
}

}  // namespace tally
