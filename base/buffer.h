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

// A block of bytes that starts on a 64-byte boundary, so that floats and vector registers can be
// read in place. Unlike std::vector it is not zero-filled: a payload is written once. Movable;
// shared read-only as std::shared_ptr<const Buffer>.
class Buffer {
 public:
  Buffer() = default;
  // `size_bytes` bytes of unspecified content.
  explicit Buffer(size_t size_bytes)
      : data_(size_bytes == 0 ? nullptr
                              : static_cast<uint8_t*>(::operator new(size_bytes, kAlignment))),
        size_(size_bytes) {}
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

 private:
  static constexpr std::align_val_t kAlignment{64};
  struct Delete {
    void operator()(uint8_t* data) const { ::operator delete(data, kAlignment); }
  };

  std::unique_ptr<uint8_t, Delete> data_;
  size_t size_ = 0;
};

using SharedBuffer = std::shared_ptr<const Buffer>;

}  // namespace tally

#endif  // TALLY_BASE_BUFFER_H_
