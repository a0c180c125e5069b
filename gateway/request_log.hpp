// One JSON line per request and event on standard output. Callers only append to memory; a thread of its own writes, so
// a slow reader of the log never holds up an answer: beyond a bound lines are dropped and counted.
#pragma once

#include "gateway/metrics.hpp"

#include <atomic>
#include <condition_variable>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>

namespace kvasir::gateway {

class RequestLog {
 public:
  // `descriptor` stays the caller's.
  RequestLog(int descriptor, bool requests, Metrics& metrics);
  ~RequestLog();  // writes what is left
  RequestLog(const RequestLog&) = delete;
  RequestLog& operator=(const RequestLog&) = delete;

  // Any thread. Requests are logged or not from now on.
  void set_requests(bool logged) { requests_.store(logged, std::memory_order_relaxed); }
  void request(const RequestRecord& record);
  void event(std::string_view message);

 private:
  void add(std::string_view line);
  void run();
  void write_all(std::string_view rest);

  int descriptor_;
  std::atomic<bool> requests_;
  Metrics* metrics_;
  std::mutex mutex_;
  std::condition_variable wake_;
  std::string pending_;
  bool ending_ = false;
  std::thread writer_;
};

}  // namespace kvasir::gateway
