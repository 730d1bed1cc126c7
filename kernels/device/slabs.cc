#include "kernels/device/slabs.h"

#include <algorithm>

#include "base/status_macros.h"

namespace tally {
namespace {

constexpr size_t kAlignment = 256;
constexpr size_t kPaddingBytes = 16;
constexpr size_t kSmallestSlabBytes = size_t{1} << 20;

}  // namespace

absl::StatusOr<uint8_t*> Slabs::Take(size_t num_bytes) {
  if (num_bytes == 0) return nullptr;
  const size_t piece_bytes = (num_bytes + kPaddingBytes + kAlignment - 1) / kAlignment * kAlignment;
  if (slabs_.empty() || slabs_.back().num_bytes - slabs_.back().used_bytes < piece_bytes) {
    TALLY_RETURN_IF_ERROR(AddSlab(std::max(piece_bytes, kSmallestSlabBytes)));
  }
  Slab& slab = slabs_.back();
  uint8_t* const piece = slab.memory + slab.used_bytes;
  slab.used_bytes += piece_bytes;
  return piece;
}

absl::Status Slabs::AddSlab(size_t least_bytes) {
  size_t slab_bytes = std::max(least_bytes, wanted_bytes_);
  absl::StatusOr<void*> memory = Allocate(slab_bytes);
  // Memory that was let go for one large slab may be somebody else's by now.
  if (absl::IsResourceExhausted(memory.status()) && slab_bytes > least_bytes) {
    slab_bytes = least_bytes;
    memory = Allocate(slab_bytes);
  }
  TALLY_RETURN_IF_ERROR(memory.status());
  slabs_.push_back({static_cast<uint8_t*>(*memory), slab_bytes});
  wanted_bytes_ = 0;
  return absl::OkStatus();
}

absl::StatusOr<void*> Slabs::Allocate(size_t num_bytes) {
  return kind_ == Kind::kDevice ? device_->Allocate(num_bytes) : device_->AllocatePinned(num_bytes);
}

void Slabs::Reset() {
  if (slabs_.size() > 1) {
    size_t num_bytes = 0;
    for (const Slab& slab : slabs_) num_bytes += slab.num_bytes;
    Free();
    wanted_bytes_ = num_bytes;
  }
  for (Slab& slab : slabs_) slab.used_bytes = 0;
}

void Slabs::Free() {
  for (const Slab& slab : slabs_) {
    if (kind_ == Kind::kDevice) {
      device_->Free(slab.memory, slab.num_bytes);
    } else {
      device_->FreePinned(slab.memory, slab.num_bytes);
    }
  }
  slabs_.clear();
}

}  // namespace tally
