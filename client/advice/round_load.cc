#include "client/advice/round_load.h"

#include <algorithm>
#include <cmath>
#include <cstddef>

#include "absl/types/variant.h"
#include "client/advice/measured_rates.h"
#include "codecs/index_set_codec.h"
#include "codecs/limits.h"

namespace tally {
namespace {

// By how much a set of `count` indices drawn at random falls short of the largest one. Its gaps are
// geometric: beside b + 1 bits each has as many zeros as multiples of 2^b fit into it.
double IndexBytesSaved(uint32_t num_elements, uint32_t count) {
  if (count == 0) return 0;
  const double share = static_cast<double>(count) / num_elements;
  const uint32_t parameter = IndexSetParameter(num_elements, count);
  const double goes_on = std::pow(1 - share, std::exp2(parameter));
  const double bits = parameter + 1 + goes_on / (1 - goes_on);
  return static_cast<double>(MaxIndexSetBytes(num_elements, count)) - std::ceil(bits * count / 8);
}

// Elements in the union of so many sets of `count`, each drawn independently.
uint32_t ExpectedUnion(uint32_t num_elements, uint32_t count, uint32_t num_sets) {
  const double left_out = std::pow(1.0 - static_cast<double>(count) / num_elements, num_sets);
  return static_cast<uint32_t>(std::llround(num_elements * (1.0 - left_out)));
}

double WithHeads(double payload_bytes, double head_bytes) {
  const double slices = std::max(1.0, std::ceil(payload_bytes / kSliceBytes));
  return payload_bytes + head_bytes + (slices - 1) * kSliceHeadBytes;
}

// One aggregator's part.
struct Share {
  double up_bytes = 0;
  double down_bytes = 0;
  double core_seconds = 0;
  uint64_t chunks = 0;
};

}  // namespace

double ExpectedContributionBytes(const Exchange& exchange, const Layout& layout, uint32_t chunk) {
  const PayloadSize size = ContributionSize(exchange, layout, chunk);
  const auto bytes = static_cast<double>(size.max_bytes);
  const auto* sparse = absl::get_if<SparseExchange>(&exchange.kind);
  if (sparse == nullptr) return bytes;
  return bytes - IndexBytesSaved(layout.chunks()[chunk].num_elements, sparse->max_values);
}

double ExpectedResultBytes(const Exchange& exchange, const Layout& layout, uint32_t chunk,
                           uint32_t num_participants) {
  const uint32_t num_elements = layout.chunks()[chunk].num_elements;
  if (const auto* sparse = absl::get_if<SparseExchange>(&exchange.kind)) {
    const uint32_t count = ExpectedUnion(num_elements, sparse->max_values, num_participants);
    return ExpectedContributionBytes({SparseExchange{count}, exchange.divisor}, layout, chunk);
  }
  const auto bytes =
      static_cast<double>(ResultSize(exchange, layout, chunk, num_participants).max_bytes);
  const auto* sketch = absl::get_if<SketchExchange>(&exchange.kind);
  if (sketch == nullptr) return bytes;
  return bytes - IndexBytesSaved(num_elements, sketch->num_candidates);
}

RoundLoad LoadOfRound(const Layout& layout, uint32_t num_workers, uint32_t num_aggregators,
                      absl::FunctionRef<std::vector<Exchange>(uint32_t chunk)> exchanges_of) {
  RoundLoad load;
  load.chunks = layout.chunks().size();
  std::vector<Share> shares(num_aggregators);
  for (uint32_t chunk = 0; chunk < load.chunks; ++chunk) {
    Share& share = shares[chunk % num_aggregators];
    ++share.chunks;
    const std::vector<Exchange> exchanges = exchanges_of(chunk);
    load.halves = std::max(load.halves, static_cast<uint32_t>(exchanges.size()));
    for (const Exchange& exchange : exchanges) {
      const double up =
          WithHeads(ExpectedContributionBytes(exchange, layout, chunk), kContributionHeadBytes);
      const double down = WithHeads(ExpectedResultBytes(exchange, layout, chunk, num_workers),
                                    kResultHeadBytes + num_workers / 8.0);
      load.up_bytes += up;
      load.down_bytes += down;
      share.up_bytes += num_workers * up;
      share.down_bytes += num_workers * down;
      const uint32_t num_elements = layout.chunks()[chunk].num_elements;
      share.core_seconds += AggregatorSeconds(exchange, num_elements, num_workers);
    }
  }
  for (const Share& share : shares) {
    load.busiest_up_bytes = std::max(load.busiest_up_bytes, share.up_bytes);
    load.busiest_down_bytes = std::max(load.busiest_down_bytes, share.down_bytes);
    load.busiest_core_seconds = std::max(load.busiest_core_seconds, share.core_seconds);
    load.busiest_chunks = std::max(load.busiest_chunks, share.chunks);
  }
  return load;
}

}  // namespace tally
