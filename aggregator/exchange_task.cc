#include "aggregator/exchange_task.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/types/variant.h"
#include "aggregator/exchange_arguments.h"
#include "base/digest.h"
#include "base/float_environment.h"
#include "base/status_macros.h"
#include "codecs/dense_codec.h"
#include "codecs/sign_codec.h"
#include "codecs/sign_relay_codec.h"
#include "codecs/sparse_codec.h"
#include "codecs/vote_codec.h"
#include "kernels/sketch_hash.h"

namespace tally {
namespace {

// Runs the kernels of each kind of exchange: payloads in, payload out.
class Arithmetic {
 public:
  Arithmetic(const ExchangeTask& task, const Backend& backend)
      : task_(task),
        backend_(backend),
        layout_(task.description->layout),
        num_elements_(layout_.chunks()[task.chunk].num_elements) {}

  absl::StatusOr<Buffer> operator()(const DenseExchange& dense) const {
    return Mean(dense.dtype, DensePayloadBytes(dense.dtype, num_elements_));
  }

  absl::StatusOr<Buffer> operator()(const SignExchange& sign) const {
    const std::vector<uint32_t> segment_ends = layout_.SegmentEnds(task_.chunk, sign.granularity);
    std::vector<SignBlock> blocks;
    blocks.reserve(task_.payloads.size());
    for (const SharedBuffer& payload : task_.payloads) {
      blocks.push_back(SignBlockOf(payload->bytes(), num_elements_, segment_ends.size()));
    }
    TALLY_ASSIGN_OR_RETURN(const absl::Span<float> residual, task_.residual->OnHost());
    if (sign.zero_residual) std::fill(residual.begin(), residual.end(), 0.0f);
    Buffer result(SignPayloadBytes(num_elements_, segment_ends.size()));
    const SignPayloadParts out = SignPartsOf(result.bytes(), num_elements_, segment_ends.size());
    TALLY_RETURN_IF_ERROR(backend_.SignRound({.blocks = blocks,
                                              .divisor = static_cast<float>(task_.divisor),
                                              .segment_ends = segment_ends,
                                              .live = live(),
                                              .rule = sign.scale_rule,
                                              .residual = residual,
                                              .bits = out.bits,
                                              .scales = out.scales}));
    return result;
  }

  absl::StatusOr<Buffer> operator()(const SignRelayExchange& relay) const {
    const size_t num_segments = layout_.NumSegments(task_.chunk, relay.granularity);
    const size_t block_bytes = SignRelayBlockBytes(num_elements_, num_segments);
    Buffer result(block_bytes * task_.payloads.size());
    std::fill_n(result.data(), result.size(), uint8_t{0});
    for (size_t i = 0; i < task_.payloads.size(); ++i) {
      const absl::Span<const uint8_t> payload = task_.payloads[i]->bytes();
      std::copy(payload.begin(), payload.end(), result.data() + i * block_bytes);
    }
    return result;
  }

  absl::StatusOr<Buffer> operator()(const VoteExchange& vote) const {
    const std::vector<absl::Span<const uint8_t>> ballots = Inputs();
    const VoteKernels& kernels = backend_.votes();
    if (vote.result == VoteResult::kCounts) {
      Buffer planes(CountsPayloadBytes(num_elements_, static_cast<uint32_t>(ballots.size())));
      TALLY_RETURN_IF_ERROR(kernels.CountVotes(ballots, num_elements_, planes.bytes()));
      return planes;
    }
    const DrawStream draws = ResultDraws(*task_.description, task_.chunk, task_.place.round);
    Buffer bits(VotePayloadBytes(num_elements_));
    TALLY_RETURN_IF_ERROR(vote.result == VoteResult::kDrawn
                              ? kernels.DrawVotes(ballots, num_elements_, draws, bits.bytes())
                              : kernels.MajorityVotes(ballots, num_elements_, draws, bits.bytes()));
    return bits;
  }

  absl::StatusOr<Buffer> operator()(const SketchExchange& sketch) const {
    const SketchShape shape = ShapeOf(sketch, task_.chunk);
    TALLY_ASSIGN_OR_RETURN(const std::vector<float> table,
                           MeanTable(sketch.dtype, SketchCells(shape)));
    std::vector<float> estimates(num_elements_);
    TALLY_RETURN_IF_ERROR(backend_.sketches().Estimate(shape, table, absl::MakeSpan(estimates)));
    std::vector<uint32_t> candidates(NumCandidates(sketch, layout_, task_.chunk));
    TALLY_RETURN_IF_ERROR(
        backend_.sketches().SelectLargest(estimates, live(), absl::MakeSpan(candidates)));
    std::vector<float> values;
    if (sketch.with_estimates) {
      for (const uint32_t candidate : candidates) values.push_back(estimates[candidate]);
    }
    return EncodeSparse(candidates, values, num_elements_);
  }

  absl::StatusOr<Buffer> operator()(const ValuesExchange& values) const {
    return Mean(values.dtype, DensePayloadBytes(values.dtype, values.num_values));
  }

