#include "aggregator/exchange_task.h"

#include <cfenv>
#include <cmath>
#include <cstring>
#include <memory>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "aggregator/residual.h"
#include "base/digest.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "kernels/host_backends.h"
#include "tests/util/contribution_builder.h"
#include "tests/util/hello_builder.h"
#include "tests/util/status_matchers.h"

namespace tally {
namespace {

using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr size_t kNumElements = 512;

SharedBuffer BufferOf(const std::string& bytes) {
  Buffer buffer(bytes.size());
  std::memcpy(buffer.data(), bytes.data(), bytes.size());
  return std::make_shared<const Buffer>(std::move(buffer));
}

std::vector<float> FloatsOf(const Buffer& buffer, size_t count) {
  std::vector<float> values(count);
  std::memcpy(values.data(), buffer.data(), count * sizeof(float));
  return values;
}

ExchangeTask TaskOf(const Exchange& exchange, const std::vector<std::string>& payloads) {
  absl::StatusOr<ValidHello> valid = ValidateHello(HelloBuilder().Build(), "agg-0");
  EXPECT_THAT(valid, IsOk());
  ExchangeTask task{
      .job_serial = 3,
      .chunk = 1,
      .place = {9, 0},
      .description = std::make_shared<const JobDescription>(std::move(valid)->description),
      .exchange = exchange};
  for (const std::string& payload : payloads) task.payloads.push_back(BufferOf(payload));
  task.divisor = static_cast<uint32_t>(payloads.size());
  if (absl::holds_alternative<SignExchange>(exchange.kind)) {
    task.residual = std::make_shared<Residual>(kNumElements);
  }
  return task;
}

class ExchangeTaskTest : public testing::TestWithParam<const Backend*> {};

TEST_P(ExchangeTaskTest, TheOutcomeNamesTheExchangeAndItsBytes) {
  const ExchangeTask task =
      TaskOf(DenseFloat32(), {DensePayload(std::vector<float>(kNumElements, 1))});
  const absl::StatusOr<ExchangeOutcome> outcome = RunExchange(task, *GetParam());
  ASSERT_THAT(outcome, IsOk());
  EXPECT_EQ(outcome->job_serial, 3u);
  EXPECT_EQ(outcome->chunk, 1u);
  EXPECT_EQ(outcome->place.round, 9u);
  EXPECT_EQ(outcome->payload->size(), kNumElements * sizeof(float));
  EXPECT_EQ(outcome->payload_digest, Digest64(outcome->payload->bytes()));
}

TEST_P(ExchangeTaskTest, DenseGivesTheSumOverTheDivisor) {
  ExchangeTask task = TaskOf(DenseFloat32(), {DensePayload(std::vector<float>(kNumElements, 1)),
                                              DensePayload(std::vector<float>(kNumElements, 5))});
  task.divisor = 4;
  const absl::StatusOr<ExchangeOutcome> outcome = RunExchange(task, *GetParam());
  ASSERT_THAT(outcome, IsOk());
  EXPECT_THAT(FloatsOf(*outcome->payload, kNumElements), Each(1.5f));
}

TEST_P(ExchangeTaskTest, SignGivesScalesAndBitsAndLeavesTheRest) {
  // Element 0: (1 - 3) / 2 = -1; the others of the block: (1 + 3) / 2 = 2; the second block: 2.
  const ExchangeTask task = TaskOf(
      SignBlocks256(), {SignPayload({1, 1}, kNumElements), SignPayload({3, 3}, kNumElements, {0})});
  const absl::StatusOr<ExchangeOutcome> outcome = RunExchange(task, *GetParam());
  ASSERT_THAT(outcome, IsOk());
  ASSERT_EQ(outcome->payload->size(), 2 * sizeof(float) + kNumElements / 8);
  const auto scale = static_cast<float>(std::sqrt((1.0 + 255 * 4.0) / 256));
  EXPECT_THAT(FloatsOf(*outcome->payload, 2), ElementsAre(scale, 2.0f));
  EXPECT_EQ(outcome->payload->data()[8], 0xfe);
  const absl::Span<const float> residual = *task.residual->OnHost();
  EXPECT_EQ(residual[0], -1 + scale);
  EXPECT_EQ(residual[1], 2 - scale);
  EXPECT_EQ(residual[300], 0);
}

TEST_P(ExchangeTaskTest, SignAddsTheResidualUnlessItIsToBeZeroed) {
  Exchange zeroing = SignBlocks256();
  absl::get<SignExchange>(zeroing.kind).zero_residual = true;
  for (const auto& [exchange, scale] :
       {std::pair(SignBlocks256(), 1.5f), std::pair(zeroing, 1.0f)}) {
    SCOPED_TRACE(ExchangeName(exchange));
    ExchangeTask task = TaskOf(exchange, {SignPayload({1, 1}, kNumElements)});
    task.residual = std::make_shared<Residual>(std::vector<float>(kNumElements, 0.5f));
    const absl::StatusOr<ExchangeOutcome> outcome = RunExchange(task, *GetParam());
    ASSERT_THAT(outcome, IsOk());
    EXPECT_THAT(FloatsOf(*outcome->payload, 2), Each(scale));
    EXPECT_THAT(*task.residual->OnHost(), Each(0.0f));
  }
}

TEST_P(ExchangeTaskTest, GivesTheScalarBackEndsBits) {
  constexpr uint32_t kSeed = 20240607;
  SCOPED_TRACE(kSeed);
  std::mt19937 random(kSeed);
  std::normal_distribution<float> normal;
  const auto run = [&](const Exchange& exchange, const std::vector<std::string>& payloads,
                       const Backend& backend) {
    const ExchangeTask task = TaskOf(exchange, payloads);
    const absl::StatusOr<ExchangeOutcome> outcome = RunExchange(task, backend);
    EXPECT_THAT(outcome, IsOk());
    return outcome->payload_digest;
  };
  std::vector<std::string> dense;
  std::vector<std::string> sign;
  for (int worker = 0; worker < 5; ++worker) {
    std::vector<float> values(kNumElements);
    std::vector<size_t> negative;
    for (size_t i = 0; i < kNumElements; ++i) {
      values[i] = normal(random);
      if (values[i] < 0) negative.push_back(i);
    }
    dense.push_back(DensePayload(values));
    sign.push_back(
        SignPayload({std::fabs(values[0]), std::fabs(values[1])}, kNumElements, negative));
  }
  const Backend& scalar = *HostBackends().front();
  EXPECT_EQ(run(DenseFloat32(), dense, *GetParam()), run(DenseFloat32(), dense, scalar));
  EXPECT_EQ(run(SignBlocks256(), sign, *GetParam()), run(SignBlocks256(), sign, scalar));
}

TEST_P(ExchangeTaskTest, DoesNotDependOnTheThreadsRounding) {
  const std::vector<std::string> payloads = {DensePayload(std::vector<float>(kNumElements, 1)),
                                             DensePayload(std::vector<float>(kNumElements, 1e-9f)),
                                             DensePayload(std::vector<float>(kNumElements, 1))};
  const absl::StatusOr<ExchangeOutcome> nearest =
      RunExchange(TaskOf(DenseFloat32(), payloads), *GetParam());
  ASSERT_EQ(std::fesetround(FE_UPWARD), 0);
  const absl::StatusOr<ExchangeOutcome> upward =
      RunExchange(TaskOf(DenseFloat32(), payloads), *GetParam());
  EXPECT_EQ(std::fegetround(), FE_UPWARD);
  std::fesetround(FE_TONEAREST);
  ASSERT_THAT(nearest, IsOk());
  ASSERT_THAT(upward, IsOk());
  EXPECT_EQ(upward->payload_digest, nearest->payload_digest);
}

TEST_P(ExchangeTaskTest, ARefusingKernelIsOurBugAndNamesTheExchange) {
  const ExchangeTask task = TaskOf(DenseFloat32(), {std::string(4, '\0')});
  EXPECT_THAT(
      RunExchange(task, *GetParam()),
      StatusIs(absl::StatusCode::kInternal, HasSubstr("dense(FLOAT32) of chunk 1, round 9: ")));
}

INSTANTIATE_TEST_SUITE_P(EveryBackend, ExchangeTaskTest, testing::ValuesIn(HostBackends()),
                         [](const auto& row) { return std::string(row.param->name()); });

}  // namespace
}  // namespace tally
