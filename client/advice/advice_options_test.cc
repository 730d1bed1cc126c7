#include "client/advice/advice_options.h"

#include <cmath>
#include <functional>

#include "codecs/limits.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/util/status_matchers.h"

namespace tally {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Optional;

AdviceOptions Example() {
  return {.parameters = 25'600'000, .workers = 16, .uplink_bits_per_second = 1e9};
}

TEST(CompleteAdviceOptionsTest, TakesTheUplinkForLinksThatAreUnset) {
  const absl::StatusOr<AdviceOptions> options = CompleteAdviceOptions(Example());
  ASSERT_THAT(options, IsOk());
  EXPECT_THAT(options->downlink_bits_per_second, Optional(1e9));
  EXPECT_THAT(options->aggregator_link_bits_per_second, Optional(1e9));
}

TEST(CompleteAdviceOptionsTest, KeepsWhatIsSet) {
  AdviceOptions given = Example();
  given.downlink_bits_per_second = 2e9;
  given.aggregator_link_bits_per_second = 3e9;
  const absl::StatusOr<AdviceOptions> options = CompleteAdviceOptions(given);
  ASSERT_THAT(options, IsOk());
  EXPECT_THAT(options->downlink_bits_per_second, Optional(2e9));
  EXPECT_THAT(options->aggregator_link_bits_per_second, Optional(3e9));
}

TEST(CompleteAdviceOptionsTest, RefusesByFieldValueAndRule) {
  const struct {
    const char* field_and_value;
    const char* rule;
    std::function<void(AdviceOptions&)> spoil;
  } cases[] = {
      {"`parameters` = 0", "from 1", [](AdviceOptions& o) { o.parameters = 0; }},
      {"`parameters` = 1099511627777", "to 1099511627776",
       [](AdviceOptions& o) { o.parameters = kMaxElements + 1; }},
      {"`dense_share` = 1", "[0, 1)", [](AdviceOptions& o) { o.dense_share = 1; }},
      {"`dense_share` = -0.5", "[0, 1)", [](AdviceOptions& o) { o.dense_share = -0.5; }},
      {"`dense_share` = nan", "[0, 1)", [](AdviceOptions& o) { o.dense_share = std::nan(""); }},
      {"`workers` = 0", "from 1 to 65536", [](AdviceOptions& o) { o.workers = 0; }},
      {"`workers` = 65537", "from 1 to 65536", [](AdviceOptions& o) { o.workers = 65537; }},
      {"`uplink_bits_per_second` = 0", "positive",
       [](AdviceOptions& o) { o.uplink_bits_per_second = 0; }},
      {"`downlink_bits_per_second` = inf", "finite",
       [](AdviceOptions& o) { o.downlink_bits_per_second = 1 / 0.0; }},
      {"`aggregator_link_bits_per_second` = -1", "positive",
       [](AdviceOptions& o) { o.aggregator_link_bits_per_second = -1; }},
      {"`aggregators` = 0", "from 1 to 1024", [](AdviceOptions& o) { o.aggregators = 0; }},
      {"`aggregators` = 1025", "from 1 to 1024", [](AdviceOptions& o) { o.aggregators = 1025; }},
      {"`aggregator_cores` = 0", "from 1 to 1024",
       [](AdviceOptions& o) { o.aggregator_cores = 0; }},
      {"`latency` = -1ms", "from 0 to 1m",
       [](AdviceOptions& o) { o.latency = absl::Milliseconds(-1); }},
      {"`step` = inf", "from 0 to 24h",
       [](AdviceOptions& o) { o.step = absl::InfiniteDuration(); }},
      {"`overlap` = 1.5", "from 0 to 1", [](AdviceOptions& o) { o.overlap = 1.5; }},
      {"`chunk_elements` = 1000", "multiple of 256",
       [](AdviceOptions& o) { o.chunk_elements = 1000; }},
      {"`chunk_elements` = 0", "multiple of 256", [](AdviceOptions& o) { o.chunk_elements = 0; }},
      {"`chunk_elements` = 33554432", "to 16777216",
       [](AdviceOptions& o) { o.chunk_elements = 1 << 25; }},
      {"`rounds` = 0", "from 1 to 1e+07", [](AdviceOptions& o) { o.rounds = 0; }},
      {"`rounds` = 1.1e+07", "from 1 to 1e+07", [](AdviceOptions& o) { o.rounds = 11'000'000; }},
      {"`optimizer.share` = 0", "(0, 1]", [](AdviceOptions& o) { o.optimizer.share = 0; }},
      {"`sketch_share` = 2", "(0, 1]", [](AdviceOptions& o) { o.sketch_share = 2; }},
      {"`sketch_columns_share` = 0", "(0, 1]",
       [](AdviceOptions& o) { o.sketch_columns_share = 0; }},
  };
  for (const auto& row : cases) {
    SCOPED_TRACE(row.field_and_value);
    AdviceOptions options = Example();
    row.spoil(options);
    EXPECT_THAT(CompleteAdviceOptions(options),
                StatusIs(absl::StatusCode::kInvalidArgument,
                         AllOf(HasSubstr(row.field_and_value), HasSubstr(row.rule))));
  }
}

TEST(ParseDenseTypeTest, ReadsItsThreeNamesAndRefusesOthers) {
  EXPECT_THAT(ParseDenseType("--dense_type", "float32"), IsOkAndHolds(DType::kFloat32));
  EXPECT_THAT(ParseDenseType("--dense_type", "float16"), IsOkAndHolds(DType::kFloat16));
  EXPECT_THAT(ParseDenseType("--dense_type", "bfloat16"), IsOkAndHolds(DType::kBFloat16));
  EXPECT_THAT(ParseDenseType("--dense_type", "int8"),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("`--dense_type` = \"int8\", must be float32")));
}

}  // namespace
}  // namespace tally
