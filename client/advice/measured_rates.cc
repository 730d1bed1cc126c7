#include "client/advice/measured_rates.h"

#include "absl/types/variant.h"

namespace tally {
namespace {

// Nanoseconds of one core.
struct Rates {
  double element = 0;  // of the result
  double value = 0;    // of each contribution
};

constexpr Rates kDense = {.value = 0.34};
constexpr Rates kSign = {.element = 0.5, .value = 0.08};
constexpr Rates kVote = {.element = 0.9, .value = 0.02};
constexpr Rates kSketch = {.element = 7.5, .value = 0.5};
constexpr Rates kSparse = {.element = 2.6, .value = 10};

double Seconds(Rates rates, double num_elements, double num_values) {
  return (rates.element * num_elements + rates.value * num_values) * 1e-9;
}

struct SecondsOf {
  double num_elements;
  double num_workers;

  double operator()(const DenseExchange&) const {
    return Seconds(kDense, num_elements, num_workers * num_elements);
  }
  double operator()(const SignExchange&) const {
    return Seconds(kSign, num_elements, num_workers * num_elements);
  }
  double operator()(const SignRelayExchange&) const { return 0; }  // nothing is computed
  double operator()(const VoteExchange&) const {
    return Seconds(kVote, num_elements, num_workers * num_elements);
  }
  double operator()(const SketchExchange& sketch) const {
    return Seconds(kSketch, num_elements, num_workers * sketch.rows * sketch.columns);
  }
  double operator()(const ValuesExchange& values) const {
    return Seconds(kDense, num_elements, num_workers * values.num_values);
  }
  double operator()(const SparseExchange& sparse) const {
    return Seconds(kSparse, num_elements, num_workers * sparse.max_values);
  }
};

}  // namespace

double AggregatorSeconds(const Exchange& exchange, uint32_t num_elements, uint32_t num_workers) {
  return absl::visit(SecondsOf{static_cast<double>(num_elements), static_cast<double>(num_workers)},
                     exchange.kind);
}

}  // namespace tally
