// Early return for absl::Status and absl::StatusOr.
#ifndef TALLY_BASE_STATUS_MACROS_H_
#define TALLY_BASE_STATUS_MACROS_H_

#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

// Returns the status of `expression` from the enclosing function unless it is OK.
#define TALLY_RETURN_IF_ERROR(expression)                                                  \
  do {                                                                                     \
    if (absl::Status tally_status = (expression); !tally_status.ok()) return tally_status; \
  } while (false)

#define TALLY_STATUS_CONCAT_INNER(a, b) a##b
#define TALLY_STATUS_CONCAT(a, b) TALLY_STATUS_CONCAT_INNER(a, b)

// Evaluates `expression`, an absl::StatusOr<T>, and moves its value to `left` or returns its
// status.
#define TALLY_ASSIGN_OR_RETURN(left, expression) \
  TALLY_ASSIGN_OR_RETURN_IMPL(TALLY_STATUS_CONCAT(tally_statusor_, __LINE__), left, expression)

#define TALLY_ASSIGN_OR_RETURN_IMPL(variable, left, expression) \
  auto variable = (expression);                                 \
  if (!variable.ok()) return std::move(variable).status();      \
  left = *std::move(variable)

#endif  // TALLY_BASE_STATUS_MACROS_H_
