#include "base/mutex.h"

#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "gtest/gtest.h"

namespace tally {
namespace {

struct Counter {
  Mutex mutex;
  CondVar changed;
  int value ABSL_GUARDED_BY(mutex) = 0;
};

TEST(MutexTest, LetsOneThreadInAtATime) {
  Counter counter;
  std::vector<std::thread> threads;
  for (int i = 0; i < 8; ++i) {
    threads.emplace_back([&counter] {
      for (int j = 0; j < 10'000; ++j) {
        MutexLock lock(&counter.mutex);
        ++counter.value;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  MutexLock lock(&counter.mutex);
  EXPECT_EQ(counter.value, 80'000);
}

TEST(CondVarTest, WakesAWaiterThatHoldsTheLockAgain) {
  Counter counter;
  std::thread other([&counter] {
    MutexLock lock(&counter.mutex);
    counter.value = 1;
    counter.changed.NotifyOne();
  });
  {
    MutexLock lock(&counter.mutex);
    while (counter.value == 0) counter.changed.Wait(&counter.mutex);
    EXPECT_EQ(counter.value, 1);
  }
  other.join();
}

TEST(CondVarTest, WakesEveryWaiter) {
  Counter counter;
  std::vector<std::thread> waiters;
  for (int i = 0; i < 8; ++i) {
    waiters.emplace_back([&counter] {
      MutexLock lock(&counter.mutex);
      while (counter.value == 0) counter.changed.Wait(&counter.mutex);
    });
  }
  {
    MutexLock lock(&counter.mutex);
    counter.value = 1;
    counter.changed.NotifyAll();
  }
  for (std::thread& waiter : waiters) waiter.join();
}

TEST(CondVarTest, ReturnsFromAWaitThatNobodyEnds) {
  Counter counter;
  MutexLock lock(&counter.mutex);
  counter.changed.WaitFor(&counter.mutex, absl::Milliseconds(1));
  EXPECT_EQ(counter.value, 0);
}

}  // namespace
}  // namespace tally
