#include "client/early_results.h"

#include <utility>

#include "absl/strings/str_cat.h"

namespace tally {
namespace {

uint64_t BytesOf(const ChunkResult& result) {
  return result.payload == nullptr ? 0 : result.payload->size();
}

}  // namespace

absl::Status EarlyResults::Add(ChunkResult result) {
  num_bytes_ += BytesOf(result);
  results_.push_back(std::move(result));
  if (results_.size() <= max_results_ || num_bytes_ <= max_bytes_) {
    return absl::OkStatus();
  }
  return absl::ResourceExhaustedError(absl::StrCat(
      results_.size(), " results of ", num_bytes_, " bytes wait for their rounds to be opened, at ",
      "most ", max_results_, " may, or ", max_bytes_,
      " bytes: this worker must keep up with the others, or come anew"));
}

std::vector<ChunkResult> EarlyResults::Take(uint64_t round) {
  std::vector<ChunkResult> taken, later;
  for (ChunkResult& result : results_) {
    if (result.round == round) num_bytes_ -= BytesOf(result);
    (result.round == round ? taken : later).push_back(std::move(result));
  }
  results_ = std::move(later);
  return taken;
}

}  // namespace tally
