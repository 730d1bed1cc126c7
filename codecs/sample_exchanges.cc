#include "codecs/sample_exchanges.h"

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "codecs/limits.h"
#include "kernels/dtype.h"

namespace tally {
namespace {

constexpr DType kDTypes[] = {DType::kFloat32, DType::kFloat16, DType::kBFloat16};

Layout Checked(absl::StatusOr<Layout> layout) {
  TALLY_CHECK(layout.ok(), "layout");
  return *std::move(layout);
}

std::vector<ScaleGranularity> Granularities(const Layout& layout) {
  std::vector<ScaleGranularity> granularities = {{ScaleGranularity::Unit::kTensor},
                                                 {ScaleGranularity::Unit::kModel}};
  for (uint32_t block = 256; block <= layout.chunk_elements(); block += 256) {
    if (layout.chunk_elements() % block != 0) continue;
    granularities.push_back({ScaleGranularity::Unit::kBlock, block});
  }
  return granularities;
}

// From 1 to the chunk's elements, without repeats.
std::vector<uint32_t> Counts(const Layout::Chunk& chunk) {
  std::vector<uint32_t> counts = {1};
  for (const uint32_t count : {(chunk.num_elements + 1) / 2, chunk.num_elements}) {
    if (count > counts.back()) counts.push_back(count);
  }
  return counts;
}

void AppendContiguous(const Layout& layout, size_t chunk, std::vector<Exchange>& exchanges) {
  for (const ScaleGranularity& granularity : Granularities(layout)) {
    for (const ScaleRule rule : {ScaleRule::kRootMeanSquare, ScaleRule::kMeanMagnitude}) {
      for (const bool zero_residual : {false, true}) {
        exchanges.push_back({SignExchange{rule, granularity, zero_residual}});
      }
    }
    exchanges.push_back({SignRelayExchange{granularity}});
  }
  for (const VoteResult result : {VoteResult::kDrawn, VoteResult::kMajority, VoteResult::kCounts}) {
    exchanges.push_back({VoteExchange{result}});
  }
  for (const uint32_t count : Counts(layout.chunks()[chunk])) {
    exchanges.push_back({SparseExchange{count}});
  }
}

void AppendDealt(const Layout& layout, size_t chunk, std::vector<Exchange>& exchanges) {
  const Layout::Chunk& place = layout.chunks()[chunk];
  const auto max_cells =
      static_cast<uint32_t>(std::max<uint64_t>(place.num_elements, kMinSketchCells));
  for (const DType dtype : kDTypes) {
    for (const uint32_t rows : {1, 5, 15}) {
      for (const uint32_t columns : {16u, max_cells / rows / 16 * 16}) {
        for (const uint32_t count : Counts(place)) {
          for (const bool with_estimates : {false, true}) {
            exchanges.push_back({SketchExchange{.hash_seed = columns,
                                                .rows = rows,
                                                .columns = columns,
                                                .dtype = dtype,
                                                .num_candidates = count,
                                                .with_estimates = with_estimates}});
          }
        }
      }
    }
    for (const uint32_t count : Counts(place)) {
      for (const uint64_t digest : {uint64_t{0}, ~uint64_t{0}}) {
        exchanges.push_back({ValuesExchange{count, digest, dtype}});
      }
    }
  }
}

}  // namespace

Layout ContiguousLayout() {
  return Checked(Layout::Create({{"a", 500, Treatment::kCompressed, {{3, 4}}},
                                 {"b", 100, Treatment::kCompressed},
                                 {"c", 10, Treatment::kDense, {{0, 1}}}},
                                512));
}

Layout DealtLayout() {
  // Blocks 0 and 1 are of one stripe, so they go to different groups.
  return Checked(
      Layout::Create({{"a", 700, Treatment::kCompressed, {{63, 65}}}, {"c", 10, Treatment::kDense}},
                     512, DealingOptions{.num_groups = 2, .seed = 1}));
}

std::vector<Exchange> SampleExchanges(const Layout& layout, size_t chunk) {
  std::vector<Exchange> exchanges;
  for (const DType dtype : kDTypes) exchanges.push_back({DenseExchange{dtype}});
  if (layout.chunks()[chunk].dealt) {
    AppendDealt(layout, chunk, exchanges);
  } else if (!layout.chunks()[chunk].dense) {
    AppendContiguous(layout, chunk, exchanges);
  }
  const size_t count = exchanges.size();
  for (size_t i = 0; i < count; ++i) {
    exchanges.push_back({exchanges[i].kind, Divisor::kRoster});
  }
  return exchanges;
}

}  // namespace tally
