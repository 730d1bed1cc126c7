// Numbers with units as people write them.
#ifndef TALLY_TOOLS_QUANTITY_H_
#define TALLY_TOOLS_QUANTITY_H_

#include <cstdint>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace tally {

// Each takes the name under which it complains, such as "--workers", and returns INVALID_ARGUMENT,
// naming it, the text and the rule, if the text is anything else.

// A whole number from 1 to 2^53: "16", "25.6e6".
absl::StatusOr<uint64_t> ParseCount(absl::string_view name, absl::string_view text);

// The same below 2^32.
absl::StatusOr<uint32_t> ParseSmallCount(absl::string_view name, absl::string_view text);

// A positive rate in bits per second, with its unit, powers of 1000: "1Gbps", "2.5 Mbps", "64kbps",
// "9600bps".
absl::StatusOr<double> ParseBitRate(absl::string_view name, absl::string_view text);

// A time that is not negative: "120ms", "1.5s", "0".
absl::StatusOr<absl::Duration> ParseTime(absl::string_view name, absl::string_view text);

}  // namespace tally

#endif  // TALLY_TOOLS_QUANTITY_H_
