#include "codecs/layout_codec.h"

#include "absl/strings/str_cat.h"
#include "codecs/dealing.h"
#include "gmock/gmock.h"
#include "google/protobuf/text_format.h"
#include "gtest/gtest.h"
#include "tests/util/status_matchers.h"

namespace tally {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

v1::Layout ParseLayout(const std::string& text) {
  v1::Layout message;
  EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(text, &message));
  return message;
}

constexpr char kLayout[] = R"(
  tensors {
    name: "weight"
    num_elements: 1000
    treatment: TREATMENT_COMPRESSED
    masked { begin: 3 end: 5 }
    masked { begin: 999 end: 1000 }
  }
  tensors { name: "bias" num_elements: 10 treatment: TREATMENT_DENSE }
  chunk_elements: 512
)";

TEST(LayoutCodecTest, DecodesEachField) {
  const absl::StatusOr<Layout> layout = DecodeLayout(ParseLayout(kLayout));
  ASSERT_THAT(layout, IsOk());
  EXPECT_EQ(layout->chunk_elements(), 512u);
  EXPECT_THAT(layout->tensors(),
              ElementsAre(Tensor{"weight", 1000, Treatment::kCompressed, {{3, 5}, {999, 1000}}},
                          Tensor{"bias", 10, Treatment::kDense, {}}));
}

TEST(LayoutCodecTest, EncodesWhatItDecoded) {
  const v1::Layout message = ParseLayout(kLayout);
  const absl::StatusOr<Layout> layout = DecodeLayout(message);
  ASSERT_THAT(layout, IsOk());
  EXPECT_EQ(EncodeLayout(*layout).SerializeAsString(), message.SerializeAsString());
}

constexpr char kDealtLayout[] = R"(
  tensors { name: "weight" num_elements: 1000 treatment: TREATMENT_COMPRESSED }
  chunk_elements: 512
  dealing { num_groups: 3 hash_version: 1 seed: 77 }
)";

TEST(LayoutCodecTest, DecodesEachFieldOfADealing) {
  const absl::StatusOr<Layout> layout = DecodeLayout(ParseLayout(kDealtLayout));
  ASSERT_THAT(layout, IsOk());
  ASSERT_TRUE(layout->dealing().has_value());
  EXPECT_EQ(layout->dealing()->options(), (DealingOptions{.num_groups = 3, .seed = 77}));
}

TEST(LayoutCodecTest, EncodesTheDealingThatItDecoded) {
  const v1::Layout message = ParseLayout(kDealtLayout);
  const absl::StatusOr<Layout> layout = DecodeLayout(message);
  ASSERT_THAT(layout, IsOk());
  EXPECT_EQ(EncodeLayout(*layout).SerializeAsString(), message.SerializeAsString());
  const absl::StatusOr<Layout> contiguous = DecodeLayout(ParseLayout(kLayout));
  ASSERT_THAT(contiguous, IsOk());
  EXPECT_FALSE(EncodeLayout(*contiguous).has_dealing());
}

TEST(LayoutCodecTest, RefusesAHashVersionThatIsUnsetOrUnknown) {
  for (const uint32_t version : {0u, 2u, ~0u}) {
    SCOPED_TRACE(version);
    v1::Layout message = ParseLayout(kDealtLayout);
    message.mutable_dealing()->set_hash_version(version);
    EXPECT_THAT(DecodeLayout(message),
                StatusIs(absl::StatusCode::kUnimplemented,
                         absl::StrCat("`dealing.hash_version` = ", version, ", must be 1")));
  }
}

TEST(LayoutCodecTest, RefusesTreatmentsThatItDoesNotKnow) {
  for (const int treatment : {0, 3, -1}) {
    SCOPED_TRACE(treatment);
    v1::Layout message = ParseLayout(kLayout);
    message.mutable_tensors(1)->set_treatment(static_cast<v1::Treatment>(treatment));
    EXPECT_THAT(DecodeLayout(message),
                StatusIs(absl::StatusCode::kInvalidArgument,
                         HasSubstr(absl::StrCat("`tensors[1].treatment` = ", treatment,
                                                ", must be TREATMENT_COMPRESSED or "
                                                "TREATMENT_DENSE"))));
  }
}

TEST(LayoutCodecTest, RefusesWhatNoLayoutMayBe) {
  EXPECT_THAT(DecodeLayout(v1::Layout()),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("`tensors` has 0 entries")));
  v1::Layout message = ParseLayout(kLayout);
  message.mutable_tensors(0)->mutable_masked(1)->set_begin(5);
  EXPECT_THAT(DecodeLayout(message),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("`tensors[0].masked[1].begin` = 5, must be past the end of the "
                                 "range before (5)")));
  message = ParseLayout(kDealtLayout);
  message.mutable_dealing()->clear_num_groups();
  EXPECT_THAT(DecodeLayout(message),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("`dealing.num_groups` = 0, must be from 1 to 16")));
  message = ParseLayout(kLayout);
  message.clear_chunk_elements();
  EXPECT_THAT(DecodeLayout(message),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("`chunk_elements` = 0")));
}

}  // namespace
}  // namespace tally
