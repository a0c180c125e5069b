#include "cache/sqlite_store.hpp"

#include "cache/entry_codec.hpp"
#include "cache/file_lock.hpp"
#include "cache/sqlite.hpp"
#include "cache/stored_bytes.hpp"

#include <algorithm>
#include <filesystem>
#include <optional>
#include <utility>

namespace kvasir::cache {
namespace {

constexpr int schema_version = 2;

// Tenant, model, documents and tags stand beside the encoded entry so that an invalidation reaches rows that memory
// does not know yet. Everything else is in `body`.
constexpr const char* schema = R"sql(
  CREATE TABLE entries (
    number INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    tenant TEXT NOT NULL,
    model TEXT NOT NULL,
    body BLOB NOT NULL,
    embedder TEXT NOT NULL,
    vector BLOB NOT NULL,
    checksum INTEGER NOT NULL
  );
  CREATE TABLE entry_documents (
    document TEXT NOT NULL,
    entry INTEGER NOT NULL REFERENCES entries (number) ON DELETE CASCADE,
    version TEXT NOT NULL DEFAULT '',
    PRIMARY KEY (document, entry)
  ) WITHOUT ROWID;
  CREATE INDEX documents_by_entry ON entry_documents (entry);
  CREATE TABLE entry_tags (
    tag TEXT NOT NULL,
    entry INTEGER NOT NULL REFERENCES entries (number) ON DELETE CASCADE,
    PRIMARY KEY (tag, entry)
  ) WITHOUT ROWID;
  CREATE INDEX tags_by_entry ON entry_tags (entry);
  PRAGMA user_version = 2;
)sql";

// From each version to the next, the first being version 1. A version's statements are never changed again.
constexpr const char* migrations[] = {R"sql(
  ALTER TABLE entry_documents ADD COLUMN version TEXT NOT NULL DEFAULT '';
  PRAGMA user_version = 2;
)sql"};

constexpr const char* settings = R"sql(
  PRAGMA journal_mode = WAL;
  PRAGMA synchronous = NORMAL;
  PRAGMA foreign_keys = ON;
  PRAGMA journal_size_limit = 67108864;
)sql";

constexpr int patience_ms = 2000;  // with a backup tool that reads the file

class SqliteStore final : public Store {
 public:
  SqliteStore(FileLock lock, DatabasePtr database) : lock_(std::move(lock)), database_(std::move(database)) {}

  // Nothing on success, else what is wrong.
  std::optional<std::string> prepare();
  std::uint64_t load(const std::function<void(StoredEntry)>& each, std::string& error) override;
  bool apply(std::span<const StoreOperation* const> operations) override;

 private:
  Statement statement(std::string_view sql) { return {database_.get(), sql}; }
  void prepare_statements();
  std::string message() const { return sqlite3_errmsg(database_.get()); }
  std::optional<std::string> check_version();
  std::optional<std::string> change_schema(const char* statements);
  static std::optional<StoredEntry> read(const Statement& row);
  bool insert(const StoredEntry& stored);
  bool link_documents(const CacheKey& key, std::int64_t entry);
  bool link_tags(const std::vector<std::string>& tags, std::int64_t entry);
  bool remove(const StoredRemoval& removal);
  bool remove_matching(const Invalidation& what);

  FileLock lock_;
  DatabasePtr database_;
  Statement begin_, commit_, rollback_, insert_, insert_document_, insert_tag_;
  Statement remove_id_, remove_number_, remove_all_, remove_document_, remove_outdated_, remove_tag_;
};

// Whole or not at all.
std::optional<std::string> SqliteStore::change_schema(const char* statements) {
  if (execute(database_.get(), "BEGIN IMMEDIATE") == SQLITE_OK && execute(database_.get(), statements) == SQLITE_OK &&
      execute(database_.get(), "COMMIT") == SQLITE_OK) {
    return std::nullopt;
  }
  std::string wrong = message();
  execute(database_.get(), "ROLLBACK");
  return wrong;
}

std::optional<std::string> SqliteStore::check_version() {
  Statement read_version = statement("PRAGMA user_version");
  if (!read_version.step()) return message();
  const std::int64_t version = read_version.integer(0);
  read_version.reset();
  if (version == 0) return change_schema(schema);
  if (version > 0 && version <= schema_version) {
    for (auto from = static_cast<std::size_t>(version); from < schema_version; ++from) {
      if (auto wrong = change_schema(migrations[from - 1])) return wrong;
    }
    return std::nullopt;
  }
  return "it was written by a newer version of kvasir (its schema is " + std::to_string(version) +
         ", this program knows " + std::to_string(schema_version) + ")";
}

std::optional<std::string> SqliteStore::prepare() {
  sqlite3_busy_timeout(database_.get(), patience_ms);
  if (execute(database_.get(), settings) != SQLITE_OK) return message();
  if (auto wrong = check_version()) return wrong;
  prepare_statements();
  for (const Statement* made : {&begin_, &commit_, &rollback_, &insert_, &insert_document_, &insert_tag_, &remove_id_,
                                &remove_number_, &remove_all_, &remove_document_, &remove_outdated_, &remove_tag_}) {
    if (made->result() != SQLITE_OK) return message();
  }
  return std::nullopt;
}

