// Holds the whole tree against tests/layers_checker.h.
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <system_error>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/layers_checker.h"

namespace tally {
namespace {

using ::testing::IsEmpty;
using ::testing::IsSupersetOf;

namespace fs = std::filesystem;

// Returns the root of the tree: the folder that really holds a file which Bazel hands to this test
// as a link. Listing all sources as data would leave out exactly the files that somebody forgot to
// list.
fs::path TreeRoot() {
  const char* runfiles = std::getenv("TEST_SRCDIR");
  const char* workspace = std::getenv("TEST_WORKSPACE");
  if (runfiles == nullptr || workspace == nullptr) return {};
  std::error_code error;
  return fs::canonical(fs::path(runfiles) / workspace / ".clang-format", error).parent_path();
}

// What .gitignore names, and Git's own folder.
bool IsIgnored(const std::string& name) {
  return name == ".git" || name == "out" || name == "build" || absl::StartsWith(name, "bazel-");
}

// Returns the paths, from `root`, of the files below it.
std::vector<std::string> FilesBelow(const fs::path& root) {
  std::vector<std::string> paths;
  std::error_code error;
  for (fs::recursive_directory_iterator entry(root, error), end; !error && entry != end;
       entry.increment(error)) {
    if (entry.depth() == 0 && IsIgnored(entry->path().filename().string())) {
      entry.disable_recursion_pending();
    } else if (entry->is_regular_file(error)) {
      paths.push_back(fs::relative(entry->path(), root, error).string());
    }
  }
  EXPECT_FALSE(error) << root << ": " << error.message();
  return paths;
}

bool IsSource(absl::string_view path) {
  return absl::EndsWith(path, ".h") || absl::EndsWith(path, ".cc") || absl::EndsWith(path, ".c");
}

std::string Read(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  EXPECT_TRUE(file.is_open()) << path;
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

TEST(LayersTest, EveryFileKeepsTheRules) {
  const fs::path root = TreeRoot();
  std::vector<std::string> violations;
  const auto add = [&violations](const std::vector<std::string>& found) {
    violations.insert(violations.end(), found.begin(), found.end());
  };
  for (const std::string& path : FilesBelow(root)) {
    add(FileNameViolations(path));
    if (IsSource(path)) add(SourceViolations(path, Read(root / path)));
  }
  EXPECT_THAT(violations, IsEmpty());
}

// Else the test above would pass over an empty folder.
TEST(LayersTest, FindsTheTree) {
  EXPECT_THAT(FilesBelow(TreeRoot()),
              IsSupersetOf({"WORKSPACE", "base/digest.cc", "tests/layers_test.cc"}));
}

// An ending that the test above does not read would escape the rules.
TEST(LayersTest, NoSourceHasAnotherEnding) {
  std::vector<std::string> others;
  for (const std::string& path : FilesBelow(TreeRoot())) {
    for (absl::string_view ending : {".cpp", ".cxx", ".cu", ".cuh", ".hpp", ".inc"}) {
      // What stands for a header of CUB has that one's name.
      if (absl::StartsWith(path, "kernels/cuda/emulation/cub/")) continue;
      if (absl::EndsWith(path, ending)) others.push_back(path);
    }
  }
  EXPECT_THAT(others, IsEmpty());
}

}  // namespace
}  // namespace tally
