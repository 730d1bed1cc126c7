// Every method against its reference once more, now over three real aggregators: which of them a
// chunk lives on changes no byte of any message. No script commands misses here, but gradients with
// a NaN abstain.
#include <cstdint>
#include <cstring>
#include <functional>
#include <memory>
#include <ostream>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "aggregator/server/server.h"
#include "base/clock.h"
#include "base/logging.h"
#include "client/client.h"
#include "client/client_options.h"
#include "client/optimizers/create_optimizer.h"
#include "client/optimizers/optimizer.h"
#include "codecs/layout.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "kernels/host_backends.h"
#include "tests/reference/birder_reference.h"
#include "tests/reference/cd_adam_reference.h"
#include "tests/reference/compared_training.h"
#include "tests/reference/dense_adam_reference.h"
#include "tests/reference/dense_lamb_reference.h"
#include "tests/reference/dense_sgd_reference.h"
#include "tests/reference/method_reference.h"
#include "tests/reference/onebit_lamb_reference.h"
#include "tests/reference/recording_exchanger.h"
#include "tests/reference/sign_sgd_reference.h"
#include "tests/reference/sketched_amsgrad_reference.h"
#include "tests/reference/sketched_sgd_reference.h"
#include "tests/reference/topk_sgd_reference.h"
#include "tests/reference/training_script.h"
#include "tests/reference/zeroone_adam_reference.h"
#include "tests/util/status_matchers.h"

namespace tally {
namespace {

constexpr size_t kAggregators = 3;
constexpr size_t kWorkers = 4;
constexpr uint64_t kRunSeed = 4242;

struct MethodCase {
  std::string name;
  float learning_rate = 0.0f;
  std::function<std::unique_ptr<MethodReference>(const MethodReferenceOptions&)> reference;
  friend void PrintTo(const MethodCase& method, std::ostream* os) { *os << method.name; }
};

constexpr uint32_t kNumUpdated = 40;
constexpr uint32_t kColumns = 230;
constexpr uint64_t kWarmupRounds = 10;
constexpr uint32_t kBlockElements = 256;
// 0/1 Adam comes to V = 4 in its first 10 steps, to L = 4 in the next 90; the last one exchanges.
constexpr uint64_t kVarianceScaler = 3;
constexpr uint64_t kLocalStepScaler = 20;
constexpr uint64_t kMaxLocalSteps = 4;

std::vector<MethodCase> MethodCases() {
  return {
      {"birder", 1e-3f,
       [](const MethodReferenceOptions& method) {
         return std::make_unique<BirderReference>(
             BirderReferenceOptions{.method = method, .beta = 0.9f});
       }},
      {"sign_sgd", 1e-3f,
       [](const MethodReferenceOptions& method) {
         return std::make_unique<SignSgdReference>(SignSgdReferenceOptions{.method = method});
       }},
      {"topk_sgd", 0.01f,
       [](const MethodReferenceOptions& method) {
         return std::make_unique<TopkSgdReference>(TopkSgdReferenceOptions{.method = method});
       }},
      {"sketched_sgd", 1e-3f,
       [](const MethodReferenceOptions& method) {
         return std::make_unique<SketchedSgdReference>(SketchedSgdReferenceOptions{
             .method = method, .sketch = {.num_updated = kNumUpdated, .columns = kColumns}});
       }},
      {"cd_adam", 0.003f,
       [](const MethodReferenceOptions& method) {
         return std::make_unique<CdAdamReference>(
             CdAdamReferenceOptions{.method = method,
                                    .adam = {.beta2 = 0.999f, .amsgrad = true},
                                    .block_elements = kBlockElements,
                                    .warmup_rounds = kWarmupRounds});
       }},
      {"sketched_amsgrad", 0.003f,
       [](const MethodReferenceOptions& method) {
         return std::make_unique<SketchedAmsgradReference>(SketchedAmsgradReferenceOptions{
             .method = method,
             .sketch = {.num_updated = kNumUpdated, .columns = kColumns},
             .warmup_rounds = kWarmupRounds});
       }},
      {"dense_sgd", 0.02f,
       [](const MethodReferenceOptions& method) {
         return std::make_unique<DenseSgdReference>(DenseSgdReferenceOptions{.method = method});
       }},
      {"dense_amsgrad", 0.01f,
       [](const MethodReferenceOptions& method) {
         return std::make_unique<DenseAdamReference>(
             DenseAdamReferenceOptions{.method = method, .adam = {.amsgrad = true}});
       }},
      {"dense_lamb", 0.01f,
       [](const MethodReferenceOptions& method) {
         return std::make_unique<DenseLambReference>(DenseLambReferenceOptions{.method = method});
       }},
      {"onebit_lamb", 0.01f,
       [](const MethodReferenceOptions& method) {
         return std::make_unique<OneBitLambReference>(
             OneBitLambReferenceOptions{.method = method,
                                        .signs = {.block_elements = kBlockElements},
                                        .warmup_rounds = kWarmupRounds});
       }},
      {"zeroone_adam", 0.003f,
       [](const MethodReferenceOptions& method) {
         return std::make_unique<ZeroOneAdamReference>(
             ZeroOneAdamReferenceOptions{.method = method,
                                         .signs = {.block_elements = kBlockElements},
                                         .variance_steps = kWarmupRounds,
                                         .variance_scaler = kVarianceScaler,
                                         .local_step_scaler = kLocalStepScaler,
                                         .max_local_steps = kMaxLocalSteps});
       }},
  };
}

MethodReferenceOptions ProblemOf(const MethodCase& method) {
  MethodReferenceOptions problem = {
      .model = {.tensors = SmallIrregularTensors(), .chunk_elements = 256},
      .num_workers = kWorkers,
      .run_seed = kRunSeed,
      .learning_rate = method.learning_rate,
      .weight_decay = 0.001f};
  if (Sketches(method.name)) problem.model.num_groups = 7;
  return problem;
}

OptimizerOptions OptionsOf(const MethodReferenceOptions& problem) {
  OptimizerOptions options;
  options.adam.learning_rate = problem.learning_rate;
  options.adam.weight_decay = problem.weight_decay;
  options.warmup_rounds = kWarmupRounds;
  options.block_elements = kBlockElements;
  options.granularity.block_elements = kBlockElements;
  options.schedule = {.variance_scaler = kVarianceScaler,
                      .local_step_scaler = kLocalStepScaler,
                      .max_local_steps = kMaxLocalSteps};
  options.sketch = {.num_updated = kNumUpdated, .columns = kColumns};
  return options;
}

class ThreeAggregatorsTest : public testing::TestWithParam<MethodCase> {
 protected:
  ThreeAggregatorsTest() {
    EXPECT_THAT(InitLogging("off"), IsOk());
    for (size_t i = 0; i < kAggregators; ++i) {
      absl::StatusOr<std::unique_ptr<Server>> server =
          Server::Create({.name = absl::StrCat("agg-", i), .listen = "127.0.0.1:0"},
                         FastestHostBackend(), &clock_);
      EXPECT_THAT(server, IsOk());
      servers_.push_back(*std::move(server));
    }
  }

