#include "gateway/response_store.hpp"

#include "cache/sqlite.hpp"

#include <chrono>
#include <filesystem>

namespace kvasir::gateway {
namespace {

constexpr const char* kSchema = R"sql(
  PRAGMA journal_mode = WAL;
  PRAGMA synchronous = NORMAL;
  PRAGMA journal_size_limit = 67108864;
  CREATE TABLE IF NOT EXISTS responses (
    number INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    tenant TEXT NOT NULL,
    previous TEXT NOT NULL,
    created INTEGER NOT NULL,
    body TEXT NOT NULL,
    input TEXT NOT NULL,
    bytes INTEGER NOT NULL
  );
)sql";

constexpr std::size_t kMaxBytes = 8 << 20;        // of one response
constexpr std::size_t kMaxChain = 1000;           // responses
constexpr std::size_t kMaxChainBytes = 32 << 20;  // as much as a request's body may have
constexpr int kMaxWaiting = 1024;
constexpr int kPatienceMs = 2000;  // with a backup tool that reads the file

std::int64_t now_seconds() {
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  return std::chrono::duration_cast<std::chrono::seconds>(now).count();
}

std::int64_t bytes_of(const StoredResponse& response) {
  return static_cast<std::int64_t>(response.body.size() + response.input.size());
}

}  // namespace

// The store's thread only, once it is open.
class ResponseStore::Database {
 public:
  explicit Database(const ResponseStoreSettings& settings) : settings_(settings) {}

  // Nothing on success, else what is wrong.
  std::optional<std::string> open(const std::string& file);
  bool put(const StoredResponse& response);
  std::optional<StoredResponse> get(const std::string& tenant, const std::string& id);
  std::vector<StoredResponse> chain(const std::string& tenant, std::string id);
  bool remove(const std::string& tenant, const std::string& id);

 private:
  cache::Statement statement(std::string_view sql) { return {handle_.get(), sql}; }
  bool make_room();
  std::int64_t oldest() const { return now_seconds() - settings_.ttl.count(); }

  const ResponseStoreSettings settings_;
  cache::DatabasePtr handle_;
  cache::Statement insert_, find_, remove_, expire_, oldest_;
  std::int64_t bytes_ = 0;
};

std::optional<std::string> ResponseStore::Database::open(const std::string& file) {
  sqlite3* handle = nullptr;
  const int code =
      sqlite3_open_v2(file.c_str(), &handle, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, nullptr);
  handle_.reset(handle);
  if (code != SQLITE_OK) return sqlite3_errstr(code);
  sqlite3_busy_timeout(handle, kPatienceMs);
  if (cache::execute(handle, kSchema) != SQLITE_OK) return sqlite3_errmsg(handle);
  insert_ = statement(
      "INSERT INTO responses (id, tenant, previous, created, body, input, bytes) VALUES (?, ?, ?, ?, ?, ?, ?)");
  find_ = statement("SELECT previous, created, body, input FROM responses WHERE id = ? AND tenant = ? AND created > ?");
  remove_ = statement("DELETE FROM responses WHERE id = ? AND tenant = ? RETURNING bytes");
  expire_ = statement("DELETE FROM responses WHERE created <= ? RETURNING bytes");
  oldest_ = statement(
      "DELETE FROM responses WHERE number = (SELECT number FROM responses ORDER BY number LIMIT 1) RETURNING bytes");
  for (const cache::Statement* made : {&insert_, &find_, &remove_, &expire_, &oldest_}) {
    if (made->result() != SQLITE_OK) return sqlite3_errmsg(handle);
  }
  cache::Statement sum = statement("SELECT COALESCE(SUM(bytes), 0) FROM responses");
  if (!sum.step()) return sqlite3_errmsg(handle);
  bytes_ = sum.integer(0);
  return std::nullopt;
}

bool ResponseStore::Database::put(const StoredResponse& response) {
  const std::int64_t bytes = bytes_of(response);
  insert_.bind(1, response.id).bind(2, response.tenant).bind(3, response.previous).bind(4, response.created);
  insert_.bind(5, response.body).bind(6, response.input).bind(7, bytes);
  if (!insert_.run()) return false;
  bytes_ += bytes;
  return make_room();
}

