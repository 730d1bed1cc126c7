// A fixed set of threads that run what they are given.
#ifndef TALLY_BASE_THREAD_POOL_H_
#define TALLY_BASE_THREAD_POOL_H_

#include <deque>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/functional/any_invocable.h"
#include "base/mutex.h"

namespace tally {

// Runs tasks in the order of Schedule, several at once: with one thread strictly one after the
// other. The queue has no limit; whoever schedules keeps count. A task must not wait for another
// task of the same pool, since all threads may be waiting likewise.
class ThreadPool {
 public:
  // `num_threads` must be positive.
  explicit ThreadPool(int num_threads);

  // Runs everything that is still queued, and what those tasks schedule in turn, then joins the
  // threads. Must not run in a thread of the pool.
  ~ThreadPool();

  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  // Queues `task`, which must not be empty, and returns at once. Safe from any thread, also from
  // inside a task; it must not race with the destructor otherwise.
  void Schedule(absl::AnyInvocable<void() &&> task);

  int num_threads() const { return static_cast<int>(threads_.size()); }

 private:
  void RunTasks();

  Mutex mutex_;
  CondVar work_or_stop_;
  std::deque<absl::AnyInvocable<void() &&>> tasks_ ABSL_GUARDED_BY(mutex_);
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  std::vector<std::thread> threads_;
};

}  // namespace tally

#endif  // TALLY_BASE_THREAD_POOL_H_
