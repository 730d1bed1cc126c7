#include "client/optimizers/residual_to_keep.h"

#include <cstdint>

#include "absl/types/variant.h"
#include "base/buffer.h"
#include "base/float_environment.h"
#include "base/status_macros.h"
#include "client/optimizers/take_inheritances.h"
#include "codecs/exchange.h"
#include "codecs/sign_codec.h"
#include "codecs/sparse_codec.h"
#include "kernels/host_backends.h"

namespace tally {
namespace {

// What a payload of signs stands for; `out` [chunk.num_elements].
absl::Status DecodeSigns(const Layout& layout, uint32_t chunk, const ScaleGranularity& granularity,
                         const Buffer& payload, absl::Span<float> out) {
  const std::vector<uint32_t> ends = layout.SegmentEnds(chunk, granularity);
  TALLY_ASSIGN_OR_RETURN(const SignBlock block,
                         DecodeSign(payload.bytes(), out.size(), ends.size()));
  return FastestHostBackend()->SumSigns(absl::MakeConstSpan(&block, 1), ends, layout.live(chunk),
                                        out);
}

}  // namespace

absl::Status PutBack(const UndoneContribution& undone, const Layout& layout,
                     const Optimizer& optimizer, absl::Span<float> residual) {
  const Layout::Chunk& shape = layout.chunks()[undone.chunk];
  if (undone.payload == nullptr || shape.dense || shape.dealt) return absl::OkStatus();
  const absl::Span<float> chunk = residual.subspan(shape.offset, shape.num_elements);
  if (const auto* sparse = absl::get_if<SparseExchange>(&undone.exchange.kind)) {
    TALLY_ASSIGN_OR_RETURN(const SparseBlock block,
                           DecodeSparse(undone.payload->bytes(), shape.num_elements,
                                        sparse->max_values, /*with_values=*/true));
    for (size_t k = 0; k < block.indices.size(); ++k) chunk[block.indices[k]] += block.values[k];
    return absl::OkStatus();
  }
  const auto* signs = absl::get_if<SignExchange>(&undone.exchange.kind);
  TALLY_ASSIGN_OR_RETURN(const bool has_copy, optimizer.TurnIntoSharedPart(shape.offset, {}));
  if (signs == nullptr || (has_copy && undone.mean_before == nullptr)) return absl::OkStatus();
  std::vector<float> copy(chunk.size());
  if (has_copy) {
    TALLY_RETURN_IF_ERROR(DecodeSigns(layout, undone.chunk, signs->granularity, *undone.mean_before,
                                      absl::MakeSpan(copy)));
    TALLY_RETURN_IF_ERROR(
        optimizer.TurnIntoSharedPart(shape.offset, absl::MakeSpan(copy)).status());
  }
  std::vector<float> values(chunk.size());
  TALLY_RETURN_IF_ERROR(DecodeSigns(layout, undone.chunk, signs->granularity, *undone.payload,
                                    absl::MakeSpan(values)));
  for (size_t i = 0; i < chunk.size(); ++i) chunk[i] += values[i] - copy[i];
  return absl::OkStatus();
}

absl::StatusOr<std::vector<float>> ResidualToKeep(Client* client, Optimizer* optimizer) {
  TALLY_RETURN_IF_ERROR(TakeInheritances(client, optimizer));
  const Layout& layout = client->layout();
  std::vector<float> residual = optimizer->Residual();
  const std::vector<UndoneContribution> all_undone = client->TakeUndone();
  if (residual.empty()) return residual;
  residual.resize(layout.num_compressed());
  const ScopedFloatEnvironment float_environment;
  for (const UndoneContribution& undone : all_undone) {
    TALLY_RETURN_IF_ERROR(PutBack(undone, layout, *optimizer, absl::MakeSpan(residual)));
  }
  return residual;
}

}  // namespace tally
