// Which web pages may read our answers (WHATWG Fetch, section 3.2, "CORS protocol").
#pragma once

#include "gateway/http_message.hpp"

#include <string>
#include <string_view>
#include <vector>

namespace kvasir::gateway {

// "*", or scheme://host[:port] as browsers write it.
bool is_cors_origin(std::string_view text);

class CorsPolicy {
 public:
  // `origins` as above; none: no page may, and nothing is said about it.
  explicit CorsPolicy(std::vector<std::string> origins);

  // Header lines for every answer to this request.
  std::string headers(const HttpRequest& request) const;
  // What a preflight gets beside them; `methods` are those of its path. Empty if the request is none, or not allowed.
  std::string preflight_headers(const HttpRequest& request, std::string_view methods) const;

 private:
  bool allows(std::string_view origin) const;

  std::vector<std::string> origins_;
  bool any_ = false;
};

}  // namespace kvasir::gateway
