#include "examples/progress_line.h"

#include <cstdio>
#include <cstdlib>
#include <string>

#include "absl/strings/match.h"
#include "absl/time/time.h"
#include "base/simulated_clock.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace tally {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

Progress AtRound(uint64_t round) {
  return {.optimizer = "onebit_adam",
          .round = round,
          .rounds = 600,
          .training_loss = 2.3141,
          .bytes_up = 3 << 20,
          .bytes_down = 5 << 20,
          .compressing = true,
          .elapsed = absl::Seconds(30)};
}

TEST(FormatProgressTest, SaysHowFarAndHowLong) {
  EXPECT_EQ(FormatProgress(AtRound(240)),
            "onebit_adam  round 240 of 600  loss 2.314  8.0 rounds/s  up 3MiB, down 5MiB  45 s "
            "left");
}

TEST(FormatProgressTest, NothingIsLeftAfterTheLastRound) {
  EXPECT_THAT(FormatProgress(AtRound(600)), Not(HasSubstr("left")));
}

TEST(FormatProgressTest, SaysWhenNothingIsCompressed) {
  Progress progress = AtRound(1);
  progress.compressing = false;
  EXPECT_THAT(FormatProgress(progress), HasSubstr("(uncompressed)"));
}

// A stream whose contents can be read back.
class MemoryStream {
 public:
  MemoryStream() : file_(std::tmpfile()) {}
  ~MemoryStream() { std::fclose(file_); }
  MemoryStream(const MemoryStream&) = delete;
  MemoryStream& operator=(const MemoryStream&) = delete;

  std::FILE* file() const { return file_; }
  std::string Contents() const {
    std::string text(static_cast<size_t>(std::ftell(file_)), '\0');
    std::rewind(file_);
    text.resize(std::fread(text.data(), 1, text.size(), file_));
    return text;
  }

 private:
  std::FILE* const file_;
};

size_t Count(const std::string& text, char c) {
  return static_cast<size_t>(std::count(text.begin(), text.end(), c));
}

TEST(ProgressLineTest, WritesElevenLinesToAFile) {
  const MemoryStream stream;
  const SimulatedClock clock;
  ProgressLine line(stream.file(), /*is_terminal=*/false, &clock);
  for (uint64_t round = 1; round <= 600; ++round) line.Show(AtRound(round));
  const std::string text = stream.Contents();
  EXPECT_EQ(Count(text, '\n'), 11u);
  EXPECT_THAT(text, HasSubstr("round 600 of 600"));
}

TEST(ProgressLineTest, WritesOverOneLineFiveTimesASecondInATerminal) {
  const MemoryStream stream;
  SimulatedClock clock;
  ProgressLine line(stream.file(), /*is_terminal=*/true, &clock);
  for (uint64_t round = 1; round <= 600; ++round) {
    line.Show(AtRound(round));
    clock.AdvanceBy(absl::Milliseconds(20));
  }
  const std::string text = stream.Contents();
  EXPECT_EQ(Count(text, '\r'), 61u);
  EXPECT_EQ(Count(text, '\n'), 1u);
  EXPECT_EQ(text.back(), '\n');
}

}  // namespace
}  // namespace tally
