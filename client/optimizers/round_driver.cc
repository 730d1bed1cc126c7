#include "client/optimizers/round_driver.h"

#include <cstddef>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"

namespace tally {

absl::Status RoundDriver::Run(Encode encode, Apply apply) {
  if (failure_.ok()) failure_ = RunOnce(encode, apply);
  return failure_;
}

absl::Status RoundDriver::RunOnce(Encode encode, Apply apply) {
  const size_t num_chunks = exchanger_.layout().chunks().size();
  sent_.assign(num_chunks, Sent());
  TALLY_RETURN_IF_ERROR(exchanger_.StartRound());
  size_t num_outstanding = num_chunks;
  for (uint32_t chunk = 0; chunk < num_chunks; ++chunk) {
    TALLY_ASSIGN_OR_RETURN(ChunkContribution contribution, encode(chunk));
    Sent& sent = sent_[chunk];
    sent.exchange = contribution.exchange;
    sent.outstanding = true;
    if (contribution.payload.has_value()) {
      TALLY_RETURN_IF_ERROR(
          exchanger_.Contribute(chunk, contribution.exchange, *std::move(contribution.payload)));
    } else {
      sent.abstained = true;
      TALLY_RETURN_IF_ERROR(exchanger_.Abstain(chunk, contribution.exchange));
    }
    while (num_outstanding > 0) {
      TALLY_ASSIGN_OR_RETURN(const absl::optional<ChunkResult> result, exchanger_.PollResult());
      if (!result.has_value()) break;
      TALLY_RETURN_IF_ERROR(ApplyResult(*result, apply));
      --num_outstanding;
    }
  }
  for (; num_outstanding > 0; --num_outstanding) {
    TALLY_ASSIGN_OR_RETURN(const ChunkResult result, exchanger_.NextResult());
    TALLY_RETURN_IF_ERROR(ApplyResult(result, apply));
  }
  return absl::OkStatus();
}

absl::Status RoundDriver::ApplyResult(const ChunkResult& result, Apply apply) {
  if (result.chunk >= sent_.size() || !sent_[result.chunk].outstanding) {
    return absl::InternalError(absl::StrCat("round ", result.round, ": a result for chunk ",
                                            result.chunk, ", which waits for none"));
  }
  Sent& sent = sent_[result.chunk];
  sent.outstanding = false;
  if (result.exchange.has_value() && !(*result.exchange == sent.exchange)) {
    return absl::FailedPreconditionError(absl::StrCat(
        "round ", result.round, ", chunk ", result.chunk,
        ": `exchange` = ", ExchangeName(*result.exchange), ", must be what this worker put in, ",
        ExchangeName(sent.exchange), ": its state is not the others'"));
  }
  if (result.counted && (sent.abstained || !result.exchange.has_value())) {
    return absl::DataLossError(absl::StrCat("round ", result.round, ", chunk ", result.chunk,
                                            ": `counted` is true, but this worker ",
                                            sent.abstained ? "abstained" : "exchanged nothing"));
  }
  if (sent.abstained) return apply(result, Fate::kAbstained);
  return apply(result, result.counted ? Fate::kCounted : Fate::kMissed);
}

}  // namespace tally
