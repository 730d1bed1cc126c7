#include "aggregator/contribution_reader.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "base/digest.h"
#include "base/status_macros.h"
#include "codecs/limits.h"

namespace tally {

absl::StatusOr<absl::optional<StagedContribution>> ContributionReader::Read(
    const v1::Contribution& message, absl::Span<const uint8_t> piece) {
  const auto with_place = [&message](const absl::Status& status) {
    return absl::Status(status.code(), absl::StrCat("chunk ", message.chunk(), ", round ",
                                                    message.round(), ": ", status.message()));
  };
  const absl::Status status =
      assembler_.in_progress() ? Continue(message, piece) : Begin(message, piece);
  if (!status.ok()) return with_place(status);
  if (!assembler_.complete()) return absl::optional<StagedContribution>();
  absl::StatusOr<StagedContribution> contribution = Finish();
  if (!contribution.ok()) return with_place(contribution.status());
  return absl::optional<StagedContribution>(*std::move(contribution));
}

absl::Status ContributionReader::Begin(const v1::Contribution& message,
                                       absl::Span<const uint8_t> piece) {
  const Layout& layout = description_->layout;
  if (message.chunk() >= layout.chunks().size() || !description_->Places(message.chunk())) {
    return absl::InvalidArgumentError(
        absl::StrCat("`chunk` = ", message.chunk(), ", must be below ", layout.chunks().size(),
                     " and ", description_->aggregator_index, " modulo ",
                     description_->aggregators.size(), ", the chunks of this aggregator"));
  }
  if (message.half() != 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("`half` = ", message.half(), ", must be 0 for this kind of exchange"));
  }
  if (message.run() != description_->run) {
    return absl::InvalidArgumentError(absl::StrCat(
        "`run` = ", message.run(), ", must be ", description_->run, " as in this stream's Hello"));
  }
  if (message.member().worker() != member_.worker ||
      message.member().incarnation() != member_.incarnation) {
    return absl::InvalidArgumentError(absl::StrCat(
        "`member` = ", message.member().worker(), "/", message.member().incarnation(), ", must be ",
        member_.worker, "/", member_.incarnation, " as in this stream's Hello"));
  }
  TALLY_ASSIGN_OR_RETURN(Exchange exchange,
                         DecodeExchange(message.exchange(), layout, message.chunk()));
  // A field from a later version may change what the exchange means; and whoever compares exchanges
  // compares what was understood.
  if (message.exchange().ByteSizeLong() != EncodeExchange(exchange).ByteSizeLong()) {
    return absl::UnimplementedError(absl::StrCat("`exchange` = ", ExchangeName(exchange),
                                                 " with further fields, must have none that are "
                                                 "unknown to this build"));
  }
  const uint64_t expected_bytes =
      message.abstain() ? 0 : PayloadBytes(exchange, layout, message.chunk());
  if (message.slice().total_bytes() != expected_bytes) {
    return absl::InvalidArgumentError(absl::StrCat(
        "`slice.total_bytes` = ", message.slice().total_bytes(), ", must be ", expected_bytes,
        message.abstain() ? " when abstaining" : absl::StrCat(" for ", ExchangeName(exchange))));
  }
  TALLY_RETURN_IF_ERROR(assembler_.Begin(message.slice(), piece, expected_bytes));
  current_ = {.chunk = message.chunk(),
              .round = message.round(),
              .prev_chain = message.prev_chain(),
              .abstain = message.abstain(),
              .exchange = exchange,
              .payload_digest = message.payload_digest()};
  return absl::OkStatus();
}

absl::Status ContributionReader::Continue(const v1::Contribution& message,
                                          absl::Span<const uint8_t> piece) {
  if (message.chunk() != current_.chunk || message.round() != current_.round ||
      message.half() != 0) {
    return absl::InvalidArgumentError(absl::StrCat(
        "`chunk`, `round`, `half` = ", message.chunk(), ", ", message.round(), ", ", message.half(),
        ", must be ", current_.chunk, ", ", current_.round, ", 0 until that payload is complete"));
  }
  return assembler_.Continue(message.slice(), piece);
}

absl::StatusOr<StagedContribution> ContributionReader::Finish() {
  Buffer payload = assembler_.Take();
  if (current_.abstain) return std::move(current_);
  const uint64_t digest = Digest64(payload.bytes());
  if (digest != current_.payload_digest) {
    return absl::DataLossError(
        absl::StrCat("`payload_digest` = ", absl::Hex(current_.payload_digest),
                     ", must be the payload's, ", absl::Hex(digest)));
  }
  TALLY_RETURN_IF_ERROR(ValidatePayload(current_.exchange, description_->layout, current_.chunk,
                                        payload.bytes(), *backend_));
  current_.payload = std::make_shared<const Buffer>(std::move(payload));
  return std::move(current_);
}

}  // namespace tally
