#include "aggregator/host_runner.h"

#include <memory>
#include <vector>

#include "aggregator/exchange_task.h"
#include "aggregator/job_description.h"
#include "base/mutex.h"
#include "codecs/sample_exchanges.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "kernels/host_backends.h"
#include "tests/util/exchange_tasks.h"
#include "tests/util/status_matchers.h"

namespace tally {
namespace {

const Backend& Scalar() { return *HostBackends().front(); }

std::vector<ExchangeTask> DenseTasks(size_t count) {
  const auto description =
      std::make_shared<const JobDescription>(JobDescription{.layout = ContiguousLayout()});
  std::vector<ExchangeTask> tasks;
  for (uint64_t seed = 0; seed < count; ++seed) {
    tasks.push_back(RandomTask(description, 2, {DenseExchange{}}, 3, seed));
  }
  return tasks;
}

TEST(HostRunnerTest, GivesEachTaskItsOutcome) {
  HostRunner runner(&Scalar(), 2);
  const std::vector<ExchangeTask> tasks = DenseTasks(20);
  const auto outcomes = RunAll(runner, tasks);
  for (size_t i = 0; i < tasks.size(); ++i) {
    ASSERT_THAT(outcomes[i], IsOk());
    EXPECT_EQ(outcomes[i]->place, tasks[i].place);
    EXPECT_EQ(outcomes[i]->payload_digest, RunExchange(tasks[i], Scalar())->payload_digest);
  }
}

TEST(HostRunnerTest, TellsOfARefusingKernel) {
  HostRunner runner(&Scalar(), 1);
  std::vector<ExchangeTask> tasks = DenseTasks(1);
  tasks[0].payloads[0] = std::make_shared<const Buffer>(size_t{4});
  EXPECT_THAT(RunAll(runner, tasks)[0], StatusIs(absl::StatusCode::kInternal));
}

TEST(HostRunnerTest, RunsWhatWasSubmittedBeforeItGoes) {
  Mutex mutex;
  int num_done = 0;
  {
    HostRunner runner(&Scalar(), 1);
    for (ExchangeTask& task : DenseTasks(10)) {
      runner.Submit(std::move(task),
                    [&](const ExchangeTask&, const absl::StatusOr<ExchangeOutcome>&) {
                      const MutexLock lock(&mutex);
                      ++num_done;
                    });
    }
  }
  EXPECT_EQ(num_done, 10);
}

}  // namespace
}  // namespace tally
