// Results as they come off a stream: slices of payloads, put together.
#ifndef TALLY_CODECS_RESULT_READER_H_
#define TALLY_CODECS_RESULT_READER_H_

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/optional.h"
#include "base/buffer.h"
#include "codecs/layout.h"
#include "codecs/slices.h"
#include "proto/tally/v1/exchange.pb.h"

namespace tally {

// A result with all of its bytes; what they are worth is yet to be seen (checked_result.h).
struct ReceivedResult {
  v1::Result message;  // of the first slice
  SharedBuffer payload;
};

// Puts the slices of the results of one stream together. A new stream begins with a new reader. Not
// thread-safe.
class ResultReader {
 public:
  // `layout` outlives this. The job has at most `roster_limit` workers.
  ResultReader(const Layout* layout, uint32_t roster_limit)
      : layout_(layout), roster_limit_(roster_limit) {}

  // Takes the next slice; returns the result that it completes, if it does.
  // Returns DATA_LOSS, naming chunk, round, field, value and rule, if the chunk does not exist, the
  // payload is larger than any of this chunk may be, or the slices do not follow each other.
  absl::StatusOr<absl::optional<ReceivedResult>> Take(v1::Result slice, absl::string_view piece);

 private:
  absl::Status Append(const v1::Result& slice, absl::string_view piece);

  const Layout* layout_;
  uint32_t roster_limit_;
  SliceAssembler assembler_;
  v1::Result first_;
};

}  // namespace tally

#endif  // TALLY_CODECS_RESULT_READER_H_
