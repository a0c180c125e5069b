// SQLite handles that close themselves. Failures are SQLite's result codes.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include <sqlite3.h>

namespace kvasir::cache {

struct CloseDatabase {
  void operator()(sqlite3* database) const { sqlite3_close(database); }
};
using DatabasePtr = std::unique_ptr<sqlite3, CloseDatabase>;

// Runs statements without parameters. Returns SQLITE_OK or what went wrong.
int execute(sqlite3* database, const char* sql);

// A prepared statement. Bound texts and blobs must outlive the next run() or step().
class Statement {
 public:
  Statement() = default;
  // An invalid statement makes every later call fail with `result()`.
  Statement(sqlite3* database, std::string_view sql);

  int result() const { return result_; }
  Statement& bind(int parameter, std::string_view text);
  Statement& bind(int parameter, std::int64_t number);
  Statement& bind_blob(int parameter, std::span<const char> bytes);
  // True while there is a row; else result() tells the end (SQLITE_DONE) from a failure.
  bool step();
  // Runs a statement that gives no rows, and makes it ready for the next time.
  bool run();
  void reset();

  std::int64_t integer(int column) const { return sqlite3_column_int64(handle_.get(), column); }
  // Valid until the next step.
  std::string_view bytes(int column) const;

 private:
  struct Finalize {
    void operator()(sqlite3_stmt* statement) const { sqlite3_finalize(statement); }
  };
  void note(int code);

  std::unique_ptr<sqlite3_stmt, Finalize> handle_;
  int result_ = SQLITE_OK;
};

}  // namespace kvasir::cache
