#include "aggregator/device_runner.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "aggregator/device_batch.h"
#include "aggregator/residual.h"
#include "base/logging.h"
#include "base/status_macros.h"
#include "codecs/exchange.h"

namespace tally {
namespace {

uint64_t PayloadBytes(const ExchangeTask& task) {
  uint64_t num_bytes = 0;
  for (const SharedBuffer& payload : task.payloads) num_bytes += payload->size();
  return num_bytes;
}

}  // namespace

absl::StatusOr<std::unique_ptr<DeviceRunner>> DeviceRunner::Create(Device* device,
                                                                   const Backend* fallback,
                                                                   DeviceRunnerOptions options) {
  std::vector<std::unique_ptr<Lane>> lanes;
  for (int i = 0; i < options.num_lanes; ++i) {
    TALLY_ASSIGN_OR_RETURN(lanes.emplace_back(), Lane::Create(device));
  }
  auto pool = std::make_shared<PinnedPool>(device, options.max_pinned_bytes);
  if (pool->num_bytes() < options.max_pinned_bytes) {
    LogWarning(absl::StrCat("of the host's memory ", options.max_pinned_bytes,
                            " bytes could not be pinned: contributions are copied once more"));
  }
  return std::unique_ptr<DeviceRunner>(
      new DeviceRunner(device, fallback, std::move(options), std::move(lanes), std::move(pool)));
}

DeviceRunner::DeviceRunner(Device* device, const Backend* fallback, DeviceRunnerOptions options,
                           std::vector<std::unique_ptr<Lane>> lanes,
                           std::shared_ptr<PinnedPool> pinned_pool)
    : device_(device),
      fallback_(*fallback),
      options_(std::move(options)),
      lanes_(std::move(lanes)),
      pinned_pool_(std::move(pinned_pool)) {
  for (const std::unique_ptr<Lane>& lane : lanes_) {
    threads_.emplace_back([this, &lane = *lane] { Serve(lane); });
  }
}

DeviceRunner::~DeviceRunner() {
  {
    const MutexLock lock(&mutex_);
    stopping_ = true;
    work_or_stop_.NotifyAll();
  }
  for (std::thread& thread : threads_) thread.join();
}

void DeviceRunner::Submit(ExchangeTask task, Done done) {
  const MutexLock lock(&mutex_);
  queue_.push_back({std::move(task), std::move(done)});
  work_or_stop_.NotifyOne();
}

void DeviceRunner::Serve(Lane& lane) {
  for (std::vector<Submission> batch = TakeBatch(); !batch.empty(); batch = TakeBatch()) {
    Run(std::move(batch), lane);
  }
}

std::vector<DeviceRunner::Submission> DeviceRunner::TakeBatch() {
  const MutexLock lock(&mutex_);
  while (queue_.empty() && !stopping_) work_or_stop_.Wait(&mutex_);
  std::vector<Submission> batch;
  uint64_t num_bytes = 0;
  while (!queue_.empty()) {
    Submission& next = queue_.front();
    num_bytes += PayloadBytes(next.task);
    const bool fits =
        batch.empty() || (batch.size() < kMaxDeviceBatch && num_bytes <= options_.max_batch_bytes &&
                          ShareLaunch(batch.front().task.exchange, next.task.exchange));
    if (!fits) break;
    batch.push_back(std::move(next));
    queue_.pop_front();
  }
  return batch;
}

void DeviceRunner::Run(std::vector<Submission> batch, Lane& lane) {
  if (device_->failure().ok() && HasDeviceKernels(batch.front().task.exchange)) {
    std::vector<const ExchangeTask*> tasks;
    for (const Submission& submission : batch) tasks.push_back(&submission.task);
    absl::StatusOr<std::vector<ExchangeOutcome>> outcomes =
        RunOnDevice(tasks, lane, fallback_, pinned_pool_);
    if (outcomes.ok()) {
      for (size_t i = 0; i < batch.size(); ++i)
        batch[i].done(batch[i].task, std::move((*outcomes)[i]));
      return;
    }
    if (absl::IsResourceExhausted(outcomes.status())) {
      if (batch.size() > 1) {
        for (Submission& submission : batch) {
          std::vector<Submission> alone;
          alone.push_back(std::move(submission));
          Run(std::move(alone), lane);
        }
        return;
      }
      NoteNoRoom(batch.front().task, outcomes.status());
    }
  }
  for (const Submission& submission : batch) RunOnHost(submission, lane);
  if (!device_->failure().ok()) NoteFailure(device_->failure());
}

void DeviceRunner::RunOnHost(const Submission& submission, Lane& lane) {
  const ExchangeTask& task = submission.task;
  for (const std::shared_ptr<Residual>& residual : {task.residual, task.snapshot_of}) {
    if (residual == nullptr) continue;
    const absl::Status status = residual->OnHost(lane.queue()).status();
    if (!status.ok()) return NoteLoss(status);
  }
  submission.done(task, RunExchange(task, fallback_));
}

void DeviceRunner::NoteNoRoom(const ExchangeTask& task, const absl::Status& status) {
  {
    const MutexLock lock(&mutex_);
    if (!jobs_without_room_.insert(task.job_serial).second) return;
  }
  LogWarning(absl::StrCat("job `", task.description->job, "`, chunk ", task.chunk, ": ",
                          ExchangeName(task.exchange),
                          " is computed on the host, like others that the device's memory does not "
                          "hold: ",
                          status.message()));
}

void DeviceRunner::NoteFailure(const absl::Status& status) {
  {
    const MutexLock lock(&mutex_);
    if (std::exchange(failure_noted_, true)) return;
  }
  LogError(absl::StrCat("the device failed, exchanges are computed on the host from now on: ",
                        status.message()));
}

void DeviceRunner::NoteLoss(const absl::Status& status) {
  {
    const MutexLock lock(&mutex_);
    if (std::exchange(loss_noted_, true)) return;
  }
  options_.on_residual_lost(status);
}

}  // namespace tally
