#include "gateway/http_head.hpp"

#include "gateway/http_errors.hpp"

#include <algorithm>
#include <charconv>

#include <boost/beast/core/string.hpp>
#include <simdjson.h>

namespace kvasir::gateway {
namespace {

using boost::beast::iequals;

bool is_digits(std::string_view text) {
  return !text.empty() && text.find_first_not_of("0123456789") == std::string_view::npos;
}

// host [":" port] of RFC 3986, section 3.2, no user; the host is not looked at any closer than separators demand.
bool is_authority(std::string_view text) {
  const bool plain = std::all_of(text.begin(), text.end(), [](char c) {
    return c > ' ' && c < 0x7F && std::string_view("/?#@\\\"<>,{}|^`").find(c) == std::string_view::npos;
  });
  if (!plain) return false;
  const auto bracket = text.rfind(']');
  const auto colon = text.find(':', bracket == std::string_view::npos ? 0 : bracket);
  if (colon == std::string_view::npos) return true;
  const std::string_view port = text.substr(colon + 1);
  return colon > 0 && (port.empty() || (port.size() <= 5 && is_digits(port)));
}

// Nothing if a percent sign is not followed by two hexadecimal digits.
std::optional<std::string> percent_decoded(std::string_view text) {
  std::string decoded;
  decoded.reserve(text.size());
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      decoded += text[i];
      continue;
    }
    unsigned byte = 0;
    const std::string_view digits = text.substr(i + 1, 2);
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), byte, 16);
    if (digits.size() != 2 || error != std::errc{} || end != digits.data() + 2) return std::nullopt;
    decoded += static_cast<char>(byte);
    i += 2;
  }
  return decoded;
}

bool is_clean_text(std::string_view text) {
  const bool printable =
      std::none_of(text.begin(), text.end(), [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7F; });
  return printable && simdjson::validate_utf8(text.data(), text.size());
}

}  // namespace

std::size_t HttpHeadParser::put(std::string_view bytes) {
  std::size_t taken = 0;
  while (state_ == State::reading) {
    const std::string_view rest = bytes.substr(taken);
    const auto end = rest.find('\n', searched_);
    const bool whole = end != std::string_view::npos;
    const std::size_t size = whole ? end + 1 : rest.size();
    if (!in_fields_ && size > std::min(kMaxRequestLine, max_bytes_)) {
      fail(http_errors::target_too_long());
    } else if (taken_ + size > max_bytes_) {
      fail(http_errors::headers_too_large());
    } else if (!whole) {
      searched_ = size;
      // What is not HTTP at all, such as TLS, may never send a line's end.
      if (!in_fields_ && size > 0 && rest[0] != '\r' && token_length(rest.substr(0, 1)) == 0) fail("no request line.");
      break;
    } else if (end == 0 || rest[end - 1] != '\r') {
      fail("a line must end with CR LF.");
    } else {
      take_line(rest.substr(0, end - 1));
      taken += size;
      taken_ += size;
      searched_ = 0;
    }
  }
  return taken;
}

void HttpHeadParser::take_line(std::string_view line) {
  if (!in_fields_) {
    // Empty lines in front of a request are passed over (RFC 9112, section 2.2).
    if (!line.empty()) take_request_line(line);
    return;
  }
  if (line.empty()) return finish();
  const auto field = parse_field_line(line);
  if (!field) return fail("a header line is not 'name: value'.");
  if (head_.fields.size() >= kMaxFields) return fail(http_errors::headers_too_large());
  head_.fields.add(*field);
}

void HttpHeadParser::take_request_line(std::string_view line) {
  in_fields_ = true;
  const auto method_size = token_length(line);
  if (method_size == 0 || method_size == line.size() || line[method_size] != ' ')
    return fail("the method is not a token.");
  head_.method = line.substr(0, method_size);
  line.remove_prefix(method_size + 1);
  const auto space = line.find(' ');
  const std::string_view target = line.substr(0, space);
  const bool visible =
      std::all_of(target.begin(), target.end(), [](char c) { return c > ' ' && c < 0x7F && c != '#'; });
  if (target.empty() || !visible) return fail("the target has a character that is not allowed.");
  if (space == std::string_view::npos) return fail(http_errors::unknown_version());  // HTTP/0.9
  take_version(line.substr(space + 1));
  if (state_ == State::reading && !take_target(target)) fail("the target is not a path or a URL.");
}

