#include "examples/text_data.h"

#include <algorithm>
#include <array>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <set>
#include <system_error>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "examples/counter_random.h"

namespace tally {
namespace {

namespace fs = std::filesystem;

absl::StatusOr<std::string> ReadFile(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  std::string text{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  if (!file.is_open() || file.bad()) {
    return absl::UnavailableError(absl::StrCat("text file ", path.string(), " cannot be read"));
  }
  return text;
}

// The regular files directly in `directory`, each under its first name.
absl::StatusOr<std::vector<fs::path>> ListFiles(const fs::path& directory) {
  std::error_code error;
  std::vector<fs::path> names;
  for (fs::directory_iterator entry(directory, error), end; !error && entry != end;
       entry.increment(error)) {
    std::error_code dangling;  // a link that leads nowhere is no regular file
    if (entry->path().filename().string().front() == '.') continue;
    if (entry->is_regular_file(dangling)) names.push_back(entry->path());
  }
  if (error) {
    return absl::UnavailableError(
        absl::StrCat("text directory ", directory.string(), ": ", error.message()));
  }
  std::sort(names.begin(), names.end());
  std::set<fs::path> seen;
  std::vector<fs::path> files;
  for (const fs::path& name : names) {
    const fs::path file = fs::canonical(name, error);
    if (error) {
      return absl::UnavailableError(
          absl::StrCat("text file ", name.string(), ": ", error.message()));
    }
    if (seen.insert(file).second) files.push_back(file);
  }
  return files;
}

}  // namespace

absl::StatusOr<std::vector<std::string>> ReadTexts(const std::string& path) {
  std::error_code error;
  const fs::file_status status = fs::status(path, error);
  std::vector<fs::path> files;
  if (fs::is_directory(status)) {
    TALLY_ASSIGN_OR_RETURN(files, ListFiles(path));
  } else if (fs::is_regular_file(status)) {
    files.push_back(path);
  } else if (!fs::exists(status)) {
    return absl::NotFoundError(absl::StrCat("text ", path, " does not exist"));
  } else {
    return absl::InvalidArgumentError(
        absl::StrCat("text ", path, " must be a file or a directory of files"));
  }
  std::vector<std::string> texts;
  size_t num_bytes = 0;
  for (const fs::path& file : files) {
    TALLY_ASSIGN_OR_RETURN(std::string text, ReadFile(file));
    num_bytes += text.size();
    if (num_bytes > kMaxTextBytes) {
      return absl::ResourceExhaustedError(absl::StrCat("text ", path, " has more than ",
                                                       kMaxTextBytes, " bytes, the most allowed"));
    }
    if (!text.empty()) texts.push_back(std::move(text));
  }
  if (texts.empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat("text ", path, " must hold a file that is not empty"));
  }
  return texts;
}

absl::StatusOr<TextData> TextData::Create(absl::Span<const std::string> texts, size_t num_workers,
                                          size_t window_length) {
  if (num_workers == 0) {
    return absl::InvalidArgumentError("`num_workers` = 0, must be positive");
  }
  if (window_length < 2 || window_length > kBlockLength) {
    return absl::InvalidArgumentError(
        absl::StrCat("`window_length` = ", window_length, ", must be from 2 to ", kBlockLength));
  }
  TextData data;
  data.window_length_ = window_length;
  data.shares_.resize(num_workers);
  data.AddSymbols(texts);
  size_t begin = 0;
  size_t next_rank = 0;
  for (const std::string& text : texts) {
    const size_t end = begin + text.size();
    const size_t split = begin + text.size() / 10 * 9 + text.size() % 10 * 9 / 10;
    data.Deal({begin, split}, &next_rank);
    data.validation_.push_back({split, end});
    data.num_training_characters_ += split - begin;
    data.num_validation_characters_ += end - split;
    begin = end;
  }
  TALLY_RETURN_IF_ERROR(data.CheckShares());
  return data;
}

void TextData::AddSymbols(absl::Span<const std::string> texts) {
  std::array<bool, 256> occurs{};
  for (const std::string& text : texts) {
    for (const char c : text) occurs[static_cast<uint8_t>(c)] = true;
  }
  std::array<uint8_t, 256> symbol_of{};
  for (size_t byte = 0; byte < occurs.size(); ++byte) {
    if (!occurs[byte]) continue;
    symbol_of[byte] = static_cast<uint8_t>(vocabulary_.size());
    vocabulary_.push_back(static_cast<char>(byte));
  }
  for (const std::string& text : texts) {
    for (const char c : text) symbols_.push_back(symbol_of[static_cast<uint8_t>(c)]);
  }
}

void TextData::Deal(const Stretch& training, size_t* next_rank) {
  for (size_t begin = training.begin; begin < training.end; begin += kBlockLength) {
    AddStretch(*next_rank, {begin, std::min(begin + kBlockLength, training.end)});
    *next_rank = (*next_rank + 1) % shares_.size();
  }
}

void TextData::AddStretch(size_t rank, const Stretch& stretch) {
  const size_t size = stretch.end - stretch.begin;
  if (size < window_length_) return;
  Share& share = shares_[rank];
  share.stretches.push_back(stretch);
  share.starts_before.push_back(share.num_starts);
  share.num_starts += size - window_length_ + 1;
}

absl::Status TextData::CheckShares() const {
  if (vocabulary_.size() < 2) {
    return absl::InvalidArgumentError(
        absl::StrCat("the text has ", vocabulary_.size(), " different bytes, must have 2 or more"));
  }
  for (size_t rank = 0; rank < shares_.size(); ++rank) {
    if (shares_[rank].num_starts > 0) continue;
    return absl::InvalidArgumentError(absl::StrCat(
        "the text has ", num_training_characters_, " characters to train on, too few: dealt to ",
        shares_.size(), " workers in blocks of ", kBlockLength, ", the share of worker ", rank,
        " holds no window of ", window_length_));
  }
  for (const Stretch& stretch : validation_) {
    if (stretch.end - stretch.begin >= window_length_) return absl::OkStatus();
  }
  return absl::InvalidArgumentError(absl::StrCat(
      "the last tenth of no text is long enough to validate on: must have a window of ",
      window_length_, " characters"));
}

void TextData::AppendWindow(size_t begin, TextWindows& windows) const {
  const auto first = symbols_.begin() + static_cast<std::ptrdiff_t>(begin);
  windows.symbols.insert(windows.symbols.end(), first,
                         first + static_cast<std::ptrdiff_t>(window_length_));
  ++windows.num_windows;
}

TextWindows TextData::DrawBatch(uint64_t seed, size_t rank, uint64_t step,
                                size_t num_windows) const {
  const Share& share = shares_[rank];
  TextWindows batch;
  batch.length = window_length_;
  batch.symbols.reserve(num_windows * window_length_);
  for (size_t i = 0; i < num_windows; ++i) {
    const uint64_t start =
        RandomBelow(share.num_starts, RandomBits(seed, DrawPurpose::kBatch, rank, step, i));
    // The last stretch with no more than `start` places before it.
    const auto after =
        std::upper_bound(share.starts_before.begin(), share.starts_before.end(), start);
    const size_t index = static_cast<size_t>(after - share.starts_before.begin()) - 1;
    AppendWindow(share.stretches[index].begin + (start - share.starts_before[index]), batch);
  }
  return batch;
}

TextWindows TextData::ValidationWindows() const {
  TextWindows windows;
  windows.length = window_length_;
  for (const Stretch& stretch : validation_) {
    for (size_t begin = stretch.begin; begin + window_length_ <= stretch.end;
         begin += window_length_ - 1) {
      AppendWindow(begin, windows);
    }
  }
  return windows;
}

}  // namespace tally
