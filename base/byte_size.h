// Amounts of memory as people write them.
#ifndef TALLY_BASE_BYTE_SIZE_H_
#define TALLY_BASE_BYTE_SIZE_H_

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace tally {

// Reads "1000000", "512MiB" or "1.5GiB": digits, for KiB and up also a point and at most six
// digits, then nothing, B, KiB, MiB, GiB or TiB (powers of 1024; KB and its kin are refused, since
// half the world means 1000 by them). Rounds a fraction of a byte down. Returns INVALID_ARGUMENT if
// `text` is anything else, negative, or 2^64 bytes and more.
absl::StatusOr<uint64_t> ParseByteSize(absl::string_view text);

// Writes `num_bytes` in the largest unit of which there is at least one, rounded down to two
// decimals: "512MiB", "1.5GiB", "976.56KiB".
std::string FormatByteSize(uint64_t num_bytes);

}  // namespace tally

#endif  // TALLY_BASE_BYTE_SIZE_H_
