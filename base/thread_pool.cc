#include "base/thread_pool.h"

#include <utility>

#include "absl/functional/any_invocable.h"
#include "base/check.h"
#include "base/mutex.h"

namespace tally {

ThreadPool::ThreadPool(int num_threads) {
  TALLY_CHECK(num_threads > 0, "a pool needs a thread");
  threads_.reserve(num_threads);
  for (int i = 0; i < num_threads; ++i) threads_.emplace_back([this] { RunTasks(); });
}

ThreadPool::~ThreadPool() {
  {
    MutexLock lock(&mutex_);
    stopping_ = true;
  }
  work_or_stop_.NotifyAll();
  for (std::thread& thread : threads_) thread.join();
}

void ThreadPool::Schedule(absl::AnyInvocable<void() &&> task) {
  TALLY_CHECK(task != nullptr, "a task must not be empty");
  {
    MutexLock lock(&mutex_);
    tasks_.push_back(std::move(task));
  }
  work_or_stop_.NotifyOne();
}

void ThreadPool::RunTasks() {
  while (true) {
    absl::AnyInvocable<void() &&> task;
    {
      MutexLock lock(&mutex_);
      while (tasks_.empty() && !stopping_) work_or_stop_.Wait(&mutex_);
      if (tasks_.empty()) return;
      task = std::move(tasks_.front());
      tasks_.pop_front();
    }
    std::move(task)();
  }
}

}  // namespace tally
