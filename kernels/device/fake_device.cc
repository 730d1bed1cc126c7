#include "kernels/device/fake_device.h"

#include <algorithm>
#include <cstring>
#include <new>

#include "base/check.h"
#include "base/status_macros.h"

namespace tally {
namespace {

constexpr std::align_val_t kAlignment{256};
// On both sides of an allocation.
constexpr size_t kGuardBytes = 256;
constexpr uint8_t kGuardByte = 0x5c;
constexpr uint8_t kFreshByte = 0xa5;
// Up to a multiple of it kernels may read and write past the end of spans.
constexpr size_t kWordBytes = 4;

size_t RoundUp(size_t num_bytes) { return (num_bytes + kWordBytes - 1) / kWordBytes * kWordBytes; }

bool IsGuard(const uint8_t* guard) {
  return std::all_of(guard, guard + kGuardBytes, [](uint8_t byte) { return byte == kGuardByte; });
}

}  // namespace

FakeDevice::~FakeDevice() {
  TALLY_CHECK(memory_.empty() && pinned_.empty(), "a device must outlive its memory");
}

void FakeDevice::LimitMemory(uint64_t num_bytes) { budget_.Limit(num_bytes); }

absl::StatusOr<void*> FakeDevice::Allocate(size_t num_bytes) {
  const MutexLock lock(&mutex_);
  TALLY_RETURN_IF_ERROR(failure_);
  TALLY_RETURN_IF_ERROR(budget_.Reserve(num_bytes));
  const size_t held_bytes = RoundUp(num_bytes);
  auto* const block =
      static_cast<uint8_t*>(::operator new(held_bytes + 2 * kGuardBytes, kAlignment));
  uint8_t* const memory = block + kGuardBytes;
  std::memset(block, kGuardByte, kGuardBytes);
  std::memset(memory, kFreshByte, held_bytes);
  std::memset(memory + held_bytes, kGuardByte, kGuardBytes);
  memory_[memory] = num_bytes;
  return memory;
}

void FakeDevice::Free(void* memory, size_t num_bytes) {
  const MutexLock lock(&mutex_);
  auto* const begin = static_cast<uint8_t*>(memory);
  const auto found = memory_.find(begin);
  TALLY_CHECK(found != memory_.end(), "what is freed was allocated");
  TALLY_CHECK(found->second == num_bytes, "as many bytes are freed as were allocated");
  TALLY_CHECK(IsGuard(begin - kGuardBytes) && IsGuard(begin + RoundUp(num_bytes)),
              "nothing was written beside the memory");
  memory_.erase(found);
  budget_.Release(num_bytes);
  ::operator delete(begin - kGuardBytes, kAlignment);
}

absl::StatusOr<void*> FakeDevice::AllocatePinned(size_t num_bytes) {
  const MutexLock lock(&mutex_);
  TALLY_RETURN_IF_ERROR(failure_);
  TALLY_RETURN_IF_ERROR(pinned_budget_.Reserve(num_bytes));
  void* const memory = ::operator new(num_bytes, kAlignment);
  std::memset(memory, kFreshByte, num_bytes);
  pinned_[memory] = num_bytes;
  return memory;
}

void FakeDevice::FreePinned(void* memory, size_t num_bytes) {
  const MutexLock lock(&mutex_);
  const auto found = pinned_.find(memory);
  TALLY_CHECK(found != pinned_.end(), "what is freed was pinned");
  TALLY_CHECK(found->second == num_bytes, "as many bytes are freed as were pinned");
  pinned_budget_.Release(num_bytes);
  pinned_.erase(found);
  ::operator delete(memory, kAlignment);
}

absl::Status FakeDevice::failure() const {
  const MutexLock lock(&mutex_);
  return failure_;
}

void FakeDevice::Fail(const std::string& why) {
  const MutexLock lock(&mutex_);
  if (failure_.ok()) failure_ = absl::UnavailableError(why);
}

void FakeDevice::LimitPinned(uint64_t num_bytes) { pinned_budget_.Limit(num_bytes); }

int FakeDevice::num_waits() const {
  const MutexLock lock(&mutex_);
  return num_waits_;
}

int FakeDevice::num_launches() const {
  const MutexLock lock(&mutex_);
  return num_launches_;
}

void FakeDevice::CheckHolds(const void* memory, size_t num_bytes) const {
  if (num_bytes == 0) return;
  const auto* const begin = static_cast<const uint8_t*>(memory);
  TALLY_CHECK(reinterpret_cast<uintptr_t>(begin) % kWordBytes == 0,
              "spans of the device's memory start at a multiple of 4 bytes");
  const MutexLock lock(&mutex_);
  auto next = memory_.upper_bound(begin);
  TALLY_CHECK(next != memory_.begin(), "elements lie in the device's memory");
  const auto& [block, block_bytes] = *--next;
  TALLY_CHECK(begin + RoundUp(num_bytes) <= block + RoundUp(block_bytes),
              "elements lie in the device's memory");
}

void FakeDevice::CountKernels(int num_kernels) {
  const MutexLock lock(&mutex_);
  ++num_waits_;
  num_launches_ += num_kernels;
}

}  // namespace tally
