// What is exchanged in one round of one chunk, and what its payloads must look like.
#ifndef TALLY_CODECS_EXCHANGE_H_
#define TALLY_CODECS_EXCHANGE_H_

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "absl/types/variant.h"
#include "codecs/layout.h"
#include "kernels/backend.h"
#include "kernels/dtype.h"
#include "proto/tally/v1/exchange.pb.h"

namespace tally {

// Values up, their mean down.
struct DenseExchange {
  DType dtype = DType::kFloat32;
  friend bool operator==(const DenseExchange&, const DenseExchange&) = default;
};

// Signs and scales up and down, with a residual on both sides.
struct SignExchange {
  ScaleRule scale_rule = ScaleRule::kRootMeanSquare;  // the aggregator's
  ScaleGranularity granularity;
  bool zero_residual = false;  // the aggregator forgets its residual before this exchange
  friend bool operator==(const SignExchange&, const SignExchange&) = default;
};

enum class Divisor : uint8_t { kParticipants, kRoster };

// The C++ form of v1::ExchangeDescriptor.
struct Exchange {
  absl::variant<DenseExchange, SignExchange> kind;
  Divisor divisor = Divisor::kParticipants;
  friend bool operator==(const Exchange&, const Exchange&) = default;
};

v1::ExchangeDescriptor EncodeExchange(const Exchange& exchange);

// Returns UNIMPLEMENTED if the kind is unset or unknown; INVALID_ARGUMENT, naming the field, if an
// enum is unspecified or unknown, a granularity is unset, a block is not a multiple of 256 that
// divides the layout's chunk_elements, or the exchange compresses a chunk of the dense part.
absl::StatusOr<Exchange> DecodeExchange(const v1::ExchangeDescriptor& message, const Layout& layout,
                                        size_t chunk);

// For people: "sign(RMS, block 4096)", "dense(FLOAT32)". Exchanges that differ have names that
// differ.
std::string ExchangeName(const Exchange& exchange);

// Exact size of every payload of this exchange of this chunk, up and down.
uint64_t PayloadBytes(const Exchange& exchange, const Layout& layout, size_t chunk);

// The largest payload that any exchange, of either kind and any granularity, has for this chunk.
uint64_t MaxPayloadBytes(const Layout& layout, size_t chunk);

// Checks a payload from outside, whole: its size and every rule of its codec (sign_codec.h,
// dense_codec.h), also for masked elements. `payload` starts on a 4-byte boundary.
// Returns INVALID_ARGUMENT, naming field, value and rule.
absl::Status ValidatePayload(const Exchange& exchange, const Layout& layout, size_t chunk,
                             absl::Span<const uint8_t> payload, const Backend& backend);

}  // namespace tally

#endif  // TALLY_CODECS_EXCHANGE_H_
