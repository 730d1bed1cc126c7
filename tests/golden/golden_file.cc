#include "tests/golden/golden_file.h"

#include <fstream>
#include <iterator>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "google/protobuf/text_format.h"
#include "gtest/gtest.h"

namespace tally {
namespace {

// Tests run in the root of the workspace's data.
std::string ReadFile(absl::string_view file) {
  const std::string path = absl::StrCat("tests/golden/", file);
  std::ifstream stream(path);
  EXPECT_TRUE(stream.is_open()) << path;
  return {std::istreambuf_iterator<char>(stream), std::istreambuf_iterator<char>()};
}

bool IsHexByte(absl::string_view digits) {
  return digits.size() == 2 && absl::ascii_isxdigit(static_cast<unsigned char>(digits[0])) &&
         absl::ascii_isxdigit(static_cast<unsigned char>(digits[1]));
}

}  // namespace

std::string GoldenBytes(absl::string_view name) {
  std::string bytes;
  const std::string text = ReadFile(absl::StrCat(name, ".hex"));
  for (const absl::string_view line : absl::StrSplit(text, '\n')) {
    const absl::string_view digits = line.substr(0, line.find('#'));
    for (const absl::string_view byte : absl::StrSplit(digits, ' ', absl::SkipEmpty())) {
      EXPECT_TRUE(IsHexByte(byte)) << name << ": " << byte;
      absl::StrAppend(&bytes, absl::HexStringToBytes(byte));
    }
  }
  return bytes;
}

void ReadGoldenText(absl::string_view name, google::protobuf::Message& message) {
  EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(ReadFile(absl::StrCat(name, ".txtpb")),
                                                            &message))
      << name;
}

}  // namespace tally
