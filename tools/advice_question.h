// The adviser's question as a command line puts it.
#ifndef TALLY_TOOLS_ADVICE_QUESTION_H_
#define TALLY_TOOLS_ADVICE_QUESTION_H_

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "client/advice/advice_options.h"

namespace tally {

// One flag each (tools/tallyctl.cc says what they mean); where empty is allowed, it is the default
// of AdviceOptions.
struct AdviceQuestion {
  std::string parameters;
  std::string workers;
  std::string uplink;
  std::string downlink;         // or empty
  std::string aggregators;      // or empty
  std::string aggregator_link;  // or empty
  std::string aggregator_cores = "4";
  std::string latency = "0";
  std::string step = "0";
  double overlap = 0;
  double dense_share = 0;
  uint32_t chunk_elements = 1 << 20;
  std::string rounds = "10000";
  std::string warmup_rounds;  // or empty; else a count, or 0
  std::string dense_type = "float32";
  double share = 0.01;
  double sketch_share = 0.005;
  double sketch_columns_share = 0.05;
};

// Returns INVALID_ARGUMENT, naming the flag, its value and the rule, if one cannot be read. Ranges
// are Advise's to check.
absl::StatusOr<AdviceOptions> ReadQuestion(const AdviceQuestion& question);

}  // namespace tally

#endif  // TALLY_TOOLS_ADVICE_QUESTION_H_
