#include "cache/sqlite.hpp"

namespace kvasir::cache {

int execute(sqlite3* database, const char* sql) {
  return sqlite3_exec(database, sql, nullptr, nullptr, nullptr);
}

Statement::Statement(sqlite3* database, std::string_view sql) {
  sqlite3_stmt* handle = nullptr;
  result_ = sqlite3_prepare_v3(database, sql.data(), static_cast<int>(sql.size()), SQLITE_PREPARE_PERSISTENT, &handle,
                               nullptr);
  handle_.reset(handle);
}

void Statement::note(int code) {
  if (result_ == SQLITE_OK) result_ = code;
}

Statement& Statement::bind(int parameter, std::string_view text) {
  note(sqlite3_bind_text64(handle_.get(), parameter, text.data() == nullptr ? "" : text.data(), text.size(),
                           SQLITE_STATIC, SQLITE_UTF8));
  return *this;
}

Statement& Statement::bind(int parameter, std::int64_t number) {
  note(sqlite3_bind_int64(handle_.get(), parameter, number));
  return *this;
}

Statement& Statement::bind_blob(int parameter, std::span<const char> bytes) {
  note(sqlite3_bind_blob64(handle_.get(), parameter, bytes.data() == nullptr ? "" : bytes.data(), bytes.size(),
                           SQLITE_STATIC));
  return *this;
}

bool Statement::step() {
  if (result_ != SQLITE_OK && result_ != SQLITE_ROW) return false;
  result_ = sqlite3_step(handle_.get());
  return result_ == SQLITE_ROW;
}

bool Statement::run() {
  while (step()) {
  }
  const bool done = result_ == SQLITE_DONE;
  reset();
  return done;
}

void Statement::reset() {
  sqlite3_reset(handle_.get());
  result_ = handle_ ? SQLITE_OK : SQLITE_MISUSE;
}

std::string_view Statement::bytes(int column) const {
  const void* data = sqlite3_column_blob(handle_.get(), column);
  const int size = sqlite3_column_bytes(handle_.get(), column);
  return data == nullptr ? std::string_view{}
                         : std::string_view(static_cast<const char*>(data), static_cast<std::size_t>(size));
}

}  // namespace kvasir::cache