  absl::StatusOr<std::unique_ptr<Client>> Connect(const Layout& layout, size_t worker) const {
    ClientOptions options = {.job = "job",
                             .worker = absl::StrCat("w-", worker),
                             .layout = layout,
                             .expected_workers = kWorkers,
                             .seed = kRunSeed,
                             .start_timeout = absl::Minutes(1),
                             .aggregator_timeout = absl::Minutes(1)};
    for (size_t i = 0; i < kAggregators; ++i) {
      options.aggregators.push_back(
          {absl::StrCat("agg-", i), absl::StrCat("127.0.0.1:", servers_[i]->port())});
    }
    return Client::Connect(std::move(options));
  }

  // One worker's life; what it sent and received must be the transcript's.
  void Work(const ComparedTraining& training, const Transcript& transcript, size_t worker) const {
    const absl::StatusOr<std::unique_ptr<Client>> client = Connect(training.layout(), worker);
    ASSERT_THAT(client, IsOk());
    RecordingExchanger recorder(client->get());
    const absl::StatusOr<std::unique_ptr<Optimizer>> optimizer =
        CreateOptimizer(GetParam().name, &recorder, OptionsOf(training.problem()));
    ASSERT_THAT(optimizer, IsOk());
    std::vector<float> x;
    ASSERT_THAT(training.Work(**optimizer, worker, x), IsOk());
    EXPECT_THAT((*client)->Leave(), IsOk());
    for (uint64_t round = 0; round < transcript.rounds.size(); ++round) {
      for (const ReferenceMessages& expected : transcript.rounds[round]) {
        const RecordingExchanger::Place place = {round, expected.half, expected.chunk};
        SCOPED_TRACE(absl::StrCat("worker ", worker, ", round ", round, ", half ", expected.half,
                                  ", chunk ", expected.chunk));
        ASSERT_EQ(recorder.contributions().count(place), 1u);
        ASSERT_TRUE(recorder.contributions().at(place) == expected.contributions[worker]);
        ASSERT_EQ(recorder.results().count(place), 1u);
        ASSERT_TRUE(recorder.results().at(place) == expected.result);
      }
    }
    EXPECT_EQ(std::memcmp(x.data(), transcript.parameters.data(), x.size() * sizeof(float)), 0);
  }

  const RealClock clock_;
  std::vector<std::unique_ptr<Server>> servers_;
};

TEST_P(ThreeAggregatorsTest, SendAndReceiveTheReferencesBytes) {
  const MethodReferenceOptions problem = ProblemOf(GetParam());
  const ComparedTraining training(problem, {.rounds = 100, .miss_share = 0.0});
  const Transcript transcript = training.Play(*GetParam().reference(problem));
  std::vector<std::thread> workers;
  for (size_t w = 0; w < kWorkers; ++w) {
    workers.emplace_back([&, w] { Work(training, transcript, w); });
  }
  for (std::thread& worker : workers) worker.join();
}

INSTANTIATE_TEST_SUITE_P(EveryMethod, ThreeAggregatorsTest, testing::ValuesIn(MethodCases()),
                         [](const testing::TestParamInfo<MethodCase>& parameter) {
                           return parameter.param.name;
                         });

}  // namespace
}  // namespace tally
