#include "tests/layers_checker.h"

#include <algorithm>
#include <cstddef>
#include <string>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"

namespace tally {
namespace {

// Patterns in which `*` stands for any characters, slashes among them.
using Patterns = std::vector<absl::string_view>;

Patterns Join(const std::vector<Patterns>& parts) {
  Patterns all;
  for (const Patterns& part : parts) all.insert(all.end(), part.begin(), part.end());
  return all;
}

// In `files` without `except_files`, including `headers` without `except_headers` breaks `rule`.
struct IncludeRule {
  absl::string_view rule;
  Patterns files;
  Patterns except_files;
  Patterns headers;
  Patterns except_headers;
};

std::vector<IncludeRule> MakeIncludeRules() {
  const Patterns everywhere = {"*"};
  const Patterns test_sources = {"tests/*", "bench/*", "*_test.cc", "*_benchmark.cc",
                                 "*conformance*"};
  const Patterns test_headers = {"gtest/*", "gmock/*", "benchmark/*", "tests/*"};
  const Patterns cuda_headers = {
      "cuda*.h", "cublas*.h", "curand*.h", "device_launch_parameters.h", "cooperative_groups*",
      "cuda/*",  "cub/*",     "thrust/*"};
  return {
      {"an include names the path from the root of the tree",
       everywhere,
       {},
       {"./*", "../*", "*/../*"},
       {}},
      {"gRPC only in aggregator/server/, client/transport/, base/grpc_status.*, bench/, tests/ and "
       "tools/",
       everywhere,
       {"aggregator/server/*", "client/transport/*", "base/grpc_status*", "bench/*", "tests/*",
        "tools/*"},
       {"grpc/*", "grpcpp/*", "*.grpc.pb.h"},
       {}},
      {"spdlog only in base/logging.*", everywhere, {"base/logging.*"}, {"spdlog/*", "fmt/*"}, {}},
      // References share no code with what they judge, digests included.
      {"xxHash only in base/digest.cc",
       everywhere,
       {"base/digest.cc", "tests/reference/reference_random.cc"},
       {"xxh*.h"},
       {}},
      {"Highway only in kernels/simd/*_hwy.cc, kernels/simd/*_hwy-inl.h and tests of kernels/",
       everywhere,
       {"kernels/simd/*_hwy.cc", "kernels/simd/*_hwy-inl.h", "kernels/*_test.cc"},
       {"hwy/*"},
       {}},
      {"CUDA only in *.cu.cc, *.cu.h and its emulation",
       everywhere,
       {"*.cu.cc", "*.cu.h", "kernels/cuda/emulation/*"},
       cuda_headers,
       {}},
      {"libtorch only in examples/",
       everywhere,
       {"examples/*"},
       {"torch/*", "ATen/*", "c10/*"},
       {}},
      {"kernels/ and base/ know no protobuf",
       {"kernels/*", "base/*"},
       {},
       {"google/protobuf/*", "*.pb.h"},
       {}},
      {"tests' libraries only in tests and benchmarks", everywhere, test_sources, test_headers, {}},
      {"nothing below includes bench/, examples/ or tools/",
       everywhere,
       {"bench/*", "examples/*", "tools/*", "tests/*"},
       {"bench/*", "examples/*", "tools/*"},
       {}},
      {"base/ includes no other folder",
       {"base/*"},
       {},
       {"aggregator/*", "client/*", "codecs/*", "kernels/*", "proto/*"},
       {}},
      {"kernels/ includes only kernels/, base/, absl/ and the standard library",
       {"kernels/*"},
       {"kernels/cuda/emulation/*"},
       {"*/*", "*.h"},
       Join({{"kernels/*", "base/*", "absl/*", "hwy/*"}, cuda_headers, test_headers})},
      {"codecs/ includes neither aggregator/ nor client/",
       {"codecs/*"},
       {},
       {"aggregator/*", "client/*"},
       {}},
      {"client/ and aggregator/ never include each other", {"client/*"}, {}, {"aggregator/*"}, {}},
      {"client/ and aggregator/ never include each other", {"aggregator/*"}, {}, {"client/*"}, {}},
      {"aggregator/ does not know aggregator/server/",
       {"aggregator/*"},
       {"aggregator/server/*"},
       {"aggregator/server/*"},
       {}},
      {"examples/ use client/ and base/, as users do",
       {"examples/*"},
       {},
       {"aggregator/*", "codecs/*", "kernels/*", "proto/*"},
       {}},
  };
}

bool Matches(absl::string_view pattern, absl::string_view text) {
  const size_t star = pattern.find('*');
  if (star == absl::string_view::npos) return pattern == text;
  if (!absl::ConsumePrefix(&text, pattern.substr(0, star))) return false;
  pattern.remove_prefix(star + 1);
  for (size_t begin = 0; begin <= text.size(); ++begin) {
    if (Matches(pattern, text.substr(begin))) return true;
  }
  return false;
}

bool MatchesAny(const Patterns& patterns, absl::string_view text) {
  return std::any_of(patterns.begin(), patterns.end(),
                     [text](absl::string_view pattern) { return Matches(pattern, text); });
}

bool Forbids(const IncludeRule& rule, absl::string_view path, absl::string_view header) {
  return MatchesAny(rule.files, path) && !MatchesAny(rule.except_files, path) &&
         MatchesAny(rule.headers, header) && !MatchesAny(rule.except_headers, header);
}

// Cuts '#' and the blanks around it off `line`; returns whether there was one.
bool ConsumeHash(absl::string_view* line) {
  *line = absl::StripAsciiWhitespace(*line);
  if (!absl::ConsumePrefix(line, "#")) return false;
  *line = absl::StripLeadingAsciiWhitespace(*line);
  return true;
}

// Returns the header that `line` includes, or nothing.
absl::string_view IncludedHeader(absl::string_view line) {
  if (!ConsumeHash(&line) || !absl::ConsumePrefix(&line, "include")) return {};
  line = absl::StripLeadingAsciiWhitespace(line);
  if (!absl::ConsumePrefix(&line, "<") && !absl::ConsumePrefix(&line, "\"")) return {};
  return line.substr(0, line.find_first_of(">\""));
}

std::string GuardOf(absl::string_view path) {
  std::string guard = absl::AsciiStrToUpper(path);
  std::replace_if(
      guard.begin(), guard.end(), [](char c) { return !absl::ascii_isalnum(c); }, '_');
  return absl::StrCat("TALLY_", guard, "_");
}

bool HasGuard(const std::vector<absl::string_view>& lines, absl::string_view guard) {
  std::vector<absl::string_view> directives;
  absl::string_view last;
  for (absl::string_view line : lines) {
    absl::string_view directive = line;
    if (ConsumeHash(&directive)) directives.push_back(directive);
    if (!absl::StripAsciiWhitespace(line).empty()) last = line;
  }
  return directives.size() >= 3 && directives[0] == absl::StrCat("ifndef ", guard) &&
         directives[1] == absl::StrCat("define ", guard) &&
         last == absl::StrCat("#endif  // ", guard);
}

// Highway compiles its -inl.h files once per target, behind guards that toggle.
bool NeedsGuard(absl::string_view path) {
  return absl::EndsWith(path, ".h") && !absl::EndsWith(path, "-inl.h");
}

}  // namespace

std::vector<std::string> SourceViolations(absl::string_view path, absl::string_view text) {
  const std::vector<IncludeRule> rules = MakeIncludeRules();
  const std::vector<absl::string_view> lines = absl::StrSplit(text, '\n');
  std::vector<std::string> violations;
  for (size_t i = 0; i < lines.size(); ++i) {
    const absl::string_view header = IncludedHeader(lines[i]);
    if (header.empty()) continue;
    for (const IncludeRule& rule : rules) {
      if (!Forbids(rule, path, header)) continue;
      violations.push_back(absl::StrCat(path, ":", i + 1, ": includes ", header, ": ", rule.rule));
    }
  }
  if (NeedsGuard(path) && !HasGuard(lines, GuardOf(path))) {
    violations.push_back(
        absl::StrCat(path, ":1: header guard, from #ifndef to #endif: must be ", GuardOf(path)));
  }
  return violations;
}

std::vector<std::string> FileNameViolations(absl::string_view path) {
  const absl::string_view name = path.substr(path.rfind('/') + 1);
  const absl::string_view stem = name.substr(0, name.find('.'));
  for (absl::string_view word : absl::StrSplit(stem, absl::ByAnyChar("_-"))) {
    for (absl::string_view empty_word :
         {"util", "utils", "helper", "helpers", "common", "manager"}) {
      if (word != empty_word) continue;
      return {absl::StrCat(path, ": named `", word, "`: a file is named after the one idea in it")};
    }
  }
  return {};
}

}  // namespace tally
