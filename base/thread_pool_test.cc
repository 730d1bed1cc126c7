#include "base/thread_pool.h"

#include <atomic>
#include <functional>
#include <memory>
#include <thread>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "base/mutex.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace tally {
namespace {

using ::testing::Each;
using ::testing::ElementsAre;

// Lets threads go on once as many as expected have come.
class Barrier {
 public:
  explicit Barrier(int expected) : missing_(expected) {}

  void ArriveAndWait() {
    MutexLock lock(&mutex_);
    if (--missing_ == 0) all_here_.NotifyAll();
    while (missing_ > 0) all_here_.Wait(&mutex_);
  }

 private:
  Mutex mutex_;
  CondVar all_here_;
  int missing_ ABSL_GUARDED_BY(mutex_);
};

TEST(ThreadPoolTest, RunsEveryTaskOnceBeforeTheDestructorReturns) {
  for (int num_threads : {1, 2, 7, 32}) {
    SCOPED_TRACE(num_threads);
    std::vector<std::atomic<int>> runs(10'000);
    {
      ThreadPool pool(num_threads);
      EXPECT_EQ(pool.num_threads(), num_threads);
      for (std::atomic<int>& run : runs) pool.Schedule([&run] { ++run; });
    }
    EXPECT_THAT(std::vector<int>(runs.begin(), runs.end()), Each(1));
  }
}

TEST(ThreadPoolTest, TakesTasksFromManyThreads) {
  std::atomic<int> sum = 0;
  {
    ThreadPool pool(4);
    std::vector<std::thread> schedulers;
    for (int i = 0; i < 16; ++i) {
      schedulers.emplace_back([&pool, &sum] {
        for (int j = 0; j < 1'000; ++j) pool.Schedule([&sum] { ++sum; });
      });
    }
    for (std::thread& scheduler : schedulers) scheduler.join();
  }
  EXPECT_EQ(sum, 16'000);
}

// Deadlocks (and so times out) if fewer than four tasks run at once.
TEST(ThreadPoolTest, RunsAsManyTasksAtOnceAsItHasThreads) {
  Barrier barrier(4);
  ThreadPool pool(4);
  for (int i = 0; i < 4; ++i) pool.Schedule([&barrier] { barrier.ArriveAndWait(); });
}

TEST(ThreadPoolTest, RunsInOrderWithOneThread) {
  std::vector<int> order;
  {
    ThreadPool pool(1);
    for (int i = 0; i < 4; ++i) pool.Schedule([&order, i] { order.push_back(i); });
  }
  EXPECT_THAT(order, ElementsAre(0, 1, 2, 3));
}

TEST(ThreadPoolTest, RunsWhatTasksScheduleWhileItIsDestroyed) {
  std::atomic<int> depth = 0;
  std::function<void()> dig;
  {
    ThreadPool pool(3);
    dig = [&] {
      if (++depth < 1'000) pool.Schedule(dig);
    };
    pool.Schedule(dig);
  }
  EXPECT_EQ(depth, 1'000);
}

TEST(ThreadPoolTest, TakesMoveOnlyTasks) {
  int result = 0;
  {
    ThreadPool pool(1);
    auto value = std::make_unique<int>(5);
    pool.Schedule([&result, value = std::move(value)] { result = *value; });
  }
  EXPECT_EQ(result, 5);
}

TEST(ThreadPoolTest, DestroysATaskOnceItHasRun) {
  auto token = std::make_shared<int>(0);
  const std::weak_ptr<int> watch = token;
  Barrier second_runs(2);
  ThreadPool pool(1);
  pool.Schedule([token = std::move(token)] {});
  pool.Schedule([&second_runs] { second_runs.ArriveAndWait(); });
  second_runs.ArriveAndWait();
  EXPECT_TRUE(watch.expired());
}

TEST(ThreadPoolDeathTest, RefusesToBeEmpty) {
  EXPECT_DEATH(ThreadPool(0), "a pool needs a thread");
  EXPECT_DEATH(ThreadPool(-1), "a pool needs a thread");
}

TEST(ThreadPoolDeathTest, RefusesAnEmptyTask) {
  EXPECT_DEATH(ThreadPool(1).Schedule(nullptr), "a task must not be empty");
}

}  // namespace
}  // namespace tally
