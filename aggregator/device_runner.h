// Runs exchanges on a device.
#ifndef TALLY_AGGREGATOR_DEVICE_RUNNER_H_
#define TALLY_AGGREGATOR_DEVICE_RUNNER_H_

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <set>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "aggregator/exchange_runner.h"
#include "aggregator/exchange_task.h"
#include "base/buffer.h"
#include "base/mutex.h"
#include "kernels/backend.h"
#include "kernels/device/device.h"
#include "kernels/device/lane.h"
#include "kernels/device/pinned_pool.h"

namespace tally {

struct DeviceRunnerOptions {
  // Batches that are copied in, computed and copied out side by side, each by a thread of its own.
  int num_lanes = 1;  // at least 1
  // Of contributions in one batch; an exchange that has more goes alone.
  uint64_t max_batch_bytes = 0;
  // Of the host's memory, for payloads that the device copies by itself (kernels/device/
  // pinned_pool.h). 0: all payloads go through the lanes' staging memory.
  uint64_t max_pinned_bytes = 0;
  // Called once, in a thread of the runner, when an exchange cannot be computed any more because
  // the device failed while it held the residual.
  std::function<void(const absl::Status&)> on_residual_lost;
};

// Takes what has been submitted in batches of one kind (device_batch.h); residuals stay on the
// device. What does not fit into the device's memory, or has no arithmetic, is computed on the
// host, to which its residual comes back; and so is everything once the device has failed, but for
// exchanges whose residual it held: of these `done` never hears. Thread-safe.
//
//   Submit --> queue --batch--> lane: RunOnDevice --> done
//                                  '--no room: one by one, then--> RunExchange --> done
class DeviceRunner final : public ExchangeRunner {
 public:
  // `device` and `fallback`, which computes on the host, must outlive the runner and all residuals
  // that it is given.
  // Returns what Lane::Create fails of.
  static absl::StatusOr<std::unique_ptr<DeviceRunner>> Create(Device* device,
                                                              const Backend* fallback,
                                                              DeviceRunnerOptions options);
  ~DeviceRunner() override;

  void Submit(ExchangeTask task, Done done) override;
  std::shared_ptr<BufferMemory> payload_memory() const override { return pinned_pool_; }

 private:
  struct Submission {
    ExchangeTask task;
    Done done;
  };

  DeviceRunner(Device* device, const Backend* fallback, DeviceRunnerOptions options,
               std::vector<std::unique_ptr<Lane>> lanes, std::shared_ptr<PinnedPool> pinned_pool);
  void Serve(Lane& lane);
  // The submissions that go next; empty when there will be no more.
  std::vector<Submission> TakeBatch();
  void Run(std::vector<Submission> batch, Lane& lane);
  void RunOnHost(const Submission& submission, Lane& lane);
  // Tell once: of each job that exchanges do not fit, of the device that it failed, and of a loss.
  void NoteNoRoom(const ExchangeTask& task, const absl::Status& status);
  void NoteFailure(const absl::Status& status);
  void NoteLoss(const absl::Status& status);

  Device* const device_;
  const Backend& fallback_;
  const DeviceRunnerOptions options_;
  const std::vector<std::unique_ptr<Lane>> lanes_;
  const std::shared_ptr<PinnedPool> pinned_pool_;

  Mutex mutex_;
  CondVar work_or_stop_;
  std::deque<Submission> queue_ ABSL_GUARDED_BY(mutex_);
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  std::set<uint64_t> jobs_without_room_ ABSL_GUARDED_BY(mutex_);  // by serial
  bool failure_noted_ ABSL_GUARDED_BY(mutex_) = false;
  bool loss_noted_ ABSL_GUARDED_BY(mutex_) = false;

  std::vector<std::thread> threads_;
};

}  // namespace tally

#endif  // TALLY_AGGREGATOR_DEVICE_RUNNER_H_
