// Server-sent events as they arrive (WHATWG HTML, section 9.2.6): bytes in, the data of whole events out.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace kvasir::gateway {

class SseParser {
 public:
  explicit SseParser(std::size_t max_event_bytes = 16 << 20) : max_event_bytes_(max_event_bytes) {}

  void push(std::string_view bytes) { buffer_ += bytes; }
  // The data of the next whole event (lines joined by '\n'), or nullopt if more bytes are needed. Comments and other
  // fields are passed over.
  std::optional<std::string> next();
  // An event grew beyond the bound; nothing more will come.
  bool overflowed() const { return buffer_.size() + data_.size() > max_event_bytes_; }

 private:
  std::optional<std::string_view> next_line();

  std::size_t max_event_bytes_;
  std::string buffer_;
  std::size_t read_ = 0;      // of buffer_
  std::size_t searched_ = 0;  // of buffer_: no line ends before
  std::string data_;
  bool has_data_ = false;
  bool after_cr_ = false;
};

}  // namespace kvasir::gateway
