// Sizes and rules of the payloads of every kind of exchange.
#include <algorithm>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "codecs/dense_codec.h"
#include "codecs/exchange.h"
#include "codecs/limits.h"
#include "codecs/sign_codec.h"
#include "codecs/sign_relay_codec.h"
#include "codecs/sparse_codec.h"
#include "codecs/vote_codec.h"
#include "kernels/live_mask.h"

namespace tally {
namespace {

// What payloads of one chunk depend on.
struct PayloadPlace {
  const Layout& layout;
  size_t chunk;

  uint32_t num_elements() const { return layout.chunks()[chunk].num_elements; }
  absl::Span<const uint8_t> live() const { return layout.live(chunk); }
  size_t num_segments(const ScaleGranularity& granularity) const {
    return layout.NumSegments(chunk, granularity);
  }
};

size_t TableBytes(const SketchExchange& sketch) {
  return DensePayloadBytes(sketch.dtype, uint64_t{sketch.rows} * sketch.columns);
}

uint32_t NumCandidates(const SketchExchange& sketch, const PayloadPlace& place) {
  return static_cast<uint32_t>(
      std::min<uint64_t>(sketch.num_candidates, CountLive(place.live(), 0, place.num_elements())));
}

uint32_t MaxSparseResult(const SparseExchange& sparse, const PayloadPlace& place,
                         uint32_t num_participants) {
  return static_cast<uint32_t>(
      std::min<uint64_t>(uint64_t{sparse.max_values} * num_participants, place.num_elements()));
}

struct SizeOfContribution {
  const PayloadPlace& place;

  PayloadSize operator()(const DenseExchange& dense) const {
    return {DensePayloadBytes(dense.dtype, place.num_elements())};
  }
  PayloadSize operator()(const SignExchange& sign) const {
    return {SignPayloadBytes(place.num_elements(), place.num_segments(sign.granularity))};
  }
  PayloadSize operator()(const SignRelayExchange& relay) const {
    return {SignPayloadBytes(place.num_elements(), place.num_segments(relay.granularity))};
  }
  PayloadSize operator()(const VoteExchange&) const {
    return {VotePayloadBytes(place.num_elements())};
  }
  PayloadSize operator()(const SketchExchange& sketch) const { return {TableBytes(sketch)}; }
  PayloadSize operator()(const ValuesExchange& values) const {
    return {DensePayloadBytes(values.dtype, values.num_values)};
  }
  PayloadSize operator()(const SparseExchange& sparse) const {
    return {MaxSparsePayloadBytes(place.num_elements(), sparse.max_values, true), false};
  }
};

struct SizeOfResult {
  const PayloadPlace& place;
  uint32_t num_participants;

  PayloadSize operator()(const SignRelayExchange& relay) const {
    return {num_participants *
            SignRelayBlockBytes(place.num_elements(), place.num_segments(relay.granularity))};
  }
  PayloadSize operator()(const VoteExchange& vote) const {
    return {vote.result == VoteResult::kCounts
                ? CountsPayloadBytes(place.num_elements(), num_participants)
                : VotePayloadBytes(place.num_elements())};
  }
  PayloadSize operator()(const SketchExchange& sketch) const {
    return {MaxSparsePayloadBytes(place.num_elements(), NumCandidates(sketch, place),
                                  sketch.with_estimates),
            false};
  }
  PayloadSize operator()(const SparseExchange& sparse) const {
    return {MaxSparsePayloadBytes(place.num_elements(),
                                  MaxSparseResult(sparse, place, num_participants), true),
            false};
  }
  // Of the other kinds results look like contributions.
  template <typename Kind>
  PayloadSize operator()(const Kind& kind) const {
    return SizeOfContribution{place}(kind);
  }
};

// No element of the block may be masked.
absl::Status CheckLive(const SparseBlock& block, absl::Span<const uint8_t> live) {
  if (live.empty()) return absl::OkStatus();
  for (size_t k = 0; k < block.indices.size(); ++k) {
    const uint32_t index = block.indices[k];
    if (((live[index / 8] >> (index % 8)) & 1) != 0) continue;
    return absl::InvalidArgumentError(
        absl::StrCat("`payload.indices[", k, "]` = ", index, ", must not be masked"));
  }
  return absl::OkStatus();
}

struct ContributionRules {
  const PayloadPlace& place;
  absl::Span<const uint8_t> payload;
  const Backend& backend;

  absl::Status operator()(const DenseExchange& dense) const {
    return ValidateDense(dense.dtype, payload, place.num_elements(), backend);
  }
  absl::Status operator()(const SignExchange& sign) const {
    return DecodeSign(payload, place.num_elements(), place.num_segments(sign.granularity)).status();
  }
  absl::Status operator()(const SignRelayExchange& relay) const {
    return DecodeSign(payload, place.num_elements(), place.num_segments(relay.granularity))
        .status();
  }
  absl::Status operator()(const VoteExchange&) const {
    return ValidateVotes(payload, place.num_elements());
  }
  absl::Status operator()(const SketchExchange& sketch) const {
    return ValidateDense(sketch.dtype, payload, uint64_t{sketch.rows} * sketch.columns, backend);
  }
  absl::Status operator()(const ValuesExchange& values) const {
    return ValidateDense(values.dtype, payload, values.num_values, backend);
  }
  absl::Status operator()(const SparseExchange& sparse) const {
    TALLY_ASSIGN_OR_RETURN(const SparseBlock block,
                           DecodeSparse(payload, place.num_elements(), sparse.max_values, true));
    return CheckLive(block, place.live());
  }
};

struct ResultRules {
  const PayloadPlace& place;
  uint32_t num_participants;
  absl::Span<const uint8_t> payload;
  const Backend& backend;

