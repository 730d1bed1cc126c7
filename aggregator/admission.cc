#include "aggregator/admission.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "base/byte_size.h"
#include "codecs/exchange.h"

namespace tally {

uint64_t WorstCaseBytes(const JobDescription& description, uint32_t window_chunks) {
  // What a header and its bookkeeping take beside its bitmap; a header with a whole roster in it is
  // rare.
  constexpr uint64_t kHeaderBytes = 256;

  uint64_t largest_payload = 0;
  uint64_t all_payloads = 0;
  uint64_t residuals = 0;
  const std::vector<uint32_t> chunks = description.OwnChunks();
  for (const uint32_t chunk : chunks) {
    const uint64_t payload = MaxPayloadBytes(description.layout, chunk);
    largest_payload = std::max(largest_payload, payload);
    all_payloads += payload;
    const Layout::Chunk& shape = description.layout.chunks()[chunk];
    if (!shape.dense) residuals += uint64_t{shape.num_elements} * sizeof(float);
  }
  const uint64_t window = std::min<uint64_t>(window_chunks, chunks.size());
  const uint64_t staged = description.roster_limit * (window + 1) * largest_payload;
  const uint64_t headers =
      chunks.size() * kKeptHeaders * (kHeaderBytes + description.roster_limit / 8);
  return staged + window * largest_payload + kKeptResults * all_payloads + residuals + headers;
}

absl::Status Admission::Admit(uint64_t bytes) {
  const uint64_t left = limit_bytes_ - admitted_bytes_;
  if (bytes > left) {
    return absl::ResourceExhaustedError(absl::StrCat(
        "the job needs up to ", FormatByteSize(bytes), " here, must fit into the ",
        FormatByteSize(left), " left of `memory_limit` = ", FormatByteSize(limit_bytes_)));
  }
  admitted_bytes_ += bytes;
  return absl::OkStatus();
}

}  // namespace tally
