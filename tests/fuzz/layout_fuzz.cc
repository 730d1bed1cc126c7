// Input: a serialized v1::Layout.
#include <algorithm>
#include <string>
#include <vector>

#include "base/check.h"
#include "codecs/dealing.h"
#include "codecs/exchange.h"
#include "codecs/layout.h"
#include "codecs/layout_codec.h"
#include "codecs/limits.h"
#include "google/protobuf/stubs/logging.h"
#include "kernels/sign_block.h"
#include "proto/tally/v1/layout.pb.h"
#include "tests/fuzz/fuzz_target.h"

namespace tally {
namespace {

void CheckSegments(const Layout& layout, size_t chunk) {
  const uint32_t num_elements = layout.chunks()[chunk].num_elements;
  for (const ScaleGranularity& granularity : {ScaleGranularity{ScaleGranularity::Unit::kBlock, 256},
                                              ScaleGranularity{ScaleGranularity::Unit::kTensor},
                                              ScaleGranularity{ScaleGranularity::Unit::kModel}}) {
    const std::vector<uint32_t> ends = layout.SegmentEnds(chunk, granularity);
    TALLY_CHECK(ends.size() == layout.NumSegments(chunk, granularity), "number of segments");
    TALLY_CHECK(ends.front() > 0 && ends.back() == num_elements, "first and last segment");
    TALLY_CHECK(std::adjacent_find(ends.begin(), ends.end(), std::greater_equal<>()) == ends.end(),
                "segments must increase");
    if (layout.chunks()[chunk].dense) continue;
    const Exchange sign = {SignExchange{.granularity = granularity}};
    TALLY_CHECK(
        ContributionSize(sign, layout, chunk).max_bytes <= MaxContributionBytes(layout, chunk),
        "bound on contributions");
    const Exchange relay = {SignRelayExchange{granularity}};
    TALLY_CHECK(ResultSize(relay, layout, chunk, 5).max_bytes <= MaxResultBytes(layout, chunk, 5),
                "bound on results");
  }
}

// The ends of a group lie where the dealing says, and nowhere else.
void CheckGroup(const Layout& layout, uint32_t group) {
  const Dealing& dealing = *layout.dealing();
  const uint32_t num_elements = layout.chunks()[group].num_elements;
  TALLY_CHECK(num_elements == dealing.num_elements(group), "group size");
  for (const uint32_t element : {0u, num_elements - 1}) {
    const uint64_t index = dealing.ElementOf(group, element);
    TALLY_CHECK(index < layout.num_compressed(), "dealt element");
    const Dealing::Position position = dealing.PositionOf(index / kDealtBlockElements);
    TALLY_CHECK(position.group == group && position.block == element / kDealtBlockElements,
                "dealt block");
  }
}

void CheckChunk(const Layout& layout, size_t chunk) {
  const Layout::Chunk& place = layout.chunks()[chunk];
  const uint32_t max_elements = place.dealt ? kMaxChunkElements : layout.chunk_elements();
  TALLY_CHECK(place.num_elements >= 1 && place.num_elements <= max_elements, "chunk size");
  const size_t live_bytes = layout.live(chunk).size();
  TALLY_CHECK(live_bytes == 0 || live_bytes == BitmapBytes(place.num_elements), "bitmap size");
  TALLY_CHECK(place.dealt == (layout.dealing().has_value() && !place.dense), "dealt");
  if (place.dealt) {
    CheckGroup(layout, static_cast<uint32_t>(chunk));
  } else {
    CheckSegments(layout, chunk);
  }
}

}  // namespace

std::vector<std::string> SeedInputs() {
  v1::Layout message;
  message.set_chunk_elements(512);
  for (const v1::Treatment treatment : {v1::TREATMENT_COMPRESSED, v1::TREATMENT_DENSE}) {
    for (const uint64_t num_elements : {1, 300, 5000}) {
      v1::Tensor& tensor = *message.add_tensors();
      tensor.set_name(std::to_string(message.tensors_size()));
      tensor.set_num_elements(num_elements);
      tensor.set_treatment(treatment);
      if (num_elements == 1) continue;
      tensor.add_masked()->set_end(7);
      tensor.add_masked()->set_begin(9);
      tensor.mutable_masked(1)->set_end(num_elements);
    }
  }
  const std::string contiguous = message.SerializeAsString();
  message.mutable_dealing()->set_num_groups(7);
  message.mutable_dealing()->set_hash_version(kDealingHashVersion);
  message.mutable_dealing()->set_seed(3);
  return {contiguous, message.SerializeAsString()};
}

}  // namespace tally

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace tally;
  // Protobuf prints a line for each string that is not UTF-8.
  const google::protobuf::LogSilencer silencer;
  v1::Layout message;
  if (!message.ParseFromArray(data, static_cast<int>(size))) return 0;
  const absl::StatusOr<Layout> layout = DecodeLayout(message);
  if (!layout.ok()) return 0;

  const absl::StatusOr<Layout> again = DecodeLayout(EncodeLayout(*layout));
  TALLY_CHECK(again.ok() && again->tensors() == layout->tensors() &&
                  again->chunk_elements() == layout->chunk_elements(),
              "round trip");
  TALLY_CHECK(again->dealing().has_value() == layout->dealing().has_value() &&
                  (!layout->dealing().has_value() ||
                   again->dealing()->options() == layout->dealing()->options()),
              "round trip of the dealing");
  // The ends of both parts are the interesting places; there may be a million chunks between.
  const size_t num_chunks = layout->chunks().size();
  for (size_t c = 0; c < std::min<size_t>(num_chunks, 8); ++c) {
    CheckChunk(*layout, c);
    CheckChunk(*layout, num_chunks - 1 - c);
  }
  return 0;
}
