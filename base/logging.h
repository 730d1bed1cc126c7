// The process's log: one line per message on stderr, with the time to the millisecond.
#ifndef TALLY_BASE_LOGGING_H_
#define TALLY_BASE_LOGGING_H_

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace tally {

// Shows messages from `level` on: "debug", "info", "warning" or "error" ("off" shows none). Until
// called, the level is "info". Safe at any time, from any thread; main() calls it once, with its
// flag. Returns INVALID_ARGUMENT if `level` is another name, and leaves the level as it was.
absl::Status InitLogging(absl::string_view level);

// Write `message` as it is, without any formatting of their own (callers use absl::StrCat or
// absl::StrFormat). Safe from any thread; lines do not mix.
void LogDebug(absl::string_view message);
void LogInfo(absl::string_view message);
void LogWarning(absl::string_view message);
void LogError(absl::string_view message);

}  // namespace tally

#endif  // TALLY_BASE_LOGGING_H_
