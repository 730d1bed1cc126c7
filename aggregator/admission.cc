#include "aggregator/admission.h"

#include <algorithm>
#include <vector>

#include "absl/strings/str_cat.h"
#include "aggregator/handover_relay.h"
#include "base/byte_size.h"
#include "codecs/exchange.h"
#include "codecs/layout.h"
#include "codecs/limits.h"

namespace tally {

namespace {

// Of every chunk, beside what is counted below: its state machine, the messages of its kept
// results, the block in which the queue of headers grows.
constexpr uint64_t kChunkBytes = 8192;
// Round and chain of a kept header.
constexpr uint64_t kHeaderBytes = 16;
// A header as it is read back after a crash.
constexpr uint64_t kReadHeaderBytes = 512;
// Of a chunk and a worker: an id of 255 bytes in the roster and in the genesis, which is one of the
// kept results at first; the place where a contribution is staged; a bit in each bitmap.
constexpr uint64_t kMemberBytes = 1024;
// What an allocation of a payload takes beside its bytes: owner, alignment, the allocator's own.
constexpr uint64_t kAllocationBytes = 256;

// What the arithmetic of one exchange takes beside payloads and residual: tables, estimates or sums
// in fp32, and the indices of what is chosen.
uint64_t ScratchBytes(uint64_t num_elements) {
  constexpr uint64_t kElementBytes = 2 * sizeof(float) + sizeof(uint32_t) + sizeof(float);
  return kElementBytes * num_elements + 2 * kMinSketchCells * sizeof(float);
}

uint64_t LayoutBytes(const Layout& layout) {
  constexpr uint64_t kTensorBytes = 256;
  uint64_t bytes = 0;
  for (const Tensor& tensor : layout.tensors()) {
    bytes += kTensorBytes + tensor.name.size() + tensor.masked.size() * sizeof(ElementRange);
  }
  for (size_t chunk = 0; chunk < layout.chunks().size(); ++chunk) {
    bytes += sizeof(Layout::Chunk) + sizeof(std::vector<uint8_t>) + layout.live(chunk).size();
  }
  return bytes;
}

// All results of a round here.
uint64_t RoundBytes(const JobDescription& description) {
  uint64_t bytes = 0;
  for (const uint32_t chunk : description.OwnChunks()) {
    bytes += MaxResultBytes(description.layout, chunk, description.roster_limit) + kAllocationBytes;
  }
  return bytes;
}

}  // namespace

size_t KeptResults(const JobDescription& description) {
  constexpr size_t kKeptResults = 2;
  // Rounds of two halves among them.
  return description.max_late == 0 ? kKeptResults : 2 * kMaxRoundsBehind;
}

uint64_t MaxMemberQueuedBytes(const JobDescription& description) {
  return description.max_late == 0 ? 0 : KeptResults(description) * RoundBytes(description);
}

uint64_t MaxQueuedBytes(const JobDescription& description) {
  constexpr uint64_t kControlBytes = uint64_t{64} << 10;
  return kQueuedRounds * RoundBytes(description) + kStateWindowBytes + kControlBytes;
}

uint64_t WorstCaseBytes(const JobDescription& description, uint32_t window_chunks) {
  const uint64_t members = description.roster_limit;
  uint64_t largest_contribution = 0;
  uint64_t largest_result = 0;
  uint64_t largest_scratch = 0;
  uint64_t largest_residual = 0;
  uint64_t largest_handover = 0;
  uint64_t every_chunk = 0;
  const std::vector<uint32_t> chunks = description.OwnChunks();
  for (const uint32_t chunk : chunks) {
    const uint64_t result =
        MaxResultBytes(description.layout, chunk, description.roster_limit) + kAllocationBytes;
    largest_contribution = std::max(
        largest_contribution, MaxContributionBytes(description.layout, chunk) + kAllocationBytes);
    largest_result = std::max(largest_result, result);
    every_chunk += kChunkBytes + KeptResults(description) * result + kKeptHeaders * kHeaderBytes;
    const Layout::Chunk& shape = description.layout.chunks()[chunk];
    const uint64_t residual = shape.dense ? 0 : uint64_t{shape.num_elements} * sizeof(float);
    every_chunk += 2 * residual + kAllocationBytes;
    every_chunk += 2 * uint64_t{description.snapshot_interval} * kReadHeaderBytes;
    largest_residual = std::max(largest_residual, residual + kAllocationBytes);
    largest_handover =
        std::max(largest_handover, uint64_t{shape.num_elements} * sizeof(float) + kAllocationBytes);
    largest_scratch = std::max(largest_scratch, ScratchBytes(shape.num_elements));
  }
  const uint64_t window = std::min<uint64_t>(window_chunks, chunks.size());
  const uint64_t staged = members * window * largest_contribution;
  const uint64_t in_transit =
      members * (2 * largest_contribution + largest_result + largest_residual);
  const uint64_t computed = window * (largest_result + largest_scratch);
  // What late members are behind with is among the kept results; their queues hold no copies.
  const uint64_t observed = kQueuedRounds * RoundBytes(description) +
                            kMaxObservers * (kStateWindowBytes + kMemberBytes * chunks.size());
  // One share more for the job's own list of members.
  const uint64_t everybody = (chunks.size() + 1) * members * kMemberBytes;
  const uint64_t handed_over = kMaxHandovers * largest_handover;
  return LayoutBytes(description.layout) + staged + in_transit + computed + every_chunk +
         everybody + observed + handed_over;
}

absl::Status Admission::Admit(uint64_t bytes, uint64_t held_bytes) {
  const uint64_t free = limit_bytes_ - admitted_bytes_;
  const uint64_t left = free - std::min(free, held_bytes);
  if (bytes > left) {
    return absl::ResourceExhaustedError(absl::StrCat(
        "the job needs up to ", FormatByteSize(bytes), " here, must fit into the ",
        FormatByteSize(left), " left of `memory_limit` = ", FormatByteSize(limit_bytes_),
        held_bytes == 0 ? ""
                        : absl::StrCat(": ", FormatByteSize(std::min(free, held_bytes)),
                                       " wait a while for runs that were here before a restart")));
  }
  admitted_bytes_ += bytes;
  return absl::OkStatus();
}

}  // namespace tally
