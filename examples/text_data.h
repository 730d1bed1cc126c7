// Text to train on: files, vocabulary, shares and batches.
#ifndef TALLY_EXAMPLES_TEXT_DATA_H_
#define TALLY_EXAMPLES_TEXT_DATA_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace tally {

// Stretches of text of equal length.
struct TextWindows {
  size_t num_windows = 0;
  size_t length = 0;
  std::vector<uint8_t> symbols;  // [num_windows][length], each less than vocabulary_size()

  absl::Span<const uint8_t> window(size_t index) const {
    return absl::MakeConstSpan(symbols).subspan(index * length, length);
  }
};

// Returns the contents of the file `path`, or of every regular file directly in the directory
// `path`, in the order of their names. Links are followed, and a file that has several names is
// read once, under the first of them; names that begin with a dot, directories and other things in
// the directory are passed over, and so are empty files.
// Returns NOT_FOUND if there is no `path`; INVALID_ARGUMENT if it is neither, or holds no text;
// UNAVAILABLE if something cannot be read; RESOURCE_EXHAUSTED above kMaxTextBytes in all.
absl::StatusOr<std::vector<std::string>> ReadTexts(const std::string& path);

inline constexpr size_t kMaxTextBytes = size_t{1} << 28;

// Symbols and their division: the first nine tenths of every text are for training, the rest is for
// validation. Training text is dealt to the workers in blocks, in turn, so that each has a bit of
// every text and no two have the same. The same texts give the same data on all machines.
// Immutable.
class TextData {
 public:
  // `texts` as from ReadTexts. Returns INVALID_ARGUMENT if they hold fewer than two different
  // bytes, if `num_workers` is 0, or if the texts are too short to give every worker and the
  // validation a window of `window_length` (at least 2, at most kBlockLength) characters.
  static absl::StatusOr<TextData> Create(absl::Span<const std::string> texts, size_t num_workers,
                                         size_t window_length);

  // Characters of training text in a worker's share are dealt in blocks of so many.
  static constexpr size_t kBlockLength = 2048;

  // A symbol is the rank of its byte among the bytes that occur.
  size_t vocabulary_size() const { return vocabulary_.size(); }
  const std::string& vocabulary() const { return vocabulary_; }

  size_t num_training_characters() const { return num_training_characters_; }
  size_t num_validation_characters() const { return num_validation_characters_; }

  // Windows at random places in the share of worker `rank` (less than num_workers), a pure function
  // of the arguments.
  TextWindows DrawBatch(uint64_t seed, size_t rank, uint64_t step, size_t num_windows) const;

  // The validation text in windows that overlap by one character, so that every character but the
  // first of each text is predicted once (a rest shorter than a window is left out).
  TextWindows ValidationWindows() const;

 private:
  // Symbols [begin, end).
  struct Stretch {
    size_t begin = 0;
    size_t end = 0;
  };
  // What one worker draws from. A window lies inside one stretch; starts_before[i] is the number of
  // places where one can start in the stretches before stretch i.
  struct Share {
    std::vector<Stretch> stretches;
    std::vector<uint64_t> starts_before;
    uint64_t num_starts = 0;
  };

  TextData() = default;

  void AddSymbols(absl::Span<const std::string> texts);
  void Deal(const Stretch& training, size_t* next_rank);
  void AddStretch(size_t rank, const Stretch& stretch);
  absl::Status CheckShares() const;
  void AppendWindow(size_t begin, TextWindows& windows) const;

  std::string vocabulary_;
  std::vector<uint8_t> symbols_;  // of all texts, one after the other
  std::vector<Share> shares_;
  std::vector<Stretch> validation_;
  size_t window_length_ = 0;
  size_t num_training_characters_ = 0;
  size_t num_validation_characters_ = 0;
};

}  // namespace tally

#endif  // TALLY_EXAMPLES_TEXT_DATA_H_
