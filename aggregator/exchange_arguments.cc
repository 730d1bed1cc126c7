#include "aggregator/exchange_arguments.h"

#include <algorithm>

#include "codecs/draw_key.h"
#include "kernels/live_mask.h"

namespace tally {

DrawStream ResultDraws(const JobDescription& description, uint32_t chunk, uint64_t round) {
  return {.key = DrawKey(description.seed, DrawRole::kResult, ""),
          .round = round,
          .first_element = description.layout.chunks()[chunk].offset};
}

SketchShape ShapeOf(const SketchExchange& sketch, uint32_t chunk) {
  return {
      .rows = sketch.rows, .columns = sketch.columns, .key = SketchKey(sketch.hash_seed, chunk)};
}

uint32_t NumCandidates(const SketchExchange& sketch, const Layout& layout, uint32_t chunk) {
  const uint64_t num_live = CountLive(layout.live(chunk), 0, layout.chunks()[chunk].num_elements);
  return static_cast<uint32_t>(std::min<uint64_t>(sketch.num_candidates, num_live));
}

}  // namespace tally
