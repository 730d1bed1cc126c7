#include "kernels/device/device_calls.h"

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "base/logging.h"
#include "base/status_macros.h"

namespace tally {

void DeviceCalls::Run(absl::FunctionRef<absl::Status(Lane&)> use,
                      absl::FunctionRef<absl::Status()> otherwise) {
  absl::Status status = RunOnDevice(use);
  if (status.ok()) return;
  LogFirst(status);
  status = otherwise();
  TALLY_CHECK(status.ok(), status.message());
}

absl::Status DeviceCalls::RunOnDevice(absl::FunctionRef<absl::Status(Lane&)> use) {
  TALLY_RETURN_IF_ERROR(device_.failure());
  TALLY_ASSIGN_OR_RETURN(const LanePool::Lease lane, lanes_.Take());
  const absl::Status status = use(*lane);
  if (status.ok()) return lane->Finish();
  lane->Abandon();
  return status;
}

void DeviceCalls::LogFirst(const absl::Status& status) {
  if (absl::IsResourceExhausted(status)) {
    if (shortage_logged_.exchange(true)) return;
    LogWarning(
        absl::StrCat("back end ", name_,
                     " leaves to the host what memory does not suffice for: ", status.message()));
  } else if (!failure_logged_.exchange(true)) {
    LogError(absl::StrCat("back end ", name_,
                          " leaves everything to the host from now on: ", status.message()));
  }
}

}  // namespace tally
