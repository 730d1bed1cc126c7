#include "examples/text_data.h"

#include <cstddef>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/string_view.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/util/status_matchers.h"

namespace tally {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

namespace fs = std::filesystem;

// A directory of its own for each test.
class ReadTextsTest : public testing::Test {
 protected:
  ReadTextsTest()
      : directory_(fs::path(testing::TempDir()) /
                   testing::UnitTest::GetInstance()->current_test_info()->name()) {
    fs::remove_all(directory_);
    fs::create_directories(directory_);
  }

  void Write(const std::string& name, absl::string_view text) const {
    std::ofstream(directory_ / name, std::ios::binary) << text;
  }

  const fs::path directory_;
};

TEST_F(ReadTextsTest, ReadsTheFilesOfADirectoryByName) {
  Write("b", "second");
  Write("a", "first");
  fs::create_directory(directory_ / "c");
  Write(".hidden", "no");
  Write("empty", "");
  EXPECT_THAT(ReadTexts(directory_.string()), IsOkAndHolds(ElementsAre("first", "second")));
}

TEST_F(ReadTextsTest, ReadsALinkedFileOnce) {
  Write("file", "text");
  fs::create_symlink("file", directory_ / "another");
  fs::create_symlink("nowhere", directory_ / "dangling");
  EXPECT_THAT(ReadTexts(directory_.string()), IsOkAndHolds(ElementsAre("text")));
}

TEST_F(ReadTextsTest, ReadsASingleFile) {
  Write("file", "text\nof two lines");
  EXPECT_THAT(ReadTexts((directory_ / "file").string()),
              IsOkAndHolds(ElementsAre("text\nof two lines")));
}

TEST_F(ReadTextsTest, NamesThePathThatIsMissing) {
  EXPECT_THAT(ReadTexts((directory_ / "none").string()),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr((directory_ / "none").string())));
}

TEST_F(ReadTextsTest, RefusesWhatHoldsNoText) {
  Write("empty", "");
  EXPECT_THAT(ReadTexts(directory_.string()),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       AllOf(HasSubstr(directory_.string()), HasSubstr("not empty"))));
}

TEST_F(ReadTextsTest, RefusesWhatIsNeitherFileNorDirectory) {
  EXPECT_THAT(ReadTexts("/dev/null"),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("/dev/null")));
}

// `length` characters, a to e in turn.
std::string Alphabet(size_t length) {
  std::string text;
  for (size_t i = 0; i < length; ++i) text.push_back(static_cast<char>('a' + i % 5));
  return text;
}

// Characters that count: those at place p of the text, two of them, are p in base 200.
std::string Places(size_t length) {
  std::string text;
  for (size_t i = 0; i < length; ++i) {
    text.push_back(static_cast<char>(i % 2 == 0 ? i / 2 / 200 : i / 2 % 200 + 50));
  }
  return text;
}

TextData CreateData(const std::vector<std::string>& texts, size_t num_workers,
                    size_t window_length) {
  absl::StatusOr<TextData> data = TextData::Create(texts, num_workers, window_length);
  EXPECT_THAT(data, IsOk());
  return *std::move(data);
}

std::string Decode(const TextData& data, absl::Span<const uint8_t> symbols) {
  std::string text;
  for (const uint8_t symbol : symbols) text.push_back(data.vocabulary()[symbol]);
  return text;
}

TEST(TextDataTest, VocabularyIsTheBytesThatOccurInOrder) {
  const TextData data = CreateData({"banana\xff and so on and on", Alphabet(100)}, 1, 3);
  EXPECT_EQ(data.vocabulary(), " abcdenos\xff");
}

TEST(TextDataTest, LastTenthOfEachTextIsForValidation) {
  const TextData data = CreateData({Alphabet(100), Alphabet(57)}, 1, 3);
  EXPECT_EQ(data.num_training_characters(), 90u + 51u);
  EXPECT_EQ(data.num_validation_characters(), 10u + 6u);
}

