#include "examples/checkpoint.h"

#include "examples/training_report.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/util/status_matchers.h"

namespace tally {
namespace {

using ::testing::HasSubstr;

TEST(CheckpointTest, ComesBackAsItWas) {
  CheckpointFiles files(testing::TempDir(), "w-0");
  ASSERT_THAT(files.Write(100, {.run = std::string("a\0b", 3), .training = "state"}), IsOk());
  const absl::StatusOr<Checkpoint> checkpoint =
      CheckpointFiles(testing::TempDir(), "w-0").Read(100);
  ASSERT_THAT(checkpoint, IsOk());
  EXPECT_EQ(checkpoint->run, std::string("a\0b", 3));
  EXPECT_EQ(checkpoint->training, "state");
}

TEST(CheckpointTest, TheLastTwoAreKept) {
  CheckpointFiles files(testing::TempDir(), "w-1");
  for (const uint64_t round : {10, 20, 30}) ASSERT_THAT(files.Write(round, {}), IsOk());
  EXPECT_THAT(files.Read(10), StatusIs(absl::StatusCode::kNotFound, HasSubstr("w-1.10")));
  EXPECT_THAT(files.Read(20), IsOk());
  EXPECT_THAT(files.Read(30), IsOk());
}

TEST(CheckpointTest, OneThatWasCutIsRefused) {
  CheckpointFiles files(testing::TempDir(), "w-2");
  const std::string path = testing::TempDir() + "/w-2.10.checkpoint";
  ASSERT_THAT(WriteTextFile(path, "abc"), IsOk());
  EXPECT_THAT(files.Read(10), StatusIs(absl::StatusCode::kDataLoss, HasSubstr("has 3 bytes")));
  ASSERT_THAT(WriteTextFile(path, std::string("\x05\0\0\0\0\0\0\0abc", 11)), IsOk());
  EXPECT_THAT(files.Read(10),
              StatusIs(absl::StatusCode::kDataLoss, HasSubstr("its first part alone has 5")));
}

TEST(CheckpointTest, ADirectoryThatIsNotThereIsNamed) {
  CheckpointFiles files("/no/such/directory", "w-0");
  EXPECT_THAT(files.Write(1, {}),
              StatusIs(absl::StatusCode::kUnavailable, HasSubstr("/no/such/directory/w-0.1")));
}

}  // namespace
}  // namespace tally
