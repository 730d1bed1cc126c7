#include "examples/checkpoint.h"

#include <cstddef>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <iterator>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "examples/training_report.h"

namespace tally {
namespace {

constexpr size_t kNumKept = 2;

}  // namespace

std::string CheckpointFiles::PathOf(uint64_t round) const {
  return absl::StrCat(directory_, "/", worker_, ".", round, ".checkpoint");
}

absl::Status CheckpointFiles::Write(uint64_t round, const Checkpoint& checkpoint) {
  // The size of the first part, which the second one follows.
  const uint64_t run_bytes = checkpoint.run.size();
  std::string bytes(sizeof(run_bytes), '\0');
  std::memcpy(bytes.data(), &run_bytes, sizeof(run_bytes));
  absl::StrAppend(&bytes, checkpoint.run, checkpoint.training);
  TALLY_RETURN_IF_ERROR(ReplaceTextFile(PathOf(round), bytes));
  written_.push_back(round);
  while (written_.size() > kNumKept) {
    std::remove(PathOf(written_.front()).c_str());
    written_.pop_front();
  }
  return absl::OkStatus();
}

absl::StatusOr<Checkpoint> CheckpointFiles::Read(uint64_t round) const {
  const std::string path = PathOf(round);
  std::ifstream file(path, std::ios::binary);
  if (!file) return absl::NotFoundError(absl::StrCat("file ", path, " cannot be read"));
  const std::string bytes{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  uint64_t run_bytes = 0;
  if (bytes.size() < sizeof(run_bytes)) {
    return absl::DataLossError(absl::StrCat("file ", path, " has ", bytes.size(), " bytes"));
  }
  std::memcpy(&run_bytes, bytes.data(), sizeof(run_bytes));
  if (run_bytes > bytes.size() - sizeof(run_bytes)) {
    return absl::DataLossError(absl::StrCat("file ", path, " has ", bytes.size(),
                                            " bytes, its first part alone has ", run_bytes));
  }
  return Checkpoint{.run = bytes.substr(sizeof(run_bytes), run_bytes),
                    .training = bytes.substr(sizeof(run_bytes) + run_bytes)};
}

}  // namespace tally
