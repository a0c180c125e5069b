#include "gateway/chunked_body.hpp"

#include "gateway/http_errors.hpp"
#include "gateway/http_fields.hpp"

#include <algorithm>
#include <charconv>

namespace kvasir::gateway {
namespace {

// The length of the quoted string that `text` begins with, or 0 (RFC 9110, section 5.6.4).
std::size_t quoted_length(std::string_view text) {
  if (!text.starts_with('"')) return 0;
  for (std::size_t i = 1; i < text.size(); ++i) {
    if (text[i] == '"') return i + 1;
    if (text[i] == '\\') ++i;
    if (i < text.size() && ((static_cast<unsigned char>(text[i]) < 0x20 && text[i] != '\t') || text[i] == 0x7F))
      return 0;
  }
  return 0;
}

void skip_spaces(std::string_view& text) {
  text.remove_prefix(std::min(text.find_first_not_of(" \t"), text.size()));
}

// *( BWS ";" BWS name [ BWS "=" BWS ( token / quoted-string ) ] )
bool are_extensions(std::string_view text) {
  while (!text.empty()) {
    skip_spaces(text);
    if (!text.starts_with(';')) return false;
    text.remove_prefix(1);
    skip_spaces(text);
    const auto name = token_length(text);
    if (name == 0) return false;
    text.remove_prefix(name);
    std::string_view value = text;
    skip_spaces(value);
    if (!value.starts_with('=')) continue;
    value.remove_prefix(1);
    skip_spaces(value);
    const auto size = std::max(token_length(value), quoted_length(value));
    if (size == 0) return false;
    text = value.substr(size);
  }
  return true;
}

}  // namespace

std::size_t ChunkedBody::put(std::string_view bytes, std::string& body) {
  std::size_t taken = 0;
  while (reading()) {
    const std::string_view rest = bytes.substr(taken);
    const std::size_t more = state_ == State::data ? take_data(rest, body) : take_line(rest);
    if (more == 0) break;
    taken += more;
  }
  return taken;
}

std::size_t ChunkedBody::take_data(std::string_view bytes, std::string& body) {
  const auto count = static_cast<std::size_t>(std::min<std::uint64_t>(left_, bytes.size()));
  body += bytes.substr(0, count);
  left_ -= count;
  if (left_ == 0) state_ = State::data_end;
  return count;
}

// 0: the line is not whole yet.
std::size_t ChunkedBody::take_line(std::string_view bytes) {
  const auto end = bytes.find('\n', searched_);
  const bool whole = end != std::string_view::npos;
  const std::size_t size = whole ? end + 1 : bytes.size();
  if (state_ == State::data_end && !std::string_view("\r\n").starts_with(bytes.substr(0, 2))) {
    fail(http_errors::malformed("a chunk is longer than it says."));
    return 0;
  }
  if (trailer_bytes_ + size > max_fields_) {
    fail(http_errors::headers_too_large());
    return 0;
  }
  if (!whole) {
    searched_ = size;
    return 0;
  }
  searched_ = 0;
  if (end == 0 || bytes[end - 1] != '\r') {
    fail(http_errors::malformed("a line must end with CR LF."));
    return 0;
  }
  const std::string_view line = bytes.substr(0, end - 1);
  if (state_ == State::size) {
    take_size(line);
  } else if (state_ == State::data_end) {
    state_ = State::size;
  } else {
    take_trailer(line);
  }
  return size;
}

void ChunkedBody::take_size(std::string_view line) {
  const auto [end, error] = std::from_chars(line.data(), line.data() + line.size(), left_, 16);
  const auto digits = static_cast<std::size_t>(end - line.data());
  const std::string_view extensions = line.substr(digits);
  if (error != std::errc{} || digits > 16 || !are_extensions(extensions)) {
    return fail(http_errors::malformed("a chunk's size is not a hexadecimal number."));
  }
  extension_bytes_ += extensions.size();
  if (extension_bytes_ > max_fields_ + taken_) return fail(http_errors::headers_too_large());
  if (left_ > max_body_ - taken_) return fail(http_errors::body_too_large());
  taken_ += left_;
  state_ = left_ == 0 ? State::trailers : State::data;
}

void ChunkedBody::take_trailer(std::string_view line) {
  trailer_bytes_ += line.size() + 2;
  if (line.empty()) {
    state_ = State::done;
  } else if (!parse_field_line(line)) {
    fail(http_errors::malformed("a trailer line is not 'name: value'."));
  }
}

void ChunkedBody::fail(ApiError error) {
  error_ = std::move(error);
  state_ = State::failed;
}

}  // namespace kvasir::gateway
