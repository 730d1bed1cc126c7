#include "kernels/device/lane.h"

#include <cstring>

namespace tally {

absl::StatusOr<std::unique_ptr<Lane>> Lane::Create(Device* device) {
  TALLY_ASSIGN_OR_RETURN(std::unique_ptr<DeviceQueue> queue, device->NewQueue());
  return std::unique_ptr<Lane>(new Lane(device, std::move(queue)));
}

Lane::Lane(Device* device, std::unique_ptr<DeviceQueue> queue)
    : device_(device),
      device_memory_(device, Slabs::Kind::kDevice),
      pinned_memory_(device, Slabs::Kind::kPinned),
      queue_(std::move(queue)) {}

Lane::~Lane() { Abandon(); }

absl::StatusOr<uint8_t*> Lane::CopyIn(absl::Span<const uint8_t> host) {
  if (host.empty()) return nullptr;
  TALLY_ASSIGN_OR_RETURN(uint8_t* const staging, pinned_memory_.Take(host.size()));
  std::memcpy(staging, host.data(), host.size());
  TALLY_ASSIGN_OR_RETURN(const absl::Span<const uint8_t> memory,
                         InFromPinned({staging, host.size()}));
  // It is scratch memory: what it holds may be changed.
  return const_cast<uint8_t*>(memory.data());
}

absl::StatusOr<std::vector<absl::Span<const uint8_t>>> Lane::InEach(
    absl::Span<const absl::Span<const uint8_t>> host) {
  std::vector<absl::Span<const uint8_t>> device;
  device.reserve(host.size());
  for (const absl::Span<const uint8_t> one : host) {
    TALLY_ASSIGN_OR_RETURN(device.emplace_back(), In(one));
  }
  return device;
}

absl::StatusOr<absl::Span<const uint8_t>> Lane::InFromPinned(absl::Span<const uint8_t> pinned) {
  TALLY_ASSIGN_OR_RETURN(const absl::Span<uint8_t> memory, Scratch<uint8_t>(pinned.size()));
  if (!pinned.empty()) pieces_.push_back({pinned, memory.data()});
  return memory;
}

void Lane::SendPieces() {
  if (pieces_.empty()) return;
  absl::Status status = queue_->GatherIn(pieces_);
  if (absl::IsResourceExhausted(status)) {
    // One by one they need no memory besides.
    status = absl::OkStatus();
    for (const DeviceHostPiece& piece : pieces_) {
      status.Update(queue_->CopyIn(piece.pinned, piece.device));
    }
  }
  sent_.Update(status);
  pieces_.clear();
}

absl::Status Lane::CopyBack(const void* device, absl::Span<uint8_t> host) {
  if (host.empty()) return absl::OkStatus();
  TALLY_ASSIGN_OR_RETURN(uint8_t* const staging, pinned_memory_.Take(host.size()));
  returns_.push_back({device, {staging, host.size()}, host});
  return absl::OkStatus();
}

absl::Status Lane::CopyBackToPinned(const void* device, absl::Span<uint8_t> pinned) {
  if (!pinned.empty()) returns_.push_back({device, pinned, {}});
  return absl::OkStatus();
}

absl::Status Lane::Finish() {
  SendPieces();
  absl::Status status = sent_;
  for (const Return& back : returns_) {
    status.Update(queue_->CopyOut(back.device, back.staging));
  }
  status.Update(queue_->Wait());
  if (status.ok()) {
    for (const Return& back : returns_) {
      if (!back.host.empty()) {
        std::memcpy(back.host.data(), back.staging.data(), back.host.size());
      }
    }
  }
  TakeBack();
  return status;
}

void Lane::Abandon() {
  // Whatever it failed of, the caller knows already.
  queue_->Wait().IgnoreError();
  TakeBack();
}

void Lane::TakeBack() {
  pieces_.clear();
  sent_ = absl::OkStatus();
  returns_.clear();
  device_memory_.Reset();
  pinned_memory_.Reset();
}

absl::StatusOr<LanePool::Lease> LanePool::Take() {
  {
    const MutexLock lock(&mutex_);
    while (idle_.empty() && num_lanes_ == max_lanes_) given_back_.Wait(&mutex_);
    if (!idle_.empty()) {
      std::unique_ptr<Lane> lane = std::move(idle_.back());
      idle_.pop_back();
      return Lease(this, std::move(lane));
    }
    ++num_lanes_;
  }
  absl::StatusOr<std::unique_ptr<Lane>> lane = Lane::Create(device_);
  if (lane.ok()) return Lease(this, *std::move(lane));
  const MutexLock lock(&mutex_);
  --num_lanes_;
  given_back_.NotifyOne();
  return lane.status();
}

void LanePool::GiveBack(std::unique_ptr<Lane> lane) {
  const MutexLock lock(&mutex_);
  idle_.push_back(std::move(lane));
  given_back_.NotifyOne();
}

}  // namespace tally