void HttpHeadParser::take_version(std::string_view version) {
  const bool formed = version.size() == 8 && version.starts_with("HTTP/") && is_digits(version.substr(5, 1)) &&
                      version[6] == '.' && is_digits(version.substr(7));
  if (!formed) return fail("the request line does not end with a version.");
  if (version[5] != '1') return fail(http_errors::unknown_version());
  head_.http_1_0 = version[7] == '0';  // of later minor versions we speak ours (RFC 9110, section 2.5)
}

// RFC 9112, section 3.2. The authority form belongs to CONNECT, and this is no proxy.
bool HttpHeadParser::take_target(std::string_view target) {
  if (target.front() == '/') return take_path(target);
  if (target == "*") {
    head_.path = target;
    return head_.method == "OPTIONS";
  }
  const auto colon = target.find("://");
  if (colon == std::string_view::npos) return false;
  const std::string_view scheme = target.substr(0, colon);
  if (!iequals(scheme, "http") && !iequals(scheme, "https")) return false;
  target.remove_prefix(colon + 3);
  const auto authority_size = std::min(target.find_first_of("/?"), target.size());
  head_.host = target.substr(0, authority_size);
  absolute_ = true;
  target.remove_prefix(authority_size);
  return !head_.host.empty() && is_authority(head_.host) && take_path(target);
}

bool HttpHeadParser::take_path(std::string_view target) {
  const auto question = std::min(target.find('?'), target.size());
  auto path = percent_decoded(target.substr(0, question));
  if (!path || !is_clean_text(*path)) return false;
  head_.path = path->empty() ? "/" : std::move(*path);
  head_.query = target.substr(std::min(question + 1, target.size()));
  return true;
}

void HttpHeadParser::finish() {
  if (!check_host() || !check_length()) return;
  const std::string connection = head_.fields.joined("connection");
  head_.keep_alive = !list_has(connection, "close") && (!head_.http_1_0 || list_has(connection, "keep-alive"));
  // HTTP/1.0 knows no expectations; a proxy may have passed the field on (RFC 9110, section 10.1.1).
  const std::string expect = head_.http_1_0 ? "" : head_.fields.joined("expect");
  if (!expect.empty() && !iequals(expect, "100-continue")) return fail(http_errors::unknown_expectation());
  head_.expects_continue = !expect.empty();
  state_ = State::done;
}

// RFC 9112, section 3.2: of an absolute target's host and the field, the former counts.
bool HttpHeadParser::check_host() {
  const auto lines = head_.fields.count("host");
  const std::string_view host = head_.fields.first("host");
  if (lines > 1 || (lines == 0 && !head_.http_1_0)) {
    fail("it needs exactly one Host header.");
    return false;
  }
  if (!is_authority(host)) {
    fail("its Host header is not a host.");
    return false;
  }
  if (!absolute_) head_.host = host;
  return true;
}

// RFC 9112, section 6: a body's end must be the same for everybody who reads it.
bool HttpHeadParser::check_length() {
  const auto lengths = head_.fields.count("content-length");
  const auto codings = head_.fields.count("transfer-encoding");
  if (codings > 0) {
    const std::string coding = head_.fields.joined("transfer-encoding");
    const auto comma = coding.rfind(',');
    const std::string_view last =
        trim_spaces(std::string_view(coding).substr(comma == std::string::npos ? 0 : comma + 1));
    if (lengths > 0 || head_.http_1_0 || !iequals(last, "chunked")) {
      fail("it must say its body's length once: Content-Length, or chunked in HTTP/1.1.");
    } else if (comma == std::string::npos) {
      head_.chunked = true;
    } else if (list_has(std::string_view(coding).substr(0, comma), "chunked")) {
      fail("chunked stands twice in its Transfer-Encoding.");
    } else {
      fail(http_errors::unknown_transfer_coding());
    }
    return head_.chunked;
  }
  if (lengths == 0) return true;
  const std::string_view length = head_.fields.first("content-length");
  const auto [end, error] = std::from_chars(length.data(), length.data() + length.size(), head_.content_length);
  if (lengths > 1 || !is_digits(length) || error != std::errc{}) {
    fail("its Content-Length is not one number of bytes.");
    return false;
  }
  return true;
}

void HttpHeadParser::fail(ApiError error) {
  error_ = std::move(error);
  state_ = State::failed;
}

void HttpHeadParser::fail(std::string_view what) {
  fail(http_errors::malformed(what));
}

}  // namespace kvasir::gateway
