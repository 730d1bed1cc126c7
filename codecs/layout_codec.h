// Layout <-> proto/tally/v1/layout.proto.
#ifndef TALLY_CODECS_LAYOUT_CODEC_H_
#define TALLY_CODECS_LAYOUT_CODEC_H_

#include "absl/status/statusor.h"
#include "codecs/layout.h"
#include "proto/tally/v1/layout.pb.h"

namespace tally {

v1::Layout EncodeLayout(const Layout& layout);

// Returns INVALID_ARGUMENT as Layout::Create does, and if a treatment is unspecified or unknown.
absl::StatusOr<Layout> DecodeLayout(const v1::Layout& message);

}  // namespace tally

#endif  // TALLY_CODECS_LAYOUT_CODEC_H_
