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

// Signs and scales up, all participants' down as they came.
struct SignRelayExchange {
  ScaleGranularity granularity;
  friend bool operator==(const SignRelayExchange&, const SignRelayExchange&) = default;
};

enum class VoteResult : uint8_t { kDrawn, kMajority, kCounts };

// One bit per element up, the votes' outcome down.
struct VoteExchange {
  VoteResult result = VoteResult::kDrawn;
  friend bool operator==(const VoteExchange&, const VoteExchange&) = default;
};

// First half of a sketch round: tables up, the elements with the largest estimates down.
struct SketchExchange {
  uint64_t hash_seed = 0;
  uint32_t rows = 5;
  uint32_t columns = 0;
  DType dtype = DType::kFloat32;  // of the tables
  uint32_t num_candidates = 0;
  bool with_estimates = false;  // and no second half
  friend bool operator==(const SketchExchange&, const SketchExchange&) = default;
};

// Second half of a sketch round: values of the chosen elements up, their mean down.
struct ValuesExchange {
  uint32_t num_values = 0;
  uint64_t candidates_digest = 0;  // payload digest of the first half's result
  DType dtype = DType::kFloat32;
  friend bool operator==(const ValuesExchange&, const ValuesExchange&) = default;
};

// Elements and values up, the mean of all that were sent down.
struct SparseExchange {
  uint32_t max_values = 0;  // of one contribution
  friend bool operator==(const SparseExchange&, const SparseExchange&) = default;
};

enum class Divisor : uint8_t { kParticipants, kRoster };

// The C++ form of v1::ExchangeDescriptor.
struct Exchange {
  absl::variant<DenseExchange, SignExchange, SignRelayExchange, VoteExchange, SketchExchange,
                ValuesExchange, SparseExchange>
      kind;
  Divisor divisor = Divisor::kParticipants;
  friend bool operator==(const Exchange&, const Exchange&) = default;
};

// Whether this is the second half of a round, or has one to follow.
bool IsSecondHalf(const Exchange& exchange);
bool HasSecondHalf(const Exchange& exchange);

v1::ExchangeDescriptor EncodeExchange(const Exchange& exchange);

// Returns UNIMPLEMENTED if the kind or a hash version is unset or unknown; INVALID_ARGUMENT, naming
// the field, if a field breaks its rule in proto/tally/v1/exchange.proto, or if the kind does not
// fit the chunk: chunks of the dense part are exchanged dense, dealt groups dense, by sketch or by
// values, other chunks by all kinds but sketch and values.
absl::StatusOr<Exchange> DecodeExchange(const v1::ExchangeDescriptor& message, const Layout& layout,
                                        size_t chunk);

// For people: "sign(RMS, block 4096)", "dense(FLOAT32)". Exchanges that differ have names that
// differ.
std::string ExchangeName(const Exchange& exchange);

// Sizes of the payloads of one exchange of a chunk.
struct PayloadSize {
  uint64_t max_bytes = 0;
  bool fixed = true;  // every payload has max_bytes
};
PayloadSize ContributionSize(const Exchange& exchange, const Layout& layout, size_t chunk);
PayloadSize ResultSize(const Exchange& exchange, const Layout& layout, size_t chunk,
                       uint32_t num_participants);

// The largest payload that any exchange, of any kind and granularity, has for this chunk.
uint64_t MaxContributionBytes(const Layout& layout, size_t chunk);
uint64_t MaxResultBytes(const Layout& layout, size_t chunk, uint32_t roster_limit);

// Most workers of a job that may relay signs: its results grow with them.
inline constexpr uint32_t kMaxRelayParticipants = 16;

// Check a payload from outside, whole: its size and every rule of its codec, also for masked
// elements. `payload` starts on a 4-byte boundary.
// Return INVALID_ARGUMENT, naming field, value and rule.
absl::Status ValidateContribution(const Exchange& exchange, const Layout& layout, size_t chunk,
                                  absl::Span<const uint8_t> payload, const Backend& backend);
absl::Status ValidateResult(const Exchange& exchange, const Layout& layout, size_t chunk,
                            uint32_t num_participants, absl::Span<const uint8_t> payload,
                            const Backend& backend);

}  // namespace tally

#endif  // TALLY_CODECS_EXCHANGE_H_
