// What /v1/responses keeps: answers with their input, so that a later request can go on from them. A table of its own
// in the data folder, bounded in bytes and age: the oldest go first. Tenants see their own.
#pragma once

#include "gateway/settings.hpp"
#include "gateway/worker_thread.hpp"

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace kvasir::gateway {

struct StoredResponse {
  std::string id;
  std::string tenant;
  std::string previous;      // id of the response that it goes on from, or empty
  std::int64_t created = 0;  // Unix seconds
  std::string body;          // the response object, JSON
  std::string input;         // the request's input items, a JSON array
};

// Any thread; the database is used by a thread of the store's own.
class ResponseStore {
 public:
  // `folder` as the cache's, which holds its lock; ":memory:" keeps nothing beyond the process. On failure: null and
  // one sentence in `error`.
  static std::unique_ptr<ResponseStore> open(const std::string& folder, const ResponseStoreSettings& settings,
                                             std::string& error);
  ~ResponseStore();
  // As WorkerThread's.
  void stop() { thread_.stop(); }

  // True once a killed process would not lose it any more; false if it is too large, or could not be written.
  Task<bool> put(StoredResponse response);
  Task<std::optional<StoredResponse>> get(std::string tenant, std::string id);
  // The response and those that it goes on from, oldest first; empty if one of them is not there (any more), or if they
  // are more than a request may hold.
  Task<std::vector<StoredResponse>> chain(std::string tenant, std::string id);
  // False if there was none.
  Task<bool> remove(std::string tenant, std::string id);

 private:
  class Database;
  explicit ResponseStore(std::unique_ptr<Database> database);

  std::unique_ptr<Database> database_;
  WorkerThread thread_;
};

}  // namespace kvasir::gateway