// Old ones go, and the oldest while there are too many bytes.
bool ResponseStore::Database::make_room() {
  const auto run = [this](cache::Statement& removal) {
    bool any = false;
    while (removal.step()) {
      bytes_ -= removal.integer(0);
      any = true;
    }
    const bool good = removal.result() == SQLITE_DONE;
    removal.reset();
    return std::pair(good, any);
  };
  if (!run(expire_.bind(1, oldest())).first) return false;
  while (bytes_ > static_cast<std::int64_t>(settings_.max_bytes)) {
    const auto [good, any] = run(oldest_);
    if (!good || !any) return good;
  }
  return true;
}

std::optional<StoredResponse> ResponseStore::Database::get(const std::string& tenant, const std::string& id) {
  find_.bind(1, id).bind(2, tenant).bind(3, oldest());
  std::optional<StoredResponse> found;
  if (find_.step()) {
    found = StoredResponse{id,
                           tenant,
                           std::string(find_.bytes(0)),
                           find_.integer(1),
                           std::string(find_.bytes(2)),
                           std::string(find_.bytes(3))};
  }
  find_.reset();
  return found;
}

std::vector<StoredResponse> ResponseStore::Database::chain(const std::string& tenant, std::string id) {
  std::vector<StoredResponse> newest_first;
  std::int64_t bytes = 0;
  while (!id.empty()) {
    auto found = get(tenant, id);
    if (!found || newest_first.size() == kMaxChain) return {};
    bytes += bytes_of(*found);
    if (bytes > static_cast<std::int64_t>(kMaxChainBytes)) return {};
    id = found->previous;
    newest_first.push_back(std::move(*found));
  }
  return {std::make_move_iterator(newest_first.rbegin()), std::make_move_iterator(newest_first.rend())};
}

bool ResponseStore::Database::remove(const std::string& tenant, const std::string& id) {
  remove_.bind(1, id).bind(2, tenant);
  bool removed = false;
  while (remove_.step()) {
    bytes_ -= remove_.integer(0);
    removed = true;
  }
  remove_.reset();
  return removed;
}

ResponseStore::ResponseStore(std::unique_ptr<Database> database)
    : database_(std::move(database)), thread_(kMaxWaiting) {}

ResponseStore::~ResponseStore() {
  thread_.stop();
}

std::unique_ptr<ResponseStore> ResponseStore::open(const std::string& folder, const ResponseStoreSettings& settings,
                                                   std::string& error) {
  auto database = std::make_unique<Database>(settings);
  const std::string file =
      folder == ":memory:" ? folder : (std::filesystem::path(folder) / "responses.sqlite").string();
  if (const auto wrong = database->open(file)) {
    error = "the store of responses " + file + " cannot be opened: " + *wrong;
    return nullptr;
  }
  return std::unique_ptr<ResponseStore>(new ResponseStore(std::move(database)));
}

Task<bool> ResponseStore::put(StoredResponse response) {
  bool stored = false;
  if (bytes_of(response) > static_cast<std::int64_t>(kMaxBytes)) co_return false;
  co_await thread_.run([&] { stored = database_->put(response); });
  co_return stored;
}

Task<std::optional<StoredResponse>> ResponseStore::get(std::string tenant, std::string id) {
  std::optional<StoredResponse> found;
  co_await thread_.run([&] { found = database_->get(tenant, id); });
  co_return found;
}

Task<std::vector<StoredResponse>> ResponseStore::chain(std::string tenant, std::string id) {
  std::vector<StoredResponse> found;
  co_await thread_.run([&] { found = database_->chain(tenant, std::move(id)); });
  co_return found;
}

Task<bool> ResponseStore::remove(std::string tenant, std::string id) {
  bool removed = false;
  co_await thread_.run([&] { removed = database_->remove(tenant, id); });
  co_return removed;
}

}  // namespace kvasir::gateway
