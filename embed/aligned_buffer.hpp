// Memory that the kernels may load from with full vectors.
#pragma once

#include <cstddef>
#include <memory>
#include <new>

namespace kvasir::embed {

// `size` elements of a plain type on a 64-byte boundary, zeroed.
template <typename T>
class AlignedBuffer {
 public:
  AlignedBuffer() = default;
  explicit AlignedBuffer(std::size_t size) : data_(new (kAlignment) T[size]()), size_(size) {}

  T* data() { return data_.get(); }
  const T* data() const { return data_.get(); }
  std::size_t size() const { return size_; }

 private:
  static constexpr std::align_val_t kAlignment{64};
  struct Delete {
    void operator()(T* data) const { ::operator delete[](data, kAlignment); }
  };
  std::unique_ptr<T[], Delete> data_;
  std::size_t size_ = 0;
};

}  // namespace kvasir::embed