  absl::StatusOr<Buffer> operator()(const SparseExchange& sparse) const {
    std::vector<float> sum(num_elements_, 0.0f);
    std::vector<bool> present(num_elements_, false);
    for (const SharedBuffer& payload : task_.payloads) {
      TALLY_ASSIGN_OR_RETURN(const SparseBlock block,
                             DecodeSparse(payload->bytes(), num_elements_, sparse.max_values,
                                          /*with_values=*/true));
      for (size_t k = 0; k < block.indices.size(); ++k) {
        const uint32_t index = block.indices[k];
        // Whoever is first is not added to zero: -0 stays what it was.
        sum[index] = present[index] ? sum[index] + block.values[k] : block.values[k];
        present[index] = true;
      }
    }
    std::vector<uint32_t> indices;
    std::vector<float> means;
    const float divisor = static_cast<float>(task_.divisor);
    for (uint32_t i = 0; i < num_elements_; ++i) {
      if (!present[i]) continue;
      indices.push_back(i);
      means.push_back(sum[i] / divisor);
    }
    return EncodeSparse(indices, means, num_elements_);
  }

 private:
  absl::Span<const uint8_t> live() const { return layout_.live(task_.chunk); }

  std::vector<absl::Span<const uint8_t>> Inputs() const {
    std::vector<absl::Span<const uint8_t>> inputs;
    inputs.reserve(task_.payloads.size());
    for (const SharedBuffer& payload : task_.payloads) inputs.push_back(payload->bytes());
    return inputs;
  }

  absl::StatusOr<Buffer> Mean(DType dtype, size_t payload_bytes) const {
    Buffer result(payload_bytes);
    TALLY_RETURN_IF_ERROR(
        backend_.DenseMean(dtype, Inputs(), static_cast<float>(task_.divisor), result.bytes()));
    return result;
  }

  // The mean of the participants' tables in fp32, whatever they travelled in.
  absl::StatusOr<std::vector<float>> MeanTable(DType dtype, size_t num_cells) const {
    std::vector<float> table(num_cells);
    std::vector<float> next(num_cells);
    const float divisor = static_cast<float>(task_.divisor);
    for (size_t i = 0; i < task_.payloads.size(); ++i) {
      const absl::Span<float> decoded = absl::MakeSpan(i == 0 ? table : next);
      TALLY_RETURN_IF_ERROR(backend_.DecodeDense(dtype, task_.payloads[i]->bytes(), decoded));
      if (i == 0) continue;
      TALLY_RETURN_IF_ERROR(backend_.Blend(1.0f, table, 1.0f, next, absl::MakeSpan(table)));
    }
    for (float& cell : table) cell /= divisor;
    return table;
  }

  const ExchangeTask& task_;
  const Backend& backend_;
  const Layout& layout_;
  const uint32_t num_elements_;
};

}  // namespace

absl::StatusOr<ExchangeOutcome> RunExchange(const ExchangeTask& task, const Backend& backend) {
  const ScopedFloatEnvironment float_environment;
  absl::StatusOr<Buffer> payload = absl::visit(Arithmetic(task, backend), task.exchange.kind);
  if (!payload.ok()) {
    return absl::InternalError(absl::StrCat(ExchangeName(task.exchange), " of chunk ", task.chunk,
                                            ", ", PlaceName(task.place), ": ",
                                            payload.status().message()));
  }
  ExchangeOutcome outcome = OutcomeOf(task, *std::move(payload));
  if (task.snapshot_of != nullptr) {
    TALLY_RETURN_IF_ERROR(TakeSnapshot(*task.snapshot_of, backend, outcome));
  }
  return outcome;
}

ExchangeOutcome OutcomeOf(const ExchangeTask& task, Buffer payload) {
  const uint64_t digest = Digest64(std::as_const(payload).bytes());
  return {.job_serial = task.job_serial,
          .chunk = task.chunk,
          .place = task.place,
          .payload = std::make_shared<const Buffer>(std::move(payload)),
          .payload_digest = digest};
}

void AddSnapshot(Buffer snapshot, double sum_of_squares, ExchangeOutcome& outcome) {
  outcome.snapshot_digest = Digest64(std::as_const(snapshot).bytes());
  outcome.snapshot = std::make_shared<const Buffer>(std::move(snapshot));
  outcome.residual_norm = std::sqrt(sum_of_squares);
}

absl::Status TakeSnapshot(Residual& residual, const Backend& backend, ExchangeOutcome& outcome) {
  const absl::StatusOr<absl::Span<float>> values = residual.OnHost();
  if (!values.ok()) return absl::InternalError(values.status().message());
  Buffer snapshot(values->size() * sizeof(float));
  std::memcpy(snapshot.data(), values->data(), snapshot.size());
  AddSnapshot(std::move(snapshot), backend.SumOfSquares(*values), outcome);
  return absl::OkStatus();
}

}  // namespace tally
