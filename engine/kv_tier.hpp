// The disk behind KV memory: blocks that the prefix tree lets go of are written there, and come back where that is
// cheaper than computing them again. Reading, writing and compressing happen on a thread of its own.
#pragma once

#include "engine/kv_disk.hpp"
#include "engine/kv_load.hpp"
#include "engine/kv_storage.hpp"
#include "engine/prefix_tree.hpp"

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <future>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
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
  // How many blocks were read, from the first that was asked for on, and the documents that their files name, by the
  // block of the prefix from which on each is named. Called on the tier's thread.
  using Loaded = std::function<void(int blocks, std::vector<std::pair<int, std::string>> documents)>;

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
  struct Wanted {
    std::string_view space;
    std::span<const TokenId> prefix;
    int first = 0;  // block of the prefix
    std::vector<BlockId> into;
    std::vector<std::pair<int, std::string>> documents;  // of the prefix, by the block that each begins in
    double seconds_to_compute = 0;                       // a block; 0: not known
    std::shared_ptr<KvLoad> state;
    Loaded done;
  };
  // Reads blocks of the prefix into `into`, which nobody else touches before `done`, unless the load was still to begin
  // when it was cancelled. What is read is known by these documents from then on, too. None is read if that takes
  // longer than computing; now and then a slow disk is tried again.
  void load(Wanted wanted);
  // Removes these documents' blocks, those that wait to be written too, before anything else is read. How many.
  std::future<std::uint64_t> invalidate(std::vector<std::string> documents);
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
    Wanted wanted;  // its views are not valid any more
  };
  using Task = std::function<void()>;

  KvKey root(std::string_view space) const;
  void push(const CachedRun& run, std::chrono::steady_clock::time_point deadline);
  void work();
  void write(const Save& save);
  void read(const Load& load);
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
  int invalidations_ = 0;   // among them
  std::size_t waiting_bytes_ = 0;
  bool busy_ = false;
  bool stop_ = false;
  KvTierStats stats_;
  std::thread thread_;
};

}  // namespace kvasir::engine
