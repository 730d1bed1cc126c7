#include "client/optimizers/device/device_sign_rounds.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/types/variant.h"
#include "base/status_macros.h"
#include "client/optimizers/device/device_input.h"
#include "client/optimizers/device/lane_use.h"
#include "codecs/sign_codec.h"

namespace tally {

DeviceSignRounds::DeviceSignRounds(const Exchange& exchange, const Layout* layout,
                                   const Backend* backend, Lane* lane)
    : exchange_(exchange),
      layout_(*layout),
      backend_(*backend),
      lane_(*lane),
      segments_(*layout, absl::get<SignExchange>(exchange.kind).granularity) {
  const ScaleGranularity& granularity = absl::get<SignExchange>(exchange.kind).granularity;
  for (uint32_t c = 0; c < layout_.chunks().size() && !layout_.chunks()[c].dense; ++c) {
    Chunk& chunk = chunks_.emplace_back();
    chunk.segment_ends = layout_.SegmentEnds(c, granularity);
    for (size_t t = 0; t < segments_.num_tiles(c); ++t) {
      const SegmentMap::Tile tile = segments_.tile(c, t);
      for (const uint32_t end : tile.piece_ends) chunk.piece_ends.push_back(tile.begin + end);
      chunk.piece_segments.insert(chunk.piece_segments.end(), tile.piece_segments.begin(),
                                  tile.piece_segments.end());
    }
    chunk.scales.resize(segments_.num_segments(c));
    largest_chunk_ = std::max<size_t>(largest_chunk_, layout_.chunks()[c].num_elements);
  }
}

absl::StatusOr<std::unique_ptr<DeviceSignRounds>> DeviceSignRounds::Create(const Exchange& exchange,
                                                                           const Layout* layout,
                                                                           const Backend* backend,
                                                                           Lane* lane) {
  std::unique_ptr<DeviceSignRounds> rounds(new DeviceSignRounds(exchange, layout, backend, lane));
  const LaneUse use(lane);
  TALLY_RETURN_IF_ERROR(rounds->Allocate());
  return rounds;
}

absl::Status DeviceSignRounds::Allocate() {
  Device* const device = &lane_.device();
  TALLY_ASSIGN_OR_RETURN(sum_, DeviceArray<float>::Create(device, layout_.num_compressed()));
  TALLY_RETURN_IF_ERROR(Clear(lane_.queue(), sum_.span()));
  for (uint32_t c = 0; c < chunks_.size(); ++c) {
    const size_t num_bytes = BitmapBytes(layout_.chunks()[c].num_elements);
    for (DeviceArray<uint8_t>& bits : chunks_[c].bits) {
      TALLY_ASSIGN_OR_RETURN(bits, DeviceArray<uint8_t>::Create(device, num_bytes));
    }
    if (layout_.live(c).empty()) continue;
    TALLY_ASSIGN_OR_RETURN(chunks_[c].live, DeviceArray<uint8_t>::Create(device, num_bytes));
    TALLY_RETURN_IF_ERROR(CopyToDevice(lane_.queue(), layout_.live(c), chunks_[c].live.span()));
  }
  return lane_.Finish();
}

absl::Span<float> DeviceSignRounds::SumOf(uint32_t chunk) {
  return sum_.span().subspan(layout_.chunks()[chunk].offset, layout_.chunks()[chunk].num_elements);
}

absl::StatusOr<SignBlock> DeviceSignRounds::LastOf(const Chunk& chunk) {
  std::vector<float> scales;
  scales.reserve(chunk.piece_segments.size());
  for (const uint32_t segment : chunk.piece_segments) scales.push_back(chunk.scales[segment]);
  SignBlock block = {.bits = chunk.bits[chunk.current].span()};
  TALLY_ASSIGN_OR_RETURN(block.scales, lane_.In(absl::MakeConstSpan(scales)));
  return block;
}

absl::StatusOr<std::vector<absl::optional<Buffer>>> DeviceSignRounds::Encode(
    const std::vector<bool>& takes_part, WriteInput write) {
  // The queue keeps the order, so that one chunk's input may lie where the last one's did.
  TALLY_ASSIGN_OR_RETURN(const absl::Span<float> input, lane_.Scratch<float>(largest_chunk_));
  std::vector<absl::optional<Buffer>> payloads(chunks_.size());
  std::vector<std::vector<double>> piece_norms(chunks_.size());
  for (uint32_t c = 0; c < chunks_.size(); ++c) {
    if (!takes_part[c]) continue;
    const uint32_t num_elements = layout_.chunks()[c].num_elements;
    Buffer payload(SignPayloadBytes(num_elements, chunks_[c].scales.size()));
    piece_norms[c].resize(chunks_[c].piece_ends.size());
    TALLY_RETURN_IF_ERROR(write(c, input.first(num_elements)));
    TALLY_RETURN_IF_ERROR(
        Accumulate(c, input.first(num_elements), absl::MakeSpan(piece_norms[c]),
                   SignPartsOf(payload.bytes(), num_elements, chunks_[c].scales.size()).bits));
    payloads[c] = std::move(payload);
  }
  TALLY_RETURN_IF_ERROR(lane_.Finish());

  std::vector<double> norms(segments_.num_segments());
  std::vector<uint64_t> num_live(segments_.num_segments());
  for (uint32_t c = 0; c < chunks_.size(); ++c) {
    if (!takes_part[c]) continue;
    const size_t first_segment = segments_.first_segment(c);
    for (size_t piece = 0; piece < piece_norms[c].size(); ++piece) {
      norms[first_segment + chunks_[c].piece_segments[piece]] += piece_norms[c][piece];
    }
    for (size_t k = 0; k < chunks_[c].scales.size(); ++k) {
      num_live[first_segment + k] += segments_.num_live(c)[k];
    }
  }
  const ScaleRule rule = absl::get<SignExchange>(exchange_.kind).scale_rule;
  for (uint32_t c = 0; c < chunks_.size(); ++c) {
    if (!takes_part[c]) continue;
    Chunk& chunk = chunks_[c];
    const size_t first_segment = segments_.first_segment(c);
    for (size_t k = 0; k < chunk.scales.size(); ++k) {
      chunk.scales[k] = ScaleFromNorm(rule, norms[first_segment + k], num_live[first_segment + k]);
    }
    chunk.last = Last::kSent;
    const SignPayloadParts parts =
        SignPartsOf(payloads[c]->bytes(), layout_.chunks()[c].num_elements, chunk.scales.size());
    std::copy(chunk.scales.begin(), chunk.scales.end(), parts.scales.begin());
  }
  return payloads;
}

absl::Status DeviceSignRounds::Accumulate(uint32_t chunk, absl::Span<const float> input,
                                          absl::Span<double> norms, absl::Span<uint8_t> bits) {
  Chunk& state = chunks_[chunk];
  SignBlock counted;
  if (state.last == Last::kCounted) {
    TALLY_ASSIGN_OR_RETURN(counted, LastOf(state));
  }
  TALLY_ASSIGN_OR_RETURN(const absl::Span<double> device_norms, lane_.Out(norms));
  // What leaves is read while what comes is written.
  state.current = 1 - state.current;
  const absl::Span<uint8_t> next = state.bits[state.current].span();
  TALLY_RETURN_IF_ERROR(lane_.queue().Accumulate(
      {.accumulate = {.sum = SumOf(chunk),
                      .input = input,
                      .counted = counted,
                      .segment_ends = state.piece_ends,
                      .live = state.live.span(),
                      .rule = absl::get<SignExchange>(exchange_.kind).scale_rule,
                      .norms = device_norms},
       .bits = next}));
  return lane_.CopyBack(next.data(), bits);
}

void DeviceSignRounds::Settle(uint32_t chunk, Fate fate) {
  if (fate == Fate::kAbstained) return;
  chunks_[chunk].last = fate == Fate::kCounted ? Last::kCounted : Last::kNone;
}

absl::Status DeviceSignRounds::Decode(const ChunkResult& result, absl::Span<const uint8_t> live,
                                      absl::Span<float> out) {
  const Chunk& chunk = chunks_[result.chunk];
  TALLY_ASSIGN_OR_RETURN(const absl::Span<const uint8_t> payload,
                         lane_.In(result.payload->bytes()));
  const SignBlock mean = SignBlockOf(payload, out.size(), chunk.scales.size());
  return lane_.queue().SumSigns(absl::MakeConstSpan(&mean, 1), chunk.segment_ends, live, out);
}

absl::Status DeviceSignRounds::Add(uint64_t offset, float factor, absl::Span<const float> x) {
  if (offset > sum_.span().size() || x.size() > sum_.span().size() - offset) {
    return absl::InvalidArgumentError(absl::StrCat("elements [", offset, ", ", offset + x.size(),
                                                   ") of the residual, must be among the ",
                                                   sum_.span().size(), " compressed ones"));
  }
  const absl::Span<float> sum = sum_.span().subspan(offset, x.size());
  return lane_.queue().Blend(1.0f, sum, factor, x, sum);
}

absl::StatusOr<absl::Span<const float>> DeviceSignRounds::ResidualOf(uint32_t chunk) {
  const absl::Span<float> sum = SumOf(chunk);
  const Chunk& state = chunks_[chunk];
  if (state.last != Last::kCounted) return sum;
  TALLY_ASSIGN_OR_RETURN(const SignBlock leaving, LastOf(state));
  TALLY_ASSIGN_OR_RETURN(const absl::Span<float> rest, lane_.Scratch<float>(sum.size()));
  TALLY_RETURN_IF_ERROR(lane_.queue().SumSigns(absl::MakeConstSpan(&leaving, 1), state.piece_ends,
                                               state.live.span(), rest));
  TALLY_RETURN_IF_ERROR(lane_.queue().Blend(1.0f, sum, -1.0f, rest, rest));
  return rest;
}

absl::StatusOr<double> DeviceSignRounds::Norm() {
  double sum_of_squares = 0.0;
  for (uint32_t c = 0; c < chunks_.size(); ++c) {
    double of_chunk = 0.0;
    const LaneUse use(&lane_);
    TALLY_ASSIGN_OR_RETURN(const absl::Span<const float> residual, ResidualOf(c));
    TALLY_ASSIGN_OR_RETURN(const absl::Span<double> sum, lane_.Out(absl::MakeSpan(&of_chunk, 1)));
    TALLY_RETURN_IF_ERROR(lane_.queue().SumOfSquares(residual, sum.data()));
    TALLY_RETURN_IF_ERROR(lane_.Finish());
    sum_of_squares += of_chunk;
  }
  return std::sqrt(sum_of_squares);
}

absl::StatusOr<std::vector<Buffer>> DeviceSignRounds::FetchCounted() {
  std::vector<Buffer> contributions(chunks_.size());
  const LaneUse use(&lane_);
  for (uint32_t c = 0; c < chunks_.size(); ++c) {
    const Chunk& chunk = chunks_[c];
    if (chunk.last != Last::kCounted) continue;
    const uint32_t num_elements = layout_.chunks()[c].num_elements;
    contributions[c] = Buffer(SignPayloadBytes(num_elements, chunk.scales.size()));
    const SignPayloadParts parts =
        SignPartsOf(contributions[c].bytes(), num_elements, chunk.scales.size());
    std::copy(chunk.scales.begin(), chunk.scales.end(), parts.scales.begin());
    TALLY_RETURN_IF_ERROR(
        CopyToHost<uint8_t>(lane_.queue(), chunk.bits[chunk.current].span(), parts.bits));
  }
  TALLY_RETURN_IF_ERROR(lane_.Finish());
  return contributions;
}

absl::StatusOr<std::vector<float>> DeviceSignRounds::Residual() {
  TALLY_ASSIGN_OR_RETURN(std::vector<float> flat, FetchElements(sum_.span(), lane_));
  TALLY_ASSIGN_OR_RETURN(const std::vector<Buffer> counted, FetchCounted());
  std::vector<float> leaving(largest_chunk_);
  for (uint32_t c = 0; c < chunks_.size(); ++c) {
    if (counted[c].empty()) continue;
    const uint32_t num_elements = layout_.chunks()[c].num_elements;
    const SignBlock block = SignBlockOf(counted[c].bytes(), num_elements, chunks_[c].scales.size());
    const absl::Span<float> left = absl::MakeSpan(leaving).first(num_elements);
    const absl::Span<float> rest =
        absl::MakeSpan(flat).subspan(layout_.chunks()[c].offset, num_elements);
    TALLY_RETURN_IF_ERROR(backend_.SumSigns(absl::MakeConstSpan(&block, 1), chunks_[c].segment_ends,
                                            layout_.live(c), left));
    TALLY_RETURN_IF_ERROR(backend_.Blend(1.0f, rest, -1.0f, left, rest));
  }
  flat.resize(layout_.num_elements());
  return flat;
}

absl::Status DeviceSignRounds::Save(SavedStateWriter& writer) {
  if (writer.is_shared()) return absl::OkStatus();
  TALLY_ASSIGN_OR_RETURN(const std::vector<float> sum, FetchElements(sum_.span(), lane_));
  TALLY_ASSIGN_OR_RETURN(const std::vector<Buffer> counted, FetchCounted());
  SavedFeedback saved = {.sum = sum};
  for (const Buffer& contribution : counted) saved.counted.push_back(contribution.bytes());
  saved.Save(writer);
  return absl::OkStatus();
}

absl::Status DeviceSignRounds::Restore(const SavedFeedback& saved) {
  const LaneUse use(&lane_);
  TALLY_RETURN_IF_ERROR(CopyToDevice(lane_.queue(), saved.sum, sum_.span()));
  for (uint32_t c = 0; c < chunks_.size(); ++c) {
    Chunk& chunk = chunks_[c];
    const absl::Span<const uint8_t> counted = saved.counted[c];
    chunk.last = counted.empty() ? Last::kNone : Last::kCounted;
    if (counted.empty()) continue;
    const size_t scale_bytes = chunk.scales.size() * sizeof(float);
    std::memcpy(chunk.scales.data(), counted.data(), scale_bytes);
    TALLY_RETURN_IF_ERROR(CopyToDevice(lane_.queue(), counted.subspan(scale_bytes),
                                       chunk.bits[chunk.current].span()));
  }
  return lane_.Finish();
}

}  // namespace tally
