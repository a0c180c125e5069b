// The disk behind KV memory: blocks that the prefix tree lets go of are written there, and come back where that is
// cheaper than computing them again. Reading, writing and compressing happen on a thread of its own.
#pragma once

#include "engine/kv_disk.hpp"
#include "engine/kv_storage.hpp"
#include "engine/prefix_tree.hpp"

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

namespace kvasir::engine {

struct KvTierStats {
  std::uint64_t bytes = 0;    // on disk
  std::uint64_t blocks = 0;   // on disk
  std::uint64_t written = 0;  // blocks, since the start
  std::uint64_t read = 0;     // blocks
  std::uint64_t lost = 0;     // blocks that were evicted faster than the disk takes them
  std::uint64_t damaged = 0;  // blocks that were dropped because their file was not what it should be
};

class KvTier {
 public:
  // Blocks on disk, from the first that was asked for on. Called on the tier's thread.
  using Loaded = std::function<void(int blocks)>;

  // `fingerprint` tells apart whatever gives other values for the same tokens. `storage` outlives the tier.
  KvTier(KvDisk disk, KvStorage& storage, std::string fingerprint);
  // Ends the thread; what is not written yet is lost.
  ~KvTier();

  // Copies these blocks, to be written; what the queue has no room for is lost. Engine's thread, as all below.
  void save(const CachedRun& run);
  // The same, but waits for room until then.
  void save_until(const CachedRun& run, std::chrono::steady_clock::time_point deadline);
  // Waits until all is written, or until then.
  void drain(std::chrono::steady_clock::time_point deadline);
  // Reads the blocks of `prefix` from block `first` on into `into`, which nobody else touches before `done`. None if
  // reading one takes longer than computing it, at `seconds_to_compute` a block (0: not known).
  void load(std::string_view space, std::span<const TokenId> prefix, int first, std::vector<BlockId> into,
            double seconds_to_compute, Loaded done);
  // Removes these documents' blocks, those that wait to be written too. Any thread; waits. Returns how many.
  std::uint64_t invalidate(const std::vector<std::string>& documents);
  KvTierStats stats() const;

 private:
  struct Save {
    KvKey parent{};
    std::vector<TokenId> tokens;
    std::vector<std::string> documents;
    std::vector<std::byte> values;
  };
  struct Load {
    KvKey parent{};
    std::vector<TokenId> tokens;
    std::vector<BlockId> into;
    double seconds_to_compute = 0;
    Loaded done;
  };
  using Task = std::function<void()>;

  KvKey root(std::string_view space) const;
  void push(const CachedRun& run, std::chrono::steady_clock::time_point deadline);
  void work();
  void write(const Save& save);
  int read(const Load& load);
  void publish();

  KvDisk disk_;  // the thread's
  KvStorage& storage_;
  const std::string fingerprint_;
  double seconds_to_read_ = 0;  // a block; the thread's
  int refused_ = 0;             // loads in a row that would have been too slow; the thread's
  std::vector<std::byte> buffer_;

  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Load> loads_;
  std::deque<Task> tasks_;  // saves and invalidations, in order
  std::size_t waiting_bytes_ = 0;
  bool busy_ = false;
  bool stop_ = false;
  KvTierStats stats_;
  std::thread thread_;
};

}  // namespace kvasir::engine
