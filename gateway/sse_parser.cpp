#include "gateway/sse_parser.hpp"

#include <algorithm>
#include <utility>

namespace kvasir::gateway {

std::optional<std::string> SseParser::next() {
  while (const auto line = next_line()) {
    if (line->empty()) {
      if (!std::exchange(has_data_, false)) continue;
      return std::exchange(data_, {});
    }
    if (!line->starts_with("data")) continue;
    std::string_view value = line->substr(4);
    if (!value.empty() && value.front() != ':') continue;  // another field that begins with these letters
    if (!value.empty()) value.remove_prefix(1);
    if (value.starts_with(' ')) value.remove_prefix(1);
    if (std::exchange(has_data_, true)) data_ += '\n';
    data_ += value;
  }
  buffer_.erase(0, read_);
  searched_ = buffer_.size();
  read_ = 0;
  return std::nullopt;
}

// Lines end with CR LF, LF or CR; an LF at the start of the next bytes may belong to the CR before.
std::optional<std::string_view> SseParser::next_line() {
  if (after_cr_ && read_ < buffer_.size()) {
    after_cr_ = false;
    if (buffer_[read_] == '\n') ++read_;
  }
  std::size_t end = std::max(read_, searched_);
  while (end < buffer_.size() && buffer_[end] != '\n' && buffer_[end] != '\r') ++end;
  if (end == buffer_.size()) return std::nullopt;
  const auto line = std::string_view(buffer_).substr(read_, end - read_);
  after_cr_ = buffer_[end] == '\r';
  read_ = end + 1;
  return line;
}

}  // namespace kvasir::gateway
