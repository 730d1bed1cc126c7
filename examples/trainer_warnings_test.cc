#include "examples/trainer_warnings.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace tally {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

Layout TestLayout() {
  return *Layout::Create({{.name = "t", .num_elements = 100'000}}, kDefaultChunkElements);
}

TrainerOptions GoodOptions(const char* optimizer) {
  TrainerOptions options;
  options.optimizer = optimizer;
  options.workers = 4;
  options.rounds = 600;
  options.learning_rate = 1e-3;
  options.sketch_share = 0.005;
  options.sketch_columns_share = 0.05;
  options.method.warmup_rounds = 120;
  return options;
}

TEST(TrainerWarningsTest, NothingSpeaksAgainstGoodOptions) {
  for (const char* optimizer : {"dense_adam", "onebit_adam", "sketched_sgd", "topk_sgd"}) {
    SCOPED_TRACE(optimizer);
    EXPECT_THAT(TrainerWarnings(GoodOptions(optimizer), TestLayout()), IsEmpty());
  }
}

TEST(TrainerWarningsTest, HandsOnWhatSpeaksAgainstTheMethodsOptions) {
  TrainerOptions options = GoodOptions("sketched_sgd");
  options.sketch_columns_share = 0.009;
  EXPECT_THAT(TrainerWarnings(options, TestLayout()),
              ElementsAre(HasSubstr("`columns` = 900 is less than twice `num_updated` = 500")));
  options = GoodOptions("sign_sgd");
  options.workers = 1;
  options.learning_rate = 0.1;
  EXPECT_THAT(TrainerWarnings(options, TestLayout()),
              ElementsAre(HasSubstr("1 worker"), HasSubstr("`learning_rate`")));
}

TEST(TrainerWarningsTest, AWarmUpMustEndWithinTheRun) {
  TrainerOptions options = GoodOptions("onebit_adam");
  options.rounds = 120;
  EXPECT_THAT(TrainerWarnings(options, TestLayout()),
              ElementsAre(HasSubstr("`--warmup_rounds` = 120 is all of --rounds (120)")));
  options.optimizer = "dense_adam";
  EXPECT_THAT(TrainerWarnings(options, TestLayout()), IsEmpty());
}

TEST(TrainerWarningsTest, TheAutomaticRuleNeedsTwoAsks) {
  TrainerOptions options = GoodOptions("onebit_adam");
  options.method.warmup_rounds = absl::nullopt;
  options.method.adam.beta2 = 0.99f;  // asked every 100 rounds
  options.rounds = 200;
  EXPECT_THAT(TrainerWarnings(options, TestLayout()),
              ElementsAre(HasSubstr("after 200 rounds at the earliest, --rounds is 200")));
  options.rounds = 201;
  EXPECT_THAT(TrainerWarnings(options, TestLayout()), IsEmpty());
  options.method.min_warmup_rounds = 101;
  EXPECT_THAT(TrainerWarnings(options, TestLayout()),
              ElementsAre(HasSubstr("after 300 rounds at the earliest")));
  options.method.freeze_interval = 50;
  EXPECT_THAT(TrainerWarnings(options, TestLayout()), IsEmpty());  // 150, then 200
}

TEST(TrainerWarningsTest, EveryElementOfASketchNeedsATurn) {
  TrainerOptions options = GoodOptions("sketched_amsgrad");
  options.rounds = 199;
  EXPECT_THAT(TrainerWarnings(options, TestLayout()),
              ElementsAre(HasSubstr("99500 updates in 199 rounds are fewer than the 100000")));
  options.rounds = 200;
  EXPECT_THAT(TrainerWarnings(options, TestLayout()), IsEmpty());
}

}  // namespace
}  // namespace tally
