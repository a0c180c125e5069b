// HTTP requests and responses as plain values.
#pragma once

#include "gateway/http_fields.hpp"

#include <string>
#include <string_view>

namespace kvasir::gateway {

struct HttpRequest {
  std::string method;  // a token, as it came
  std::string path;    // without scheme, host and query; percent signs decoded
  std::string query;   // behind the '?', or empty
  std::string body;    // not chunked and not compressed any more
  std::string authorization;
  std::string cache_control;  // several header lines joined with commas
  std::string host;
  std::string origin;       // set by browsers
  std::string id;           // x-request-id: the caller's if it is sane, else a new one
  std::string traceparent;  // as received (W3C Trace Context); not checked
  HttpFields fields;        // all of the head
  bool has_body = false;
};

struct HttpResponse {
  int status = 200;
  std::string body;
  std::string headers;  // whole lines, each with its CRLF
  std::string_view content_type = "application/json";
  bool close = false;  // end the connection after this answer
};

std::string_view status_text(int status);

// Appends the Date header of this moment (RFC 9110, section 6.6.1).
void append_date(std::string& headers);

// True for 1 to 128 characters that are safe in headers and logs.
bool sane_request_id(std::string_view id);
// `prefix` and 32 random hexadecimal digits.
std::string random_id(std::string_view prefix);

// One "name: value" line. Control characters in the value are dropped, so that nothing can split a response.
void append_header(std::string& headers, std::string_view name, std::string_view value);

}  // namespace kvasir::gateway
