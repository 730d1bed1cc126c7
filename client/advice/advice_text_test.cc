#include "client/advice/advice_text.h"

#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace tally {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

TEST(FormatSecondsTest, HasThreeDigitsAndAUnit) {
  EXPECT_EQ(FormatSeconds(absl::ZeroDuration()), "0 s");
  EXPECT_EQ(FormatSeconds(absl::Nanoseconds(12'500)), "12.5 us");
  EXPECT_EQ(FormatSeconds(absl::Milliseconds(310)), "310 ms");
  EXPECT_EQ(FormatSeconds(absl::Microseconds(999'700)), "1.00 s");
  EXPECT_EQ(FormatSeconds(absl::Milliseconds(1'744)), "1.74 s");
  EXPECT_EQ(FormatSeconds(absl::Milliseconds(59'960)), "60.0 s");
  EXPECT_EQ(FormatSeconds(absl::Minutes(90)), "1.50 h");
}

TEST(FormatBitRateTest, TakesTheLargestUnit) {
  EXPECT_EQ(FormatBitRate(1e9), "1 Gbps");
  EXPECT_EQ(FormatBitRate(2.5e6), "2.5 Mbps");
  EXPECT_EQ(FormatBitRate(64e3), "64 kbps");
  EXPECT_EQ(FormatBitRate(300), "300 bps");
}

RoundCost Cost(double bytes, int worker_ms, int wire_ms, int exchange_ms) {
  return {.up_bytes = bytes,
          .down_bytes = bytes,
          .worker = absl::Milliseconds(worker_ms),
          .up = absl::Milliseconds(wire_ms),
          .aggregator = absl::Milliseconds(5),
          .down = absl::Milliseconds(wire_ms),
          .window = absl::Microseconds(3120),
          .latency = absl::Milliseconds(2),
          .chunks = 25,
          .exchange = absl::Milliseconds(exchange_ms),
          .round = absl::Milliseconds(120 + exchange_ms)};
}

Advice Example() {
  Advice advice;
  advice.options = {.parameters = 25'600'000,
                    .workers = 16,
                    .uplink_bits_per_second = 1e9,
                    .downlink_bits_per_second = 2e9,
                    .aggregators = 1,
                    .aggregator_link_bits_per_second = 10e9,
                    .latency = absl::Milliseconds(2),
                    .step = absl::Milliseconds(120)};
  advice.rows = {{.method = "dense_adam",
                  .settings = "float32",
                  .cost = Cost(102'400'000, 59, 1300, 1355),
                  .mean_round = absl::Milliseconds(1475),
                  .gain = 1,
                  .ring_gain = 1.2},
                 {.method = "onebit_adam",
                  .settings = "blocks of 4096, warm-up 2000",
                  .cost = Cost(3'225'000, 87, 42, 92),
                  .mean_round = absl::Milliseconds(465),
                  .gain = 3.172,
                  .ring_gain = 3.8,
                  .verdict = AdviceVerdict::kFaster},
                 {.method = "sketched_sgd",
                  .settings = "k 128000, 5 x 153600",
                  .cost = Cost(1'000'000, 358, 13, 360),
                  .mean_round = absl::Milliseconds(480),
                  .gain = 3.07,
                  .ring_gain = 3.7,
                  .verdict = AdviceVerdict::kUnsuitable,
                  .warning = "too few columns"}};
  advice.rings = {{.settings = "float32", .bytes = 1.92e8, .round = absl::Milliseconds(1770)}};
  advice.recommendation = Recommendation::kCompress;
  advice.fastest = 1;
  advice.fastest_dense = 0;
  return advice;
}

TEST(FormatAdviceTest, SaysWhatWasAskedTheAnswerTheRowsAndTheFormula) {
  EXPECT_EQ(
      FormatAdvice(Example()),
      R"(25,600,000 parameters, 16 workers at 1 Gbps up and 2 Gbps down, 1 aggregator at 10 Gbps each way with 4 cores,
latency 2.00 ms, step 120 ms (overlap 0), 10,000 rounds.
Compress: the fastest is onebit_adam (blocks of 4096, warm-up 2000), 465 ms a round;
uncompressed at best 1.48 s a round, dense_adam (float32); a ring all-reduce, where there is one, 1.77 s (float32).

method        settings                        bytes up  bytes down     round      mean  to dense   to ring
onebit_adam   blocks of 4096, warm-up 2000     3.07MiB     3.07MiB    212 ms    465 ms    3.17 x    3.80 x  faster
dense_adam    float32                         97.65MiB    97.65MiB    1.48 s    1.48 s    1.00 x    1.20 x  -
sketched_sgd  k 128000, 5 x 153600           976.56KiB   976.56KiB    480 ms    480 ms    3.07 x    3.70 x  unsuitable

method        settings                        worker        up  aggregator      down    window   latency   chunks  exchange
onebit_adam   blocks of 4096, warm-up 2000   87.0 ms   42.0 ms     5.00 ms   42.0 ms   3.12 ms   2.00 ms       25   92.0 ms
dense_adam    float32                        59.0 ms    1.30 s     5.00 ms    1.30 s   3.12 ms   2.00 ms       25    1.35 s
sketched_sgd  k 128000, 5 x 153600            358 ms   13.0 ms     5.00 ms   13.0 ms   3.12 ms   2.00 ms       25    360 ms

round    = step + max(0, exchange - overlap * step)
exchange = longest of worker, up, aggregator, down, window
           + (worker + up + aggregator + down - longest of these) / chunks + latency
worker: encoding, decoding and the step; aggregator: its arithmetic; as measured, docs/benchmarks.md.
up, down: the longer of a worker's bytes over its link and all workers' over the busiest aggregator's;
links give 94 % of their rate, gRPC 0.68 GB/s a core. window: latency * chunks of that aggregator / 16.
mean: over the run, warm-up included. to dense, to ring: the fastest one's mean over this one.
What a method does to the loss is another matter: docs/benchmarks.md.
Unsuitable: sketched_sgd (k 128000, 5 x 153600): too few columns.
)");
}

TEST(FormatAdviceTest, SaysWhenNotToCompress) {
  Advice advice = Example();
  advice.recommendation = Recommendation::kDoNotCompress;
  EXPECT_THAT(FormatAdvice(advice), HasSubstr("\nDo not compress: "));
  advice.recommendation = Recommendation::kCompressUnlessRing;
  EXPECT_THAT(FormatAdvice(advice), HasSubstr("\nDo not compress if the workers can all-reduce"));
}

// A method that this layout cannot have has a reason, but neither bytes nor times.
TEST(FormatAdviceTest, LeavesOutWhatIsNotThere) {
  Advice advice = Example();
  advice.rows[2].settings = "";
  advice.rows[2].cost = {};
  advice.rows[2].mean_round = absl::ZeroDuration();
  const std::string text = FormatAdvice(advice);
  EXPECT_THAT(text, HasSubstr("\nsketched_sgd                                unsuitable\n"));
  EXPECT_THAT(text, HasSubstr("\nUnsuitable: sketched_sgd: too few columns.\n"));
}

TEST(FormatAdviceTest, NamesTheDenseShare) {
  Advice advice = Example();
  advice.options.dense_share = 0.25;
  EXPECT_THAT(FormatAdvice(advice), HasSubstr("share 0.25 of the parameters always dense"));
  EXPECT_THAT(FormatAdvice(advice), StartsWith("25,600,000 parameters, 16 workers at 1 Gbps up"));
}

}  // namespace
}  // namespace tally
