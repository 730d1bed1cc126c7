#include "base/check.h"

#include <cstdio>
#include <cstdlib>

#include "absl/strings/string_view.h"

namespace tally::check_internal {

void CheckFailed(const char* file, int line, const char* condition, absl::string_view message) {
  // Not through the logger: its level must not hide the reason, and it may be what is broken.
  std::fprintf(stderr, "%s:%d: check `%s` failed: %.*s\n", file, line, condition,
               static_cast<int>(message.size()), message.data());
  std::abort();
}

}  // namespace tally::check_internal
