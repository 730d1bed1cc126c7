// Input: a serialized v1::Layout.
#include <algorithm>
#include <string>
#include <vector>

#include "base/check.h"
#include "codecs/exchange.h"
#include "codecs/layout.h"
#include "codecs/layout_codec.h"
#include "google/protobuf/stubs/logging.h"
#include "kernels/sign_block.h"
#include "proto/tally/v1/layout.pb.h"
#include "tests/fuzz/fuzz_target.h"

namespace tally {
namespace {

void CheckChunk(const Layout& layout, size_t chunk) {
  const uint32_t num_elements = layout.chunks()[chunk].num_elements;
  TALLY_CHECK(num_elements >= 1 && num_elements <= layout.chunk_elements(), "chunk size");
  const size_t live_bytes = layout.live(chunk).size();
  TALLY_CHECK(live_bytes == 0 || live_bytes == BitmapBytes(num_elements), "bitmap size");
  for (const ScaleGranularity& granularity : {ScaleGranularity{ScaleGranularity::Unit::kBlock, 256},
                                              ScaleGranularity{ScaleGranularity::Unit::kTensor},
                                              ScaleGranularity{ScaleGranularity::Unit::kModel}}) {
    const std::vector<uint32_t> ends = layout.SegmentEnds(chunk, granularity);
    TALLY_CHECK(ends.size() == layout.NumSegments(chunk, granularity), "number of segments");
    TALLY_CHECK(ends.front() > 0 && ends.back() == num_elements, "first and last segment");
    TALLY_CHECK(std::adjacent_find(ends.begin(), ends.end(), std::greater_equal<>()) == ends.end(),
                "segments must increase");
    TALLY_CHECK(ContributionSize({SignExchange{.granularity = granularity}}, layout, chunk).max_bytes <=
                        MaxContributionBytes(layout, chunk) ||
                    layout.chunks()[chunk].dense,
                "bound on payloads");
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
  return {message.SerializeAsString()};
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
  // The ends of both parts are the interesting places; there may be a million chunks between.
  const size_t num_chunks = layout->chunks().size();
  for (size_t c = 0; c < std::min<size_t>(num_chunks, 8); ++c) {
    CheckChunk(*layout, c);
    CheckChunk(*layout, num_chunks - 1 - c);
  }
  return 0;
}
