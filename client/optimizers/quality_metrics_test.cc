#include "client/optimizers/quality_metrics.h"

#include <limits>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace tally {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

RoundQuality Example() {
  return {.step = 12,
          .num_elements = 1000,
          .input_norm = 2.5,
          .update_norm = 2,
          .cosine = 0.8177,
          .relative_error = 0.5725,
          .residual_norm = 12.34};
}

RoundQuality SketchedExample() {
  RoundQuality quality = Example();
  quality.sketch = {.energy_share = 0.41,
                    .num_candidates = 2048,
                    .num_chosen = 512,
                    .error_bound = 0.003,
                    .smallest_chosen = 0.02};
  return quality;
}

TEST(QualityMetricsTest, AreInTheTextExpositionFormat) {
  EXPECT_EQ(FormatQualityMetrics({"bert", "w-0", "onebit_adam"}, Example()),
            R"(# HELP tally_round_step Step that was measured last, counted from 1.
# TYPE tally_round_step gauge
tally_round_step{job="bert",worker="w-0",method="onebit_adam"} 12
# HELP tally_round_elements Compressed elements that were measured.
# TYPE tally_round_elements gauge
tally_round_elements{job="bert",worker="w-0",method="onebit_adam"} 1000
# HELP tally_round_input_norm Norm (2) of what this worker put into the round.
# TYPE tally_round_input_norm gauge
tally_round_input_norm{job="bert",worker="w-0",method="onebit_adam"} 2.5
# HELP tally_round_update_norm Norm (2) of the update that came out of it.
# TYPE tally_round_update_norm gauge
tally_round_update_norm{job="bert",worker="w-0",method="onebit_adam"} 2
# HELP tally_round_cosine Cosine between this worker's input and the update.
# TYPE tally_round_cosine gauge
tally_round_cosine{job="bert",worker="w-0",method="onebit_adam"} 0.8177
# HELP tally_round_relative_error Norm of input minus update, by the norm of the input.
# TYPE tally_round_relative_error gauge
tally_round_relative_error{job="bert",worker="w-0",method="onebit_adam"} 0.5725
# HELP tally_round_residual_norm Norm (2) of what this worker keeps for later rounds.
# TYPE tally_round_residual_norm gauge
tally_round_residual_norm{job="bert",worker="w-0",method="onebit_adam"} 12.34
)");
}

TEST(QualityMetricsTest, AddTheSketchesFigures) {
  const std::string text = FormatQualityMetrics({"j", "w", "sketched_sgd"}, SketchedExample());
  EXPECT_THAT(text, HasSubstr(R"(# HELP tally_sketch_energy_share )"
                              R"(Share of the input's squared norm on the updated elements.
# TYPE tally_sketch_energy_share gauge
tally_sketch_energy_share{job="j",worker="w",method="sketched_sgd"} 0.41
)"));
  for (const char* sample :
       {"\ntally_sketch_candidates{job=\"j\",worker=\"w\",method=\"sketched_sgd\"} 2048\n",
        "\ntally_sketch_chosen{job=\"j\",worker=\"w\",method=\"sketched_sgd\"} 512\n",
        "\ntally_sketch_error_bound{job=\"j\",worker=\"w\",method=\"sketched_sgd\"} 0.003\n",
        "\ntally_sketch_smallest_chosen{job=\"j\",worker=\"w\",method=\"sketched_sgd\"} 0.02\n"}) {
    EXPECT_THAT(text, HasSubstr(sample));
  }
  EXPECT_THAT(FormatQualityMetrics({"j", "w", "sign_sgd"}, Example()),
              Not(HasSubstr("tally_sketch")));
}

TEST(QualityMetricsTest, EscapesLabels) {
  EXPECT_THAT(FormatQualityMetrics({"a\\b", "say \"hi\"", "two\nlines"}, Example()),
              HasSubstr(R"({job="a\\b",worker="say \"hi\"",method="two\nlines"} 12)"));
}

TEST(QualityMetricsTest, NamesWhatIsNoNumber) {
  RoundQuality quality = Example();
  quality.cosine = std::numeric_limits<double>::quiet_NaN();
  quality.relative_error = std::numeric_limits<double>::infinity();
  const std::string text = FormatQualityMetrics({"j", "w", "m"}, quality);
  EXPECT_THAT(text, HasSubstr("tally_round_cosine{job=\"j\",worker=\"w\",method=\"m\"} NaN\n"));
  EXPECT_THAT(text,
              HasSubstr("tally_round_relative_error{job=\"j\",worker=\"w\",method=\"m\"} +Inf\n"));
}

TEST(QualityMetricsTest, HaveOneReadableLine) {
  EXPECT_EQ(QualityLine(Example()),
            "update against input: cosine 0.82, relative error 0.57; residual norm 12.3");
  EXPECT_EQ(QualityLine(SketchedExample()),
            "update against input: cosine 0.82, relative error 0.57; residual norm 12.3; 41 % of "
            "the energy in 512 of 2048 candidates, error bound 0.003, smallest chosen 0.02");
}

}  // namespace
}  // namespace tally
