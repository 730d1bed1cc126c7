// A result that agrees with itself, whatever the history says.
#ifndef TALLY_CODECS_CHECKED_RESULT_H_
#define TALLY_CODECS_CHECKED_RESULT_H_

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "absl/types/optional.h"
#include "base/buffer.h"
#include "codecs/exchange.h"
#include "codecs/layout.h"
#include "kernels/backend.h"
#include "proto/tally/v1/exchange.pb.h"

namespace tally {

struct CheckedResult {
  v1::ResultHeader header;
  // The same as it arrived: what chains are taken over, and what others may ask for.
  std::string header_bytes;
  // The running digest after this entry.
  uint64_t chain = 0;
  // Unset in a genesis, and if nobody took part.
  absl::optional<Exchange> exchange;
  SharedBuffer payload;
  v1::Advice advice;
};

// Checks everything about a result that needs no knowledge of the run: header against message,
// payload against header (size and digest) and against the rules of its exchange. It reads the
// whole payload: not for a place where others wait. Returns DATA_LOSS, naming chunk, round, field,
// value and rule, if something contradicts; UNIMPLEMENTED if this build does not know the
// exchange's kind.
absl::StatusOr<CheckedResult> CheckResult(const v1::Result& result, SharedBuffer payload,
                                          const Layout& layout, const Backend& backend);

}  // namespace tally

#endif  // TALLY_CODECS_CHECKED_RESULT_H_
