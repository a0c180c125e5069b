// What keys have spent today, in money: kept over restarts in one small file.
#pragma once

#include "gateway/money.hpp"

#include <chrono>
#include <condition_variable>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>

namespace kvasir::gateway {

// One key's spending of the current UTC day. Thread safe.
class Budget {
 public:
  using Clock = std::chrono::system_clock;

  // Claims `amount` of what `limit` leaves, so that requests that run at once cannot overspend together. Returns 0, or
  // the seconds until the day is over. A claim may be larger than what is left: the request that crosses the limit is
  // the last one.
  int claim(NanoUsd amount, NanoUsd limit, Clock::time_point now = Clock::now());
  // Ends a claim: `spent` is what it came to.
  void settle(NanoUsd claimed, NanoUsd spent, Clock::time_point now = Clock::now());
  NanoUsd spent(Clock::time_point now = Clock::now()) const;

 private:
  friend class SpendLedger;
  void begin_day(Clock::time_point now);

  mutable std::mutex mutex_;
  std::int64_t day_ = 0;  // since 1970-01-01
  NanoUsd spent_ = 0;
  NanoUsd claimed_ = 0;
};

// The budgets of all keys by the key's digest. Written by a thread of its own a few seconds after a change, and at the
// end; a crash forgets those seconds.
class SpendLedger {
 public:
  // Keeps `path` up to date; empty: keeps nothing. A file that cannot be read starts empty; one that cannot be written
  // is tried again, and `report` is told why, once until it can be written again; on the ledger's thread.
  using Report = std::function<void(const std::string& problem)>;
  explicit SpendLedger(
      std::string path, Report report = [](const std::string&) {});
  ~SpendLedger();
  SpendLedger(const SpendLedger&) = delete;
  SpendLedger& operator=(const SpendLedger&) = delete;

  // The same object for the same digest, for as long as the ledger lives. Any thread.
  std::shared_ptr<Budget> budget(const std::string& digest);
  // Writes what has changed. True if the file is up to date.
  bool save();

 private:
  void load();
  std::string text() const;
  void run();

  const std::string path_;
  mutable std::mutex mutex_;
  std::map<std::string, std::shared_ptr<Budget>> budgets_;
  std::mutex file_mutex_;
  std::string saved_;
  bool failing_ = false;
  Report report_;
  std::condition_variable wake_;
  bool ending_ = false;
  std::thread writer_;
};

}  // namespace kvasir::gateway