  absl::Status operator()(const SignRelayExchange& relay) const {
    return DecodeSignRelay(payload, place.num_elements(), place.num_segments(relay.granularity),
                           num_participants)
        .status();
  }
  absl::Status operator()(const VoteExchange& vote) const {
    if (vote.result != VoteResult::kCounts) return ValidateVotes(payload, place.num_elements());
    return ValidateCounts(payload, place.num_elements(), num_participants);
  }
  absl::Status operator()(const SketchExchange& sketch) const {
    const uint32_t num_candidates = NumCandidates(sketch, place);
    TALLY_ASSIGN_OR_RETURN(
        const SparseBlock block,
        DecodeSparse(payload, place.num_elements(), num_candidates, sketch.with_estimates));
    if (block.indices.size() != num_candidates) {
      return absl::InvalidArgumentError(
          absl::StrCat("`payload.count` = ", block.indices.size(), ", must be ", num_candidates));
    }
    return CheckLive(block, place.live());
  }
  absl::Status operator()(const SparseExchange& sparse) const {
    TALLY_ASSIGN_OR_RETURN(const SparseBlock block,
                           DecodeSparse(payload, place.num_elements(),
                                        MaxSparseResult(sparse, place, num_participants), true));
    return CheckLive(block, place.live());
  }
  // Of the other kinds results look like contributions.
  template <typename Kind>
  absl::Status operator()(const Kind& kind) const {
    return ContributionRules{place, payload, backend}(kind);
  }
};

// Tensors can be smaller than the smallest block; the whole model is never more than one segment.
size_t MaxSegments(const PayloadPlace& place) {
  return std::max(place.num_segments({.unit = ScaleGranularity::Unit::kBlock,
                                      .block_elements = kScaleBlockMultiple}),
                  place.num_segments({.unit = ScaleGranularity::Unit::kTensor}));
}

uint64_t MaxSparseBytes(const PayloadPlace& place) {
  return MaxSparsePayloadBytes(place.num_elements(), place.num_elements(), true);
}

}  // namespace

PayloadSize ContributionSize(const Exchange& exchange, const Layout& layout, size_t chunk) {
  const PayloadPlace place{layout, chunk};
  return absl::visit(SizeOfContribution{place}, exchange.kind);
}

PayloadSize ResultSize(const Exchange& exchange, const Layout& layout, size_t chunk,
                       uint32_t num_participants) {
  const PayloadPlace place{layout, chunk};
  return absl::visit(SizeOfResult{place, num_participants}, exchange.kind);
}

uint64_t MaxContributionBytes(const Layout& layout, size_t chunk) {
  const PayloadPlace place{layout, chunk};
  const uint64_t dense = DensePayloadBytes(DType::kFloat32, place.num_elements());
  if (layout.chunks()[chunk].dense) return dense;
  if (layout.chunks()[chunk].dealt) {
    return std::max<uint64_t>(dense, DensePayloadBytes(DType::kFloat32, kMinSketchCells));
  }
  return std::max<uint64_t>(MaxSparseBytes(place),
                            SignPayloadBytes(place.num_elements(), MaxSegments(place)));
}

uint64_t MaxResultBytes(const Layout& layout, size_t chunk, uint32_t roster_limit) {
  const PayloadPlace place{layout, chunk};
  if (layout.chunks()[chunk].dense) return MaxContributionBytes(layout, chunk);
  if (layout.chunks()[chunk].dealt) return MaxSparseBytes(place);
  const uint64_t relayed = std::min(roster_limit, kMaxRelayParticipants) *
                           SignRelayBlockBytes(place.num_elements(), MaxSegments(place));
  return std::max<uint64_t>(
      {MaxSparseBytes(place), relayed, CountsPayloadBytes(place.num_elements(), roster_limit)});
}

absl::Status ValidateContribution(const Exchange& exchange, const Layout& layout, size_t chunk,
                                  absl::Span<const uint8_t> payload, const Backend& backend) {
  const PayloadPlace place{layout, chunk};
  return absl::visit(ContributionRules{place, payload, backend}, exchange.kind);
}

absl::Status ValidateResult(const Exchange& exchange, const Layout& layout, size_t chunk,
                            uint32_t num_participants, absl::Span<const uint8_t> payload,
                            const Backend& backend) {
  const PayloadPlace place{layout, chunk};
  return absl::visit(ResultRules{place, num_participants, payload, backend}, exchange.kind);
}

}  // namespace tally
