// The head of a request, from bytes to a plain value (RFC 9112, sections 2 to 6), strictly: a request that another
// server on the way could read differently gets an error and is never passed on.
//
// Our own parser, because Beast's lets pass what request smuggling is made of, and because a check in front of it would
// be a second reading of the same bytes.
#pragma once

#include "gateway/api_error.hpp"
#include "gateway/http_fields.hpp"

#include <cstdint>
#include <string>
#include <string_view>

namespace kvasir::gateway {

struct HttpHead {
  std::string method;  // a token, as it came
  std::string path;    // without scheme, host and query; percent signs decoded; "*" for the whole server
  std::string query;   // behind the '?', as it came
  std::string host;    // of an absolute target, else of the Host field
  HttpFields fields;
  bool http_1_0 = false;
  bool keep_alive = true;
  bool expects_continue = false;
  bool chunked = false;              // else the body has
  std::uint64_t content_length = 0;  // bytes

  bool has_body() const { return chunked || content_length > 0; }
};

class HttpHeadParser {
 public:
  static constexpr std::size_t kMaxRequestLine = 8 << 10;  // bytes
  static constexpr std::size_t kMaxFields = 128;

  enum class State { reading, done, failed };

  // `max_bytes` bounds the whole head.
  explicit HttpHeadParser(std::size_t max_bytes) : max_bytes_(max_bytes) {}

  // Takes whole lines off the front of `bytes` and returns how many bytes they had. The rest must stand at the front of
  // the next call's bytes.
  std::size_t put(std::string_view bytes);

  State state() const { return state_; }
  // With State::done; once.
  HttpHead release() { return std::move(head_); }
  // With State::failed: 400, 414, 417, 431, 501 or 505.
  const ApiError& error() const { return error_; }

 private:
  void take_line(std::string_view line);
  void take_request_line(std::string_view line);
  void take_version(std::string_view version);
  bool take_target(std::string_view target);
  bool take_path(std::string_view target);
  void finish();
  bool check_host();
  bool check_length();
  void fail(ApiError error);
  void fail(std::string_view what);

  std::size_t max_bytes_;
  State state_ = State::reading;
  HttpHead head_;
  ApiError error_;
  bool in_fields_ = false;
  bool absolute_ = false;     // the target named the host
  std::size_t taken_ = 0;     // bytes of whole lines
  std::size_t searched_ = 0;  // of the line that is not whole yet
};

}  // namespace kvasir::gateway
