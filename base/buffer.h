// Bytes of a payload.
#ifndef TALLY_BASE_BUFFER_H_
#define TALLY_BASE_BUFFER_H_

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <new>
#include <utility>

#include "absl/types/span.h"

namespace tally {

// Where the memory of buffers comes from, if not from the heap: memory that a device reads and
// writes by itself, say. Its buffers keep it. Thread-safe.
class BufferMemory {
 public:
  virtual ~BufferMemory() = default;
  // `num_bytes` bytes, at least 1, on a 64-byte boundary; null if there are none to be had now.
  virtual uint8_t* TryAllocate(size_t num_bytes) = 0;
  virtual void Free(uint8_t* data, size_t num_bytes) = 0;

 protected:
  BufferMemory() = default;
};

// A block of bytes that starts on a 64-byte boundary, so that floats and vector registers can be
// read in place. Unlike std::vector it is not zero-filled: a payload is written once. Movable;
// shared read-only as std::shared_ptr<const Buffer>.
class Buffer {
 public:
  Buffer() = default;
  // `size_bytes` bytes of unspecified content: from `memory`, or from the heap if that is null or
  // has none left.
  explicit Buffer(size_t size_bytes, std::shared_ptr<BufferMemory> memory = nullptr)
      : size_(size_bytes) {
    if (size_bytes == 0) return;
    uint8_t* data = memory == nullptr ? nullptr : memory->TryAllocate(size_bytes);
    if (data == nullptr) {
      memory = nullptr;
      data = static_cast<uint8_t*>(::operator new(size_bytes, kAlignment));
    }
    data_ = {data, Delete{std::move(memory), size_bytes}};
  }
  Buffer(Buffer&& other) noexcept
      : data_(std::move(other.data_)), size_(std::exchange(other.size_, 0)) {}
  Buffer& operator=(Buffer&& other) noexcept {
    data_ = std::move(other.data_);
    size_ = std::exchange(other.size_, 0);
    return *this;
  }

  size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }
  uint8_t* data() { return data_.get(); }
  const uint8_t* data() const { return data_.get(); }
  absl::Span<uint8_t> bytes() { return {data_.get(), size_}; }
  absl::Span<const uint8_t> bytes() const { return {data_.get(), size_}; }
  // Whose memory it is; null: the heap's.
  const BufferMemory* memory() const { return data_.get_deleter().memory.get(); }

 private:
  static constexpr std::align_val_t kAlignment{64};
  struct Delete {
    std::shared_ptr<BufferMemory> memory;
    size_t num_bytes;

    void operator()(uint8_t* data) const {
      if (memory != nullptr) {
        memory->Free(data, num_bytes);
      } else {
        ::operator delete(data, kAlignment);
      }
    }
  };

  std::unique_ptr<uint8_t, Delete> data_{nullptr, Delete{nullptr, 0}};
  size_t size_ = 0;
};

using SharedBuffer = std::shared_ptr<const Buffer>;

}  // namespace tally

#endif  // TALLY_BASE_BUFFER_H_
