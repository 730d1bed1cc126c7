// The adviser's answer for people.
#ifndef TALLY_CLIENT_ADVICE_ADVICE_TEXT_H_
#define TALLY_CLIENT_ADVICE_ADVICE_TEXT_H_

#include <string>

#include "absl/time/time.h"
#include "client/advice/advice.h"

namespace tally {

// What was asked, the answer in a sentence, all methods from the fastest to the slowest, where
// their time goes, and the formula. Lines end with a newline.
std::string FormatAdvice(const Advice& advice);

// Three digits and a unit: "1.74 s", "310 ms", "12.5 us"; "2.31 h" from an hour on.
std::string FormatSeconds(absl::Duration time);

// "1 Gbps", "2.5 Mbps".
std::string FormatBitRate(double bits_per_second);

}  // namespace tally

#endif  // TALLY_CLIENT_ADVICE_ADVICE_TEXT_H_
