#include "kernels/device/pinned_pool.h"

#include <iterator>

namespace tally {
namespace {

constexpr size_t kGranularity = size_t{4} << 10;

size_t BlockBytes(size_t num_bytes) {
  return (num_bytes + kGranularity - 1) / kGranularity * kGranularity;
}

}  // namespace

PinnedPool::~PinnedPool() {
  for (const auto& [num_bytes, blocks] : idle_) {
    for (void* const block : blocks) device_->FreePinned(block);
  }
}

uint8_t* PinnedPool::TryAllocate(size_t num_bytes) {
  if (num_bytes < smallest_bytes_) return nullptr;
  const size_t block_bytes = BlockBytes(num_bytes);
  const MutexLock lock(&mutex_);
  const auto found = idle_.find(block_bytes);
  if (found != idle_.end()) {
    void* const block = found->second.back();
    found->second.pop_back();
    if (found->second.empty()) idle_.erase(found);
    return static_cast<uint8_t*>(block);
  }
  if (!MakeRoom(block_bytes)) return nullptr;
  const absl::StatusOr<void*> block = device_->AllocatePinned(block_bytes);
  if (!block.ok()) return nullptr;
  pinned_bytes_ += block_bytes;
  return static_cast<uint8_t*>(*block);
}

void PinnedPool::Free(uint8_t* data, size_t num_bytes) {
  const MutexLock lock(&mutex_);
  idle_[BlockBytes(num_bytes)].push_back(data);
}

uint64_t PinnedPool::pinned_bytes() const {
  const MutexLock lock(&mutex_);
  return pinned_bytes_;
}

bool PinnedPool::MakeRoom(size_t num_bytes) {
  if (num_bytes > max_bytes_) return false;
  while (pinned_bytes_ + num_bytes > max_bytes_ && !idle_.empty()) {
    const auto largest = std::prev(idle_.end());
    device_->FreePinned(largest->second.back());
    pinned_bytes_ -= largest->first;
    largest->second.pop_back();
    if (largest->second.empty()) idle_.erase(largest);
  }
  return pinned_bytes_ + num_bytes <= max_bytes_;
}

}  // namespace tally
