// Redis' protocol (RESP2): commands to bytes, bytes to replies (hiredis' parser).
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace kvasir::cache {

struct RedisReply {
  enum class Kind { nothing, integer, text, list, error };

  Kind kind = Kind::nothing;
  std::int64_t integer = 0;
  std::string text;  // of a text or an error
  std::vector<RedisReply> list;

  bool is_error() const { return kind == Kind::error; }
  bool is_text() const { return kind == Kind::text; }
  bool is_list() const { return kind == Kind::list; }
  // "MOVED", "NOSCRIPT" …: how the error begins.
  bool is_error(std::string_view word) const { return is_error() && text.starts_with(word); }
};

// Commands one behind the other, as they go over the wire.
class RedisCommands {
 public:
  // Precedes every later command with ASKING, for a slot that is on its way to another node.
  void set_asking(bool asking) { asking_ = asking; }
  void add(const std::vector<std::string_view>& words);

  const std::string& bytes() const { return bytes_; }
  bool empty() const { return count_ == 0; }
  // Replies that will come, those to ASKING included.
  std::size_t replies() const { return asking_ ? 2 * count_ : count_; }
  std::size_t count() const { return count_; }

 private:
  void append(const std::vector<std::string_view>& words);

  std::string bytes_;
  std::size_t count_ = 0;
  bool asking_ = false;
};

class RedisParser {
 public:
  RedisParser();
  ~RedisParser();
  RedisParser(const RedisParser&) = delete;
  RedisParser& operator=(const RedisParser&) = delete;

  // False: what came is not RESP.
  bool feed(std::string_view bytes);
  // The next whole reply. False: not RESP; true without a reply: more bytes are needed.
  bool next(std::optional<RedisReply>& reply);

 private:
  struct Reader;
  std::unique_ptr<Reader> reader_;
};

}  // namespace kvasir::cache