void SqliteStore::prepare_statements() {
  begin_ = statement("BEGIN IMMEDIATE");
  commit_ = statement("COMMIT");
  rollback_ = statement("ROLLBACK");
  insert_ = statement(
      "INSERT OR REPLACE INTO entries (id, tenant, model, body, embedder, vector, checksum) VALUES (?, ?, ?, ?, ?, ?, "
      "?)");
  insert_document_ = statement("INSERT OR IGNORE INTO entry_documents (document, entry, version) VALUES (?, ?, ?)");
  insert_tag_ = statement("INSERT OR IGNORE INTO entry_tags (tag, entry) VALUES (?, ?)");
  remove_id_ = statement("DELETE FROM entries WHERE id = ?");
  remove_number_ = statement("DELETE FROM entries WHERE number = ?");
  const std::string restricted = "DELETE FROM entries WHERE (?1 = '' OR tenant = ?1) AND (?2 = '' OR model = ?2)";
  remove_all_ = statement(restricted);
  remove_document_ = statement(restricted + " AND number IN (SELECT entry FROM entry_documents WHERE document = ?3)");
  remove_outdated_ = statement(
      restricted + " AND number IN (SELECT entry FROM entry_documents WHERE document = ?3 AND version <> ?4)");
  remove_tag_ = statement(restricted + " AND number IN (SELECT entry FROM entry_tags WHERE tag = ?3)");
}

std::optional<StoredEntry> SqliteStore::read(const Statement& row) {
  const std::string_view body = row.bytes(1);
  const std::string_view embedder = row.bytes(2);
  const std::string_view vector = row.bytes(3);
  if (checksum(body, embedder, vector) != row.integer(4)) return std::nullopt;
  std::optional<Entry> entry = decode(body);
  if (!entry) return std::nullopt;
  return StoredEntry{std::move(*entry), vector_from(vector), std::string(embedder)};
}

std::uint64_t SqliteStore::load(const std::function<void(StoredEntry)>& each, std::string& error) {
  std::vector<std::int64_t> damaged;
  Statement rows = statement("SELECT number, body, embedder, vector, checksum FROM entries ORDER BY number");
  while (rows.step()) {
    if (std::optional<StoredEntry> stored = read(rows)) {
      each(std::move(*stored));
    } else {
      damaged.push_back(rows.integer(0));
    }
  }
  if (rows.result() != SQLITE_DONE) error = message();
  rows.reset();
  for (const std::int64_t number : damaged) remove_number_.bind(1, number).run();
  return damaged.size();
}

bool SqliteStore::apply(std::span<const StoreOperation* const> operations) {
  if (!begin_.run()) return false;
  bool good = true;
  for (const StoreOperation* operation : operations) {
    const auto* entry = std::get_if<StoredEntry>(&operation->what);
    good = good && (entry != nullptr ? insert(*entry) : remove(std::get<StoredRemoval>(operation->what)));
  }
  if (good && commit_.run()) return true;
  rollback_.run();
  return false;
}

bool SqliteStore::insert(const StoredEntry& stored) {
  const Entry& entry = stored.entry;
  const std::string body = encode(entry);
  const std::string_view vector = bytes_of(stored.vector);
  insert_.bind(1, entry.id).bind(2, entry.key.tenant).bind(3, entry.key.model).bind_blob(4, body);
  insert_.bind(5, stored.embedder).bind_blob(6, vector).bind(7, checksum(body, stored.embedder, vector));
  if (!insert_.run()) return false;
  const std::int64_t number = sqlite3_last_insert_rowid(database_.get());
  return link_documents(entry.key, number) && link_tags(entry.tags, number);
}

bool SqliteStore::link_documents(const CacheKey& key, std::int64_t entry) {
  for (std::size_t i = 0; i < key.documents.size(); ++i) {
    const std::string version = i < key.document_versions.size() ? key.document_versions[i] : std::string{};
    if (!insert_document_.bind(1, key.documents[i]).bind(2, entry).bind(3, version).run()) return false;
  }
  return true;
}

bool SqliteStore::link_tags(const std::vector<std::string>& tags, std::int64_t entry) {
  return std::ranges::all_of(tags,
                             [&](const std::string& tag) { return insert_tag_.bind(1, tag).bind(2, entry).run(); });
}

bool SqliteStore::remove(const StoredRemoval& removal) {
  for (const std::string& id : removal.ids) {
    if (!remove_id_.bind(1, id).run()) return false;
  }
  return remove_matching(removal.what);
}

bool SqliteStore::remove_matching(const Invalidation& what) {
  const auto run = [&](Statement& removal, const std::string* name) {
    removal.bind(1, what.tenant).bind(2, what.model);
    if (name != nullptr) removal.bind(3, *name);
    return removal.run();
  };
  if (what.all || (!what.names() && (!what.tenant.empty() || !what.model.empty()))) return run(remove_all_, nullptr);
  for (const std::string& document : what.documents) {
    if (!run(remove_document_, &document)) return false;
  }
  for (const CurrentDocument& current : what.current) {
    remove_outdated_.bind(4, current.version);
    if (!run(remove_outdated_, &current.id)) return false;
  }
  for (const std::string& tag : what.tags) {
    if (!run(remove_tag_, &tag)) return false;
  }
  return true;
}

}  // namespace

std::unique_ptr<Store> open_sqlite_store(const std::string& folder, std::string& error) {
  const std::filesystem::path path(folder);
  std::optional<FileLock> lock = FileLock::take_folder(path, error);
  if (!lock) return nullptr;
  sqlite3* handle = nullptr;
  const int code = sqlite3_open_v2((path / "cache.sqlite").c_str(), &handle,
                                   SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, nullptr);
  DatabasePtr database(handle);
  if (code != SQLITE_OK) {
    error = sqlite3_errstr(code);
    return nullptr;
  }
  auto store = std::make_unique<SqliteStore>(std::move(*lock), std::move(database));
  if (std::optional<std::string> wrong = store->prepare()) {
    error = *wrong;
    return nullptr;
  }
  return store;
}

}  // namespace kvasir::cache
