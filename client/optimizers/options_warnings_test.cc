#include "client/optimizers/options_warnings.h"

#include <functional>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "kernels/dtype.h"

namespace tally {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr uint64_t kElements = 100'000;

Layout CompressedLayout() {
  return *Layout::Create({{.name = "t", .num_elements = kElements}}, kDefaultChunkElements);
}

// Options that nothing speaks against.
OptimizerOptions GoodOptions() {
  OptimizerOptions options;
  options.warmup_rounds = 100;
  options.sketch = {.num_updated = 500, .columns = 5000};
  return options;
}

TEST(OptionsWarningsTest, NothingSpeaksAgainstGoodOptions) {
  for (const absl::string_view name : OptimizerNames()) {
    SCOPED_TRACE(name);
    EXPECT_THAT(OptionsWarnings(name, GoodOptions(), CompressedLayout(), 4), IsEmpty());
    EXPECT_THAT(OptionsWarnings(name, GoodOptions(), CompressedLayout(), 0), IsEmpty());
  }
}

TEST(OptionsWarningsTest, NamesWhatIsHopeless) {
  const struct {
    const char* name;
    uint64_t workers;
    std::function<void(OptimizerOptions&)> spoil;
    const char* warning;
  } rows[] = {
      {"birder", 1, [](auto&) {}, "1 worker: there is nobody"},
      {"onebit_adam", 4, [](auto& o) { o.warmup_rounds = 9; }, "`warmup_rounds` = 9:"},
      {"onebit_adam", 4,
       [](auto& o) {
         o.warmup_rounds = absl::nullopt;
         o.freeze_threshold = 1.0f;
       },
       "`freeze_threshold` = 1:"},
      {"sign_sgd", 4, [](auto& o) { o.adam.learning_rate = 0.1f; }, "`learning_rate` = 0.1:"},
      {"birder", 4, [](auto& o) { o.adam.learning_rate = 0.1f; }, "`learning_rate` = 0.1:"},
      {"sign_sgd", 2, [](auto&) {}, "2 workers: where they disagree"},
      {"topk_sgd", 4, [](auto& o) { o.share = 1.0; }, "`share` = 1: up to 3"},
      {"cd_adam", 4,
       [](auto& o) {
         o.share = 1.0;
         o.compressor = CdAdamCompressor::kTopk;
       },
       "`share` = 1: up to 3"},
      // What comes down is what four workers choose, at worst each for itself.
      {"topk_sgd", 4, [](auto& o) { o.share = 0.9; }, "`share` = 0.9: up to"},
      {"topk_sgd", 4,
       [](auto& o) {
         o.share = 0.5;
         o.dtype = DType::kBFloat16;
       },
       "where a dense exchange costs 16 each way"},
      {"sketched_sgd", 4,
       [](auto& o) {
         o.sketch.columns = 999;
         o.sketch.candidates_per_updated = 19;
       },
       "`columns` = 999 is less than twice `num_updated` = 500"},
      {"sketched_amsgrad", 4, [](auto& o) { o.sketch.candidates_per_updated = 200; },
       "`num_updated` * `candidates_per_updated` = 100000 is all of the 100000 elements"},
      {"sketched_sgd", 4, [](auto& o) { o.sketch.columns = 20'000; },
       "`rows` * `columns` = 100000 cells are no fewer than the 100000 elements"},
  };
  for (const auto& row : rows) {
    SCOPED_TRACE(testing::Message() << row.name << ": " << row.warning);
    OptimizerOptions options = GoodOptions();
    row.spoil(options);
    EXPECT_THAT(OptionsWarnings(row.name, options, CompressedLayout(), row.workers),
                ElementsAre(HasSubstr(row.warning)));
  }
}

TEST(OptionsWarningsTest, SaysAllOfIt) {
  OptimizerOptions options = GoodOptions();
  options.adam.learning_rate = 0.1f;
  EXPECT_THAT(OptionsWarnings("sign_sgd", options, CompressedLayout(), 1),
              ElementsAre(HasSubstr("1 worker"), HasSubstr("`learning_rate`")));
}

TEST(OptionsWarningsTest, IsSilentUpToTheBoundaries) {
  const struct {
    const char* name;
    uint64_t workers;
    std::function<void(OptimizerOptions&)> change;
  } rows[] = {
      {"onebit_adam", 4, [](auto& o) { o.warmup_rounds = 10; }},
      {"onebit_adam", 4, [](auto& o) { o.freeze_threshold = 1.0f; }},  // rounds are given
      {"birder", 2, [](auto& o) { o.adam.learning_rate = 0.01f; }},
      {"sign_sgd", 3, [](auto&) {}},
      {"topk_sgd", 0, [](auto& o) { o.share = 0.5; }},
      {"cd_adam", 4, [](auto& o) { o.share = 1.0; }},  // by signs
      {"sketched_sgd", 4, [](auto& o) { o.sketch.columns = 1000; }},
      {"sketched_sgd", 4,
       [](auto& o) {
         o.sketch.columns = 999;
         o.sketch.candidates_per_updated = 20;  // a tenth of all
       }},
      {"sketched_sgd", 4, [](auto& o) { o.sketch.columns = 19'999; }},
      {"sketched_sgd", 4, [](auto& o) { o.sketch.candidates_per_updated = 199; }},
  };
  for (const auto& row : rows) {
    SCOPED_TRACE(row.name);
    OptimizerOptions options = GoodOptions();
    row.change(options);
    EXPECT_THAT(OptionsWarnings(row.name, options, CompressedLayout(), row.workers), IsEmpty());
  }
}

TEST(OptionsWarningsTest, ALayoutThatIsAllDenseLeavesNothingToCompress) {
  const Layout layout =
      *Layout::Create({{"t", kElements, Treatment::kDense}}, kDefaultChunkElements);
  EXPECT_THAT(OptionsWarnings("topk_sgd", GoodOptions(), layout, 4),
              ElementsAre(HasSubstr("`layout` marks every tensor dense: topk_sgd has nothing")));
  EXPECT_THAT(OptionsWarnings("dense_sgd", GoodOptions(), layout, 4), IsEmpty());
}

TEST(OptionsWarningsTest, HasNothingToSayOfMethodsThatDoNotCompressOrExist) {
  EXPECT_THAT(OptionsWarnings("dense_adam", GoodOptions(), CompressedLayout(), 1), IsEmpty());
  EXPECT_THAT(OptionsWarnings("unheard_of", GoodOptions(), CompressedLayout(), 1), IsEmpty());
}

}  // namespace
}  // namespace tally
