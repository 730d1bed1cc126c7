// The rules of who may include whom, as code: what visibility in BUILD files cannot see.
#ifndef TALLY_TESTS_LAYERS_CHECKER_H_
#define TALLY_TESTS_LAYERS_CHECKER_H_

#include <string>
#include <vector>

#include "absl/strings/string_view.h"

namespace tally {

// Returns one line "path:line: what: rule" for every include in `text`, the content of the C++ file
// `path`, that a rule forbids there, and for a header guard that does not follow TALLY_PATH_H_.
// `path` starts at the root of the tree.
std::vector<std::string> SourceViolations(absl::string_view path, absl::string_view text);

// Returns "path: rule" if the file's name says nothing (utils, helpers, common, manager and their
// singulars, also as one word of several), else nothing.
std::vector<std::string> FileNameViolations(absl::string_view path);

}  // namespace tally

#endif  // TALLY_TESTS_LAYERS_CHECKER_H_
