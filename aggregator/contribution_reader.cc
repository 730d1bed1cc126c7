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
  TALLY_RETURN_IF_ERROR(CheckFits(exchange, message.half()));
  const PayloadSize size = message.abstain() ? PayloadSize{.max_bytes = 0}
                                             : ContributionSize(exchange, layout, message.chunk());
  const uint64_t total_bytes = message.slice().total_bytes();
  if (total_bytes > size.max_bytes || (size.fixed && total_bytes != size.max_bytes)) {
    return absl::InvalidArgumentError(absl::StrCat(
        "`slice.total_bytes` = ", total_bytes, ", must be ", size.fixed ? "" : "at most ",
        size.max_bytes,
        message.abstain() ? " when abstaining" : absl::StrCat(" for ", ExchangeName(exchange))));
  }
  TALLY_RETURN_IF_ERROR(assembler_.Begin(message.slice(), piece, size.max_bytes));
  current_ = {.chunk = message.chunk(),
              .place = {message.round(), message.half()},
              .prev_chain = message.prev_chain(),
              .abstain = message.abstain(),
              .save = message.save(),
              .exchange = exchange,
              .replica_digest = message.replica_digest(),
              .payload_digest = message.payload_digest()};
  return absl::OkStatus();
}

absl::Status ContributionReader::CheckFits(const Exchange& exchange, uint32_t half) const {
  const uint32_t expected_half = IsSecondHalf(exchange) ? 1 : 0;
  if (half != expected_half) {
    return absl::InvalidArgumentError(absl::StrCat("`half` = ", half, ", must be ", expected_half,
                                                   " for ", ExchangeName(exchange)));
  }
  if (absl::holds_alternative<SignRelayExchange>(exchange.kind) &&
      description_->roster_limit > kMaxRelayParticipants) {
    return absl::InvalidArgumentError(
        absl::StrCat("`exchange` = ", ExchangeName(exchange),
                     ", must be another one for a job of up to ", description_->roster_limit,
                     " workers: signs are relayed to at most ", kMaxRelayParticipants));
  }
  return absl::OkStatus();
}

absl::Status ContributionReader::Continue(const v1::Contribution& message,
                                          absl::Span<const uint8_t> piece) {
  if (message.chunk() != current_.chunk || message.round() != current_.place.round ||
      message.half() != current_.place.half) {
    return absl::InvalidArgumentError(
        absl::StrCat("`chunk`, `round`, `half` = ", message.chunk(), ", ", message.round(), ", ",
                     message.half(), ", must be ", current_.chunk, ", ", current_.place.round, ", ",
                     current_.place.half, " until that payload is complete"));
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
  TALLY_RETURN_IF_ERROR(ValidateContribution(current_.exchange, description_->layout,
                                             current_.chunk, payload.bytes(), *backend_));
  current_.payload = std::make_shared<const Buffer>(std::move(payload));
  return std::move(current_);
}

}  // namespace tally
