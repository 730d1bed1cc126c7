// Durations <-> google.protobuf.Duration.
#ifndef TALLY_CODECS_DURATION_H_
#define TALLY_CODECS_DURATION_H_

#include "absl/time/time.h"
#include "google/protobuf/duration.pb.h"

namespace tally {

// Rounded towards zero to whole nanoseconds.
google::protobuf::Duration EncodeDuration(absl::Duration duration);

// Takes whatever the fields hold, also what is no valid google.protobuf.Duration: a fraction of
// more than a second, or of the other sign, is simply added.
absl::Duration DecodeDuration(const google::protobuf::Duration& message);

}  // namespace tally

#endif  // TALLY_CODECS_DURATION_H_
