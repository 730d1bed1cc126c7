// Stops the process on a broken promise between our own pieces of code.
#ifndef TALLY_BASE_CHECK_H_
#define TALLY_BASE_CHECK_H_

#include "absl/base/optimization.h"
#include "absl/strings/string_view.h"

// Aborts with file, line, condition and `message` on stderr unless `condition` holds. Only for what
// a caller in this tree must guarantee; whatever a remote byte or a user can cause is an
// absl::Status.
#define TALLY_CHECK(condition, message)                                              \
  do {                                                                               \
    if (ABSL_PREDICT_FALSE(!(condition))) {                                          \
      ::tally::check_internal::CheckFailed(__FILE__, __LINE__, #condition, message); \
    }                                                                                \
  } while (false)

namespace tally::check_internal {

[[noreturn]] void CheckFailed(const char* file, int line, const char* condition,
                              absl::string_view message);

}  // namespace tally::check_internal

#endif  // TALLY_BASE_CHECK_H_
