#include "tools/advice_question.h"

#include <functional>
#include <string>

#include "absl/time/time.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/util/status_matchers.h"

namespace tally {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Optional;

AdviceQuestion Example() {
  AdviceQuestion question;
  question.parameters = "25.6e6";
  question.workers = "16";
  question.uplink = "1Gbps";
  return question;
}

TEST(AdviceQuestionTest, NeedsThreeFlags) {
  const absl::StatusOr<AdviceOptions> options = ReadQuestion(Example());
  ASSERT_THAT(options, IsOk());
  EXPECT_EQ(options->parameters, 25'600'000u);
  EXPECT_EQ(options->workers, 16u);
  EXPECT_EQ(options->uplink_bits_per_second, 1e9);
  EXPECT_FALSE(options->downlink_bits_per_second.has_value());
  EXPECT_EQ(options->aggregators, 1u);
  EXPECT_FALSE(options->optimizer.warmup_rounds.has_value());
}

TEST(AdviceQuestionTest, DefaultsAreThoseOfTheLibrary) {
  const AdviceOptions defaults;
  const absl::StatusOr<AdviceOptions> options = ReadQuestion(Example());
  ASSERT_THAT(options, IsOk());
  EXPECT_EQ(options->aggregator_cores, defaults.aggregator_cores);
  EXPECT_EQ(options->latency, defaults.latency);
  EXPECT_EQ(options->step, defaults.step);
  EXPECT_EQ(options->overlap, defaults.overlap);
  EXPECT_EQ(options->dense_share, defaults.dense_share);
  EXPECT_EQ(options->chunk_elements, defaults.chunk_elements);
  EXPECT_EQ(options->rounds, defaults.rounds);
  EXPECT_EQ(options->optimizer.dtype, defaults.optimizer.dtype);
  EXPECT_EQ(options->optimizer.share, defaults.optimizer.share);
  EXPECT_EQ(options->sketch_share, defaults.sketch_share);
  EXPECT_EQ(options->sketch_columns_share, defaults.sketch_columns_share);
}

TEST(AdviceQuestionTest, ReadsEveryFlag) {
  AdviceQuestion question = Example();
  question.downlink = "10Gbps";
  question.aggregators = "4";
  question.aggregator_link = "25Gbps";
  question.aggregator_cores = "8";
  question.latency = "2ms";
  question.step = "120ms";
  question.overlap = 0.5;
  question.dense_share = 0.1;
  question.chunk_elements = 4096;
  question.rounds = "1e5";
  question.warmup_rounds = "0";
  question.dense_type = "float16";
  question.share = 0.02;
  question.sketch_share = 0.03;
  question.sketch_columns_share = 0.04;
  const absl::StatusOr<AdviceOptions> options = ReadQuestion(question);
  ASSERT_THAT(options, IsOk());
  EXPECT_THAT(options->downlink_bits_per_second, Optional(10e9));
  EXPECT_EQ(options->aggregators, 4u);
  EXPECT_THAT(options->aggregator_link_bits_per_second, Optional(25e9));
  EXPECT_EQ(options->aggregator_cores, 8u);
  EXPECT_EQ(options->latency, absl::Milliseconds(2));
  EXPECT_EQ(options->step, absl::Milliseconds(120));
  EXPECT_EQ(options->overlap, 0.5);
  EXPECT_EQ(options->dense_share, 0.1);
  EXPECT_EQ(options->chunk_elements, 4096u);
  EXPECT_EQ(options->rounds, 100'000u);
  EXPECT_THAT(options->optimizer.warmup_rounds, Optional(0u));
  EXPECT_EQ(ElementBytes(options->optimizer.dtype), 2u);
  EXPECT_EQ(options->optimizer.share, 0.02);
  EXPECT_EQ(options->sketch_share, 0.03);
  EXPECT_EQ(options->sketch_columns_share, 0.04);
}

TEST(AdviceQuestionTest, RefusesByFlagAndValue) {
  const struct {
    const char* flag;
    std::string AdviceQuestion::*field;
  } cases[] = {
      {"--parameters", &AdviceQuestion::parameters},
      {"--workers", &AdviceQuestion::workers},
      {"--uplink", &AdviceQuestion::uplink},
      {"--downlink", &AdviceQuestion::downlink},
      {"--aggregators", &AdviceQuestion::aggregators},
      {"--aggregator_link", &AdviceQuestion::aggregator_link},
      {"--aggregator_cores", &AdviceQuestion::aggregator_cores},
      {"--latency", &AdviceQuestion::latency},
      {"--step", &AdviceQuestion::step},
      {"--rounds", &AdviceQuestion::rounds},
      {"--warmup_rounds", &AdviceQuestion::warmup_rounds},
      {"--dense_type", &AdviceQuestion::dense_type},
  };
  for (const auto& row : cases) {
    SCOPED_TRACE(row.flag);
    AdviceQuestion question = Example();
    question.*row.field = "much";
    EXPECT_THAT(ReadQuestion(question),
                StatusIs(absl::StatusCode::kInvalidArgument,
                         AllOf(HasSubstr(absl::StrCat("`", row.flag, "` = \"much\"")),
                               HasSubstr("must be"))));
  }
}

}  // namespace
}  // namespace tally
