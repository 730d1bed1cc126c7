#include "codecs/duration.h"

#include <cstdint>

namespace tally {

google::protobuf::Duration EncodeDuration(absl::Duration duration) {
  google::protobuf::Duration message;
  absl::Duration fraction;
  message.set_seconds(absl::IDivDuration(duration, absl::Seconds(1), &fraction));
  message.set_nanos(static_cast<int32_t>(absl::ToInt64Nanoseconds(fraction)));
  return message;
}

absl::Duration DecodeDuration(const google::protobuf::Duration& message) {
  return absl::Seconds(message.seconds()) + absl::Nanoseconds(message.nanos());
}

}  // namespace tally
