#include "codecs/checked_result.h"

#include <bit>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "base/digest.h"
#include "base/status_macros.h"
#include "codecs/roster.h"

namespace tally {
namespace {

absl::Status Contradiction(const v1::Result& result, absl::string_view what) {
  return absl::DataLossError(
      absl::StrCat("chunk ", result.chunk(), ", round ", result.round(), ": ", what));
}

// Checks what stands in the message and in the header alike.
absl::Status CheckNames(const v1::Result& result, const v1::ResultHeader& header,
                        const Layout& layout) {
  if (header.chunk() != result.chunk() || header.round() != result.round() ||
      header.half() != result.half()) {
    return Contradiction(
        result, absl::StrCat("`header` is that of chunk ", header.chunk(), ", round ",
                             header.round(), ", half ", header.half(), ", must be the message's"));
  }
  if (header.chunk() >= layout.chunks().size()) {
    return Contradiction(result, absl::StrCat("`header.chunk` must be less than ",
                                              layout.chunks().size(), ", the layout's chunks"));
  }
  if (header.half() > 1) {
    return Contradiction(result,
                         absl::StrCat("`header.half` = ", header.half(), ", must be 0 or 1"));
  }
  return absl::OkStatus();
}

absl::Status CheckPayloadBytes(const v1::Result& result, const v1::ResultHeader& header,
                               absl::Span<const uint8_t> payload) {
  if (header.payload_bytes() != payload.size()) {
    return Contradiction(result, absl::StrCat("`header.payload_bytes` = ", header.payload_bytes(),
                                              ", must be ", payload.size(), " as arrived"));
  }
  const uint64_t digest = payload.empty() ? 0 : Digest64(payload);
  if (header.payload_digest() != digest) {
    return Contradiction(
        result, absl::StrCat("`header.payload_digest` = ", absl::Hex(header.payload_digest()),
                             ", must be ", absl::Hex(digest), ", the digest of what arrived"));
  }
  return absl::OkStatus();
}

uint32_t NumParticipants(const v1::ResultHeader& header) {
  uint32_t count = 0;
  for (const char byte : header.participants()) {
    count += static_cast<uint32_t>(std::popcount(static_cast<uint8_t>(byte)));
  }
  return count;
}

}  // namespace

absl::StatusOr<CheckedResult> CheckResult(const v1::Result& result, SharedBuffer payload,
                                          const Layout& layout, const Backend& backend) {
  CheckedResult checked;
  v1::ResultHeader& header = checked.header;
  if (!header.ParseFromString(result.header())) {
    return Contradiction(result, "`header` must be a serialized tally.v1.ResultHeader");
  }
  TALLY_RETURN_IF_ERROR(CheckNames(result, header, layout));
  const absl::Span<const uint8_t> bytes =
      payload == nullptr ? absl::Span<const uint8_t>() : payload->bytes();
  TALLY_RETURN_IF_ERROR(CheckPayloadBytes(result, header, bytes));

  const bool anybody = NumParticipants(header) > 0;
  if (header.has_genesis() && (anybody || header.has_exchange())) {
    return Contradiction(result, "`header.genesis` is set, must have no exchange or participants");
  }
  if (anybody != header.has_exchange()) {
    return Contradiction(
        result, absl::StrCat("`header.exchange` is ", header.has_exchange() ? "set" : "unset",
                             ", must be set exactly if somebody took part"));
  }
  if (!anybody && !bytes.empty()) {
    return Contradiction(result, absl::StrCat("`header.payload_bytes` = ", bytes.size(),
                                              ", must be 0 where nobody took part"));
  }
  if (anybody) {
    absl::StatusOr<Exchange> exchange = DecodeExchange(header.exchange(), layout, header.chunk());
    if (absl::IsUnimplemented(exchange.status())) return exchange.status();
    if (!exchange.ok()) return Contradiction(result, exchange.status().message());
    if (IsSecondHalf(*exchange) != (header.half() == 1)) {
      return Contradiction(
          result, absl::StrCat("`header.half` = ", header.half(), ", must be ", 1 - header.half(),
                               " for ", ExchangeName(*exchange)));
    }
    const absl::Status valid =
        ValidateResult(*exchange, layout, header.chunk(), NumParticipants(header), bytes, backend);
    if (!valid.ok()) return Contradiction(result, valid.message());
    checked.exchange = *std::move(exchange);
  }
  checked.header_bytes = result.header();
  checked.chain = ChainOf(checked.header_bytes);
  checked.advice = result.advice();
  checked.payload = std::move(payload);
  return checked;
}

}  // namespace tally
