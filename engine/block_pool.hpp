// Ids of KV blocks and who holds them. No memory: that is KvStorage.
#pragma once

#include <cassert>
#include <cstdint>
#include <utility>
#include <vector>

namespace kvasir::engine {

using BlockId = std::int32_t;

class BlockPool;

// One reference to a block; the last one gives it back to the pool. The pool must outlive its blocks. Owned and used by
// the engine's thread only.
class Block {
 public:
  Block() = default;
  Block(Block&& other) noexcept : pool_(std::exchange(other.pool_, nullptr)), id_(other.id_) {}
  Block& operator=(Block&& other) noexcept {
    if (this != &other) {
      release();
      pool_ = std::exchange(other.pool_, nullptr);
      id_ = other.id_;
    }
    return *this;
  }
  ~Block() { release(); }

  BlockId id() const { return id_; }
  // Another reference to the same block.
  Block share() const;
  // References, this one included.
  int references() const;
  explicit operator bool() const { return pool_ != nullptr; }

 private:
  friend class BlockPool;
  Block(BlockPool* pool, BlockId id) : pool_(pool), id_(id) {}
  void release();

  BlockPool* pool_ = nullptr;
  BlockId id_ = -1;
};

class BlockPool {
 public:
  explicit BlockPool(int blocks) : references_(static_cast<std::size_t>(blocks), 0) {
    free_.reserve(references_.size());
    for (BlockId id = blocks; id-- > 0;) free_.push_back(id);
  }
  // A block that is still held would write into memory that somebody else owns next.
  ~BlockPool() { assert(free_.size() == references_.size()); }
  BlockPool(const BlockPool&) = delete;
  BlockPool& operator=(const BlockPool&) = delete;

  int total() const { return static_cast<int>(references_.size()); }
  int free() const { return static_cast<int>(free_.size()); }

  // An empty handle when none is free.
  Block take() {
    if (free_.empty()) return {};
    const BlockId id = free_.back();
    free_.pop_back();
    references_[static_cast<std::size_t>(id)] = 1;
    return Block(this, id);
  }

 private:
  friend class Block;
  std::vector<std::int32_t> references_;
  std::vector<BlockId> free_;
};

inline Block Block::share() const {
  ++pool_->references_[static_cast<std::size_t>(id_)];
  return Block(pool_, id_);
}

inline int Block::references() const {
  return pool_->references_[static_cast<std::size_t>(id_)];
}

inline void Block::release() {
  if (pool_ == nullptr) return;
  if (--pool_->references_[static_cast<std::size_t>(id_)] == 0) pool_->free_.push_back(id_);
  pool_ = nullptr;
}

}  // namespace kvasir::engine
