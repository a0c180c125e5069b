// The store's thread: takes everything that waits, writes it in one transaction (group commit), tells everyone.
#pragma once

#include "cache/store.hpp"

#include <chrono>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

namespace kvasir::cache {

class StoreWriter {
 public:
  struct Job {
    StoreOperation operation;
    // Asked on the store's thread just before the write; false: not written, done(false). May be empty.
    std::function<bool(const StoreOperation&)> still_wanted;
    // Called on the store's thread; true: a killed process would not lose it any more. The operation may be moved from.
    std::function<void(bool, StoreOperation&)> done;
  };

  // `housekeeping` is called on the store's thread about once a `period`; true: there is more to do, call again soon.
  StoreWriter(std::unique_ptr<Store> store, std::chrono::milliseconds period, std::function<bool()> housekeeping);
  // Writes what is queued, then stops.
  ~StoreWriter();
  StoreWriter(const StoreWriter&) = delete;
  StoreWriter& operator=(const StoreWriter&) = delete;

  // Jobs are written in the order of these calls. Never blocks on the store.
  void enqueue(Job job);

 private:
  void run();
  std::vector<Job> wait_for_jobs();
  void write(std::vector<Job> jobs);
  void keep_house();

  std::unique_ptr<Store> store_;
  std::chrono::milliseconds period_;
  std::function<bool()> housekeeping_;
  std::chrono::steady_clock::time_point next_housekeeping_;
  // Removals that failed: they go in front of every later transaction, so that nothing removed comes back.
  std::vector<StoreOperation> owed_;

  std::mutex mutex_;
  std::condition_variable wake_;
  std::vector<Job> queue_;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace kvasir::cache
