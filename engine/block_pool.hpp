// Ids of KV blocks and who holds them. No memory: that is KvStorage.
#pragma once

#include <array>
#include <cassert>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <utility>
#include <vector>

namespace kvasir::engine {

using BlockId = std::int32_t;

// What a reference is for. A block has at most one that is not `use`: the prefix tree's.
enum class Hold : std::uint8_t { use, cached, pinned };

class BlockPool;

// One reference to a block; the last one gives it back to the pool. The pool must outlive its blocks. Owned and used by
// the engine's thread only.
class Block {
 public:
  Block() = default;
  Block(Block&& other) noexcept
      : pool_(std::exchange(other.pool_, nullptr)), id_(other.id_), hold_(std::exchange(other.hold_, Hold::use)) {}
  Block& operator=(Block&& other) noexcept {
    if (this != &other) {
      release();
      pool_ = std::exchange(other.pool_, nullptr);
      id_ = other.id_;
      hold_ = std::exchange(other.hold_, Hold::use);
    }
    return *this;
  }
  ~Block() { release(); }

  BlockId id() const { return id_; }
  // Another reference to the same block.
  Block share(Hold hold = Hold::use) const;
  // References, this one included.
  int references() const;
  Hold hold() const { return hold_; }
  // What this reference is for from now on.
  void set_hold(Hold hold);
  explicit operator bool() const { return pool_ != nullptr; }

 private:
  friend class BlockPool;
  Block(BlockPool* pool, BlockId id) : pool_(pool), id_(id) {}
  void release();

  BlockPool* pool_ = nullptr;
  BlockId id_ = -1;
  Hold hold_ = Hold::use;
};

class BlockPool {
 public:
  explicit BlockPool(int blocks) : states_(static_cast<std::size_t>(blocks)) {
    free_.reserve(states_.size());
    for (BlockId id = blocks; id-- > 0;) free_.push_back(id);
  }
  // A block that is still held would write into memory that somebody else owns next.
  ~BlockPool() {
    if (const int leaked = total() - free(); leaked != 0) {
      std::fprintf(stderr, "kvasir: %d of %d KV blocks were never given back: a bug, please report it\n", leaked,
                   total());
      assert(leaked == 0);
    }
  }
  BlockPool(const BlockPool&) = delete;
  BlockPool& operator=(const BlockPool&) = delete;

  int total() const { return static_cast<int>(states_.size()); }
  int free() const { return static_cast<int>(free_.size()); }
  // Blocks whose only reference is of this kind.
  int idle(Hold hold) const { return idle_[static_cast<std::size_t>(hold)]; }

  // An empty handle when none is free.
  Block take() {
    if (free_.empty()) return {};
    const BlockId id = free_.back();
    free_.pop_back();
    change(id, [](State& state) { state = {1, Hold::use}; });
    return Block(this, id);
  }

 private:
  friend class Block;
  struct State {
    std::int32_t references = 0;
    Hold hold = Hold::use;  // of the one reference that is more than use
  };

  template <typename F>
  void change(BlockId id, F f) {
    State& state = states_[static_cast<std::size_t>(id)];
    if (state.references == 1) --idle_[static_cast<std::size_t>(state.hold)];
    f(state);
    if (state.references == 1) ++idle_[static_cast<std::size_t>(state.hold)];
  }

  std::vector<State> states_;
  std::vector<BlockId> free_;
  std::array<int, 3> idle_{};  // by Hold
};

inline Block Block::share(Hold hold) const {
  pool_->change(id_, [](BlockPool::State& state) { ++state.references; });
  Block other(pool_, id_);
  other.set_hold(hold);
  return other;
}

inline int Block::references() const {
  return pool_->states_[static_cast<std::size_t>(id_)].references;
}

inline void Block::set_hold(Hold hold) {
  if (hold == hold_) return;
  hold_ = hold;
  pool_->change(id_, [hold](BlockPool::State& state) { state.hold = hold; });
}

inline void Block::release() {
  if (pool_ == nullptr) return;
  set_hold(Hold::use);
  pool_->change(id_, [](BlockPool::State& state) { --state.references; });
  if (pool_->states_[static_cast<std::size_t>(id_)].references == 0) pool_->free_.push_back(id_);
  pool_ = nullptr;
}

}  // namespace kvasir::engine
