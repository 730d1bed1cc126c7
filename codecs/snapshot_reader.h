// Snapshots of an aggregator's residual as they come off a stream, on either side.
#ifndef TALLY_CODECS_SNAPSHOT_READER_H_
#define TALLY_CODECS_SNAPSHOT_READER_H_

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/optional.h"
#include "base/buffer.h"
#include "codecs/layout.h"
#include "codecs/residual_assembler.h"
#include "proto/tally/v1/recovery.pb.h"

namespace tally {

// A residual with all of its bytes: [num_elements of the chunk] fp32, little-endian.
struct ReceivedSnapshot {
  v1::ResidualSnapshot message;  // of the first slice
  SharedBuffer payload;
};

// Puts the slices of the snapshots of one stream together. A new stream begins with a new reader.
// Not thread-safe.
class SnapshotReader {
 public:
  // `layout` outlives this.
  explicit SnapshotReader(const Layout* layout) : assembler_(layout, "residual_snapshot") {}

  // Takes the next slice; returns the snapshot that it completes, if it does.
  // Returns DATA_LOSS, naming chunk, round, field, value and rule, if the chunk does not exist, the
  // payload has not 4 bytes for each of its elements or another digest than declared, or the slices
  // do not follow each other.
  absl::StatusOr<absl::optional<ReceivedSnapshot>> Take(v1::ResidualSnapshot slice,
                                                        absl::string_view piece);

 private:
  ResidualAssembler assembler_;
  v1::ResidualSnapshot first_;
};

}  // namespace tally

#endif  // TALLY_CODECS_SNAPSHOT_READER_H_