TEST(TextDataTest, ValidationPredictsEveryCharacterOnce) {
  const TextData data = CreateData({Alphabet(100), Alphabet(60)}, 1, 3);
  const TextWindows windows = data.ValidationWindows();
  std::vector<std::string> texts;
  for (size_t i = 0; i < windows.num_windows; ++i) texts.push_back(Decode(data, windows.window(i)));
  // Of abcdeabcde and of eabcde: a rest of one character is left out of each.
  EXPECT_THAT(texts, ElementsAre("abc", "cde", "eab", "bcd", "eab", "bcd"));
}

TEST(TextDataTest, BatchesAreAFunctionOfSeedRankAndStep) {
  const TextData data = CreateData({Alphabet(20'000)}, 2, 9);
  const std::vector<uint8_t> batch = data.DrawBatch(1, 0, 5, 16).symbols;
  EXPECT_EQ(batch.size(), 16u * 9u);
  EXPECT_EQ(data.DrawBatch(1, 0, 5, 16).symbols, batch);
  EXPECT_NE(data.DrawBatch(2, 0, 5, 16).symbols, batch);
  EXPECT_NE(data.DrawBatch(1, 1, 5, 16).symbols, batch);
  EXPECT_NE(data.DrawBatch(1, 0, 6, 16).symbols, batch);
}

// The place in a text of Places at which each window of a batch begins.
std::vector<size_t> DrawPlaces(const TextData& data, size_t rank) {
  std::vector<size_t> places;
  const TextWindows batch = data.DrawBatch(1, rank, 0, 4000);
  for (size_t i = 0; i < batch.num_windows; ++i) {
    const std::string text = Decode(data, batch.window(i));
    const bool even = static_cast<uint8_t>(text[0]) < 50;
    const size_t high = static_cast<uint8_t>(text[even ? 0 : 1]);
    const size_t low = static_cast<uint8_t>(text[even ? 1 : 2]) - 50u;
    const size_t pair = 200 * high + low;
    places.push_back(even ? 2 * pair : 2 * pair - 1);
  }
  return places;
}

TEST(TextDataTest, SharesAreDisjointAndCoverTheTrainingText) {
  constexpr size_t kLength = 4;
  constexpr size_t kTraining = 9000;
  const TextData data = CreateData({Places(10'000)}, 2, kLength);
  absl::flat_hash_set<size_t> blocks_of[2];
  for (size_t rank = 0; rank < 2; ++rank) {
    for (const size_t place : DrawPlaces(data, rank)) {
      ASSERT_LE(place + kLength, kTraining) << "validation text";
      ASSERT_EQ(place / TextData::kBlockLength, (place + kLength - 1) / TextData::kBlockLength)
          << "reaches into the next block";
      blocks_of[rank].insert(place / TextData::kBlockLength);
    }
  }
  EXPECT_THAT(blocks_of[0], testing::UnorderedElementsAre(0, 2, 4));
  EXPECT_THAT(blocks_of[1], testing::UnorderedElementsAre(1, 3));
}

TEST(TextDataTest, EveryPlaceOfAShareIsDrawn) {
  const TextData data = CreateData({Places(1000)}, 1, 4);
  const std::vector<size_t> drawn = DrawPlaces(data, 0);
  const absl::flat_hash_set<size_t> places(drawn.begin(), drawn.end());
  // 4,000 draws of 897 places leave out about 10.
  EXPECT_GT(places.size(), 850u);
  EXPECT_THAT(places, testing::Each(testing::Le(896u)));
}

TEST(TextDataTest, RefusesTextThatIsTooShort) {
  const std::string text = Alphabet(3000);
  EXPECT_THAT(TextData::Create({text}, 2, 2000),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("the share of worker 1")));
  EXPECT_THAT(TextData::Create({text}, 1, 301),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("validate")));
  EXPECT_THAT(TextData::Create({text}, 1, 300), IsOk());
}

TEST(TextDataTest, RefusesArgumentsByName) {
  const std::string text = Alphabet(3000);
  EXPECT_THAT(TextData::Create({text}, 0, 9),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("`num_workers` = 0")));
  EXPECT_THAT(TextData::Create({text}, 1, 1),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("`window_length` = 1")));
  EXPECT_THAT(TextData::Create({text}, 1, 2049),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("`window_length` = 2049")));
  EXPECT_THAT(TextData::Create({std::string(3000, 'a')}, 1, 9),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("1 different bytes")));
}

}  // namespace
}  // namespace tally
