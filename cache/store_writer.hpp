// The store's thread: takes everything that waits, writes it in one transaction (group commit), tells everyone.
#pragma once

#include "cache/store.hpp"

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

namespace kvasir::cache {

class StoreWriter {
 public:
  // What may wait for a slow store: answers beyond this are not stored. Removals always wait.
  struct Limits {
    std::size_t answers = 4096;
    std::size_t bytes = std::size_t{64} << 20;
  };

  struct Job {
    StoreOperation operation;
    // Asked on the store's thread just before the write; false: not written, done(false). May be empty.
    std::function<bool(const StoreOperation&)> still_wanted;
    // Called on the store's thread, or by enqueue if there is no room; true: a killed process would not lose it any
    // more. The operation may be moved from.
    std::function<void(bool, StoreOperation&)> done;
  };

  // `housekeeping` is called on the store's thread about once a `period`; true: there is more to do, call again soon.
  StoreWriter(std::unique_ptr<Store> store, std::chrono::milliseconds period, std::function<bool()> housekeeping,
              Limits limits);
  // Writes what is queued, then stops.
  ~StoreWriter();
  StoreWriter(const StoreWriter&) = delete;
  StoreWriter& operator=(const StoreWriter&) = delete;

  // Jobs are written in the order of these calls. Never blocks on the store: an answer that finds no room is
  // done(false) at once.
  void enqueue(Job job);
  // Removals that the store refused and that are tried again before anything else is written.
  std::size_t removals_owed() const { return removals_owed_.load(std::memory_order_relaxed); }

 private:
  void run();
  bool take_room(const StoreOperation& operation);
  std::vector<Job> wait_for_jobs();
  void write(std::vector<Job> jobs);
  void keep_house();

  std::unique_ptr<Store> store_;
  std::chrono::milliseconds period_;
  std::function<bool()> housekeeping_;
  std::chrono::steady_clock::time_point next_housekeeping_;
  // Removals that failed: they go in front of every later transaction, so that nothing removed comes back.
  std::vector<StoreOperation> owed_;
  std::atomic<std::size_t> removals_owed_{0};
  const Limits limits_;

  std::mutex mutex_;
  std::condition_variable wake_;
  std::vector<Job> queue_;
  Limits held_{0, 0};  // by what waits and what is being written
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace kvasir::cache
