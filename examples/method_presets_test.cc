#include "examples/method_presets.h"

#include "client/optimizers/create_optimizer.h"
#include "gtest/gtest.h"

namespace tally {
namespace {

TEST(MethodPresetsTest, EveryMethodHasOneWithATwinThatIsDense) {
  for (const absl::string_view method : OptimizerNames()) {
    SCOPED_TRACE(method);
    const MethodPreset preset = PresetOf(method);
    EXPECT_EQ(preset.method, method);
    EXPECT_EQ(PresetOf(preset.twin).twin, preset.twin);
    EXPECT_EQ(preset.twin.substr(0, 6), "dense_");
    EXPECT_GT(preset.learning_rate, 0);
    EXPECT_GT(preset.final_learning_rate_share, 0);
    EXPECT_LE(preset.final_learning_rate_share, 1);
    EXPECT_GE(preset.warmup_share, 0);
    EXPECT_LT(preset.warmup_share, 1);
  }
}

TEST(MethodPresetsTest, ASmallSketchHasFewerColumnsAndUpdatesFewerElements) {
  const MethodPreset preset = PresetOf("sketched_amsgrad");
  const MethodPreset small = WithSmallSketch(preset);
  EXPECT_EQ(small.method, preset.method);
  EXPECT_LT(small.sketch_share, preset.sketch_share);
  EXPECT_LT(small.sketch_columns_share, preset.sketch_columns_share);
}

TEST(MethodPresetsTest, AMethodWithoutOneIsTakenForOneOfAdamsFamily) {
  EXPECT_EQ(PresetOf("unheard_of").twin, "dense_adam");
  EXPECT_EQ(PresetOf("unheard_of").learning_rate, PresetOf("dense_adam").learning_rate);
}

}  // namespace
}  // namespace tally
