// What leavers hand over, as it comes off an heir's stream.
#ifndef TALLY_CODECS_HANDOVER_READER_H_
#define TALLY_CODECS_HANDOVER_READER_H_

#include <map>
#include <string>

#include "absl/strings/string_view.h"
#include "absl/types/optional.h"
#include "base/buffer.h"
#include "codecs/layout.h"
#include "codecs/residual_assembler.h"
#include "proto/tally/v1/membership.pb.h"

namespace tally {

// A leaver's residual of one chunk, with all of its bytes.
struct ReceivedHandover {
  v1::Handover message;  // of the first slice
  SharedBuffer payload;
};

// Puts the slices of handovers together, of several leavers at a time. They come from other
// workers, who must not be able to harm this one: what is not whole, or not finite, is dropped, and
// an honest leaver sends it again. A new stream begins with a new reader. Not thread-safe.
class HandoverReader {
 public:
  // `layout` outlives this.
  explicit HandoverReader(const Layout* layout) : layout_(layout) {}

  // Takes the next slice; returns the handover that it completes, if it does.
  absl::optional<ReceivedHandover> Take(v1::Handover slice, absl::string_view piece);

 private:
  struct Partial {
    v1::Handover first;
    ResidualAssembler assembler;
  };

  const Layout* layout_;
  std::map<std::string, Partial> partials_;  // by leaver
};

}  // namespace tally

#endif  // TALLY_CODECS_HANDOVER_READER_H_
