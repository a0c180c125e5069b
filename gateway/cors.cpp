#include "gateway/cors.hpp"

#include <algorithm>
#include <cctype>

namespace kvasir::gateway {
namespace {

constexpr std::string_view kExposed =
    "x-request-id, x-kvasir-cache, x-kvasir-cache-reason, x-kvasir-cache-entry, x-kvasir-similarity, retry-after, "
    "x-ratelimit-limit-requests, x-ratelimit-limit-tokens, x-ratelimit-remaining-requests, "
    "x-ratelimit-remaining-tokens, "
    "x-ratelimit-reset-requests, x-ratelimit-reset-tokens";
constexpr std::string_view kPreflightSeconds = "7200";

}  // namespace

bool is_cors_origin(std::string_view text) {
  if (text == "*") return true;
  const auto colon = text.find("://");
  if (colon == 0 || colon == std::string_view::npos || colon + 3 == text.size()) return false;
  return std::all_of(text.begin(), text.end(),
                     [](unsigned char c) { return c > 0x20 && c < 0x7F && std::isupper(c) == 0; }) &&
         text.find_first_of("/?#@*,", colon + 3) == std::string_view::npos;
}

CorsPolicy::CorsPolicy(std::vector<std::string> origins) : origins_(std::move(origins)) {
  any_ = std::find(origins_.begin(), origins_.end(), "*") != origins_.end();
}

bool CorsPolicy::allows(std::string_view origin) const {
  return !origin.empty() && (any_ || std::find(origins_.begin(), origins_.end(), origin) != origins_.end());
}

// Vary goes with every answer, so that no cache gives one page the answer of another.
std::string CorsPolicy::headers(const HttpRequest& request) const {
  std::string headers;
  if (origins_.empty()) return headers;
  append_header(headers, "vary", "Origin");
  if (!allows(request.origin)) return headers;
  append_header(headers, "access-control-allow-origin", any_ ? std::string_view("*") : request.origin);
  append_header(headers, "access-control-expose-headers", kExposed);
  return headers;
}

// The page may send what it asks for: keys and fields are checked with the request itself.
std::string CorsPolicy::preflight_headers(const HttpRequest& request, std::string_view methods) const {
  std::string headers;
  if (!allows(request.origin) || request.fields.count("access-control-request-method") == 0) return headers;
  append_header(headers, "access-control-allow-methods", methods);
  const std::string wanted = request.fields.joined("access-control-request-headers");
  if (!wanted.empty()) append_header(headers, "access-control-allow-headers", wanted);
  append_header(headers, "access-control-max-age", kPreflightSeconds);
  return headers;
}

}  // namespace kvasir::gateway
