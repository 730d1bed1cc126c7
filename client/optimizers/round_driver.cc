#include "client/optimizers/round_driver.h"

#include <cstddef>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"

namespace tally {

absl::Status RoundDriver::Run(Encode encode, Apply apply) {
  const auto nothing_to_answer = [](const ChunkResult& result,
                                    Fate) -> absl::StatusOr<ChunkContribution> {
    return absl::InternalError(absl::StrCat("round ", result.round, ", chunk ", result.chunk,
                                            ": a round with two halves that nobody answers"));
  };
  return Run(encode, nothing_to_answer, apply);
}

absl::Status RoundDriver::Run(Encode encode, Answer answer, Apply apply) {
  if (failure_.ok()) failure_ = RunOnce(encode, answer, apply);
  return failure_;
}

absl::Status RoundDriver::RunOnce(Encode encode, Answer answer, Apply apply) {
  const size_t num_chunks = exchanger_.layout().chunks().size();
  sent_.assign(num_chunks, Sent());
  TALLY_RETURN_IF_ERROR(exchanger_.StartRound());
  size_t num_outstanding = num_chunks;
  for (uint32_t chunk = 0; chunk < num_chunks; ++chunk) {
    TALLY_ASSIGN_OR_RETURN(ChunkContribution contribution, encode(chunk));
    TALLY_RETURN_IF_ERROR(Send(chunk, std::move(contribution)));
    while (num_outstanding > 0) {
      TALLY_ASSIGN_OR_RETURN(const absl::optional<ChunkResult> result, exchanger_.PollResult());
      if (!result.has_value()) break;
      TALLY_ASSIGN_OR_RETURN(const bool over, TakeResult(*result, answer, apply));
      if (over) --num_outstanding;
    }
  }
  while (num_outstanding > 0) {
    TALLY_ASSIGN_OR_RETURN(const ChunkResult result, exchanger_.NextResult());
    TALLY_ASSIGN_OR_RETURN(const bool over, TakeResult(result, answer, apply));
    if (over) --num_outstanding;
  }
  return absl::OkStatus();
}

absl::Status RoundDriver::Send(uint32_t chunk, ChunkContribution contribution) {
  Sent& sent = sent_[chunk];
  sent.exchange = contribution.exchange;
  sent.outstanding = true;
  sent.abstained = !contribution.payload.has_value();
  if (sent.abstained) return exchanger_.Abstain(chunk, contribution.exchange);
  return exchanger_.Contribute(chunk, contribution.exchange, *std::move(contribution.payload));
}

absl::StatusOr<bool> RoundDriver::TakeResult(const ChunkResult& result, Answer answer,
                                             Apply apply) {
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
  if (result.counted && !result.settled && (sent.abstained || !result.exchange.has_value())) {
    return absl::DataLossError(absl::StrCat("round ", result.round, ", chunk ", result.chunk,
                                            ": `counted` is true, but this worker ",
                                            sent.abstained ? "abstained" : "exchanged nothing"));
  }
  const Fate fate = sent.abstained   ? Fate::kAbstained
                    : result.counted ? Fate::kCounted
                                     : Fate::kMissed;
  if (result.exchange.has_value() && HasSecondHalf(*result.exchange)) {
    TALLY_ASSIGN_OR_RETURN(ChunkContribution contribution, answer(result, fate));
    TALLY_RETURN_IF_ERROR(Send(result.chunk, std::move(contribution)));
    return false;
  }
  TALLY_RETURN_IF_ERROR(apply(result, fate));
  return true;
}

}  // namespace tally
