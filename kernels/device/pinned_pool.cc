#include "kernels/device/pinned_pool.h"

#include <algorithm>
#include <iterator>

namespace tally {
namespace {

constexpr uint64_t kGranularity = 4096;

uint64_t RoundUp(uint64_t num_bytes) {
  return (num_bytes + kGranularity - 1) / kGranularity * kGranularity;
}

}  // namespace

PinnedPool::PinnedPool(Device* device, uint64_t num_bytes, size_t smallest_bytes)
    : device_(device), smallest_bytes_(smallest_bytes) {
  if (num_bytes == 0) return;
  const absl::StatusOr<void*> memory = device->AllocatePinned(num_bytes);
  if (!memory.ok()) return;
  memory_ = static_cast<uint8_t*>(*memory);
  num_bytes_ = num_bytes;
  free_ranges_[0] = num_bytes;
}

PinnedPool::~PinnedPool() {
  if (memory_ != nullptr) device_->FreePinned(memory_, num_bytes_);
}

uint8_t* PinnedPool::TryAllocate(size_t num_bytes) {
  if (num_bytes < smallest_bytes_) return nullptr;
  const uint64_t wanted = RoundUp(num_bytes);
  const MutexLock lock(&mutex_);
  const auto range = std::find_if(free_ranges_.begin(), free_ranges_.end(),
                                  [wanted](const auto& free) { return free.second >= wanted; });
  if (range == free_ranges_.end()) return nullptr;
  const auto [begin, size] = *range;
  free_ranges_.erase(range);
  if (size > wanted) free_ranges_[begin + wanted] = size - wanted;
  return memory_ + begin;
}

void PinnedPool::Free(uint8_t* data, size_t num_bytes) {
  uint64_t begin = static_cast<uint64_t>(data - memory_);
  uint64_t size = RoundUp(num_bytes);
  const MutexLock lock(&mutex_);
  auto next = free_ranges_.lower_bound(begin);
  if (next != free_ranges_.end() && next->first == begin + size) {
    size += next->second;
    next = free_ranges_.erase(next);
  }
  if (next != free_ranges_.begin()) {
    const auto before = std::prev(next);
    if (before->first + before->second == begin) {
      begin = before->first;
      size += before->second;
    }
  }
  free_ranges_[begin] = size;
}

uint64_t PinnedPool::free_bytes() const {
  const MutexLock lock(&mutex_);
  uint64_t num_bytes = 0;
  for (const auto& [begin, size] : free_ranges_) num_bytes += size;
  return num_bytes;
}

}  // namespace tally
