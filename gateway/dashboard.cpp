#include "gateway/dashboard.hpp"

#include <string>

namespace kvasir::gateway {
namespace {

constexpr std::string_view kScript = "/dashboard.js";
constexpr std::string_view kStyle = "/dashboard.css";
// Whatever a question holds, it can load and run nothing, and no other page can hold this one in a frame.
constexpr std::string_view kPolicy =
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; base-uri "
    "'none'; form-action 'none'; frame-ancestors 'none'";

}  // namespace

bool is_dashboard_file(std::string_view path) {
  return path == kScript || path == kStyle;
}

bool asks_for_dashboard(const HttpRequest& request) {
  if (request.method != "GET" && request.method != "HEAD") return false;
  if (is_dashboard_file(request.path)) return true;
  return request.path == "/" && request.fields.joined("accept").find("text/html") != std::string::npos;
}

HttpResponse dashboard(std::string_view path) {
  HttpResponse response;
  append_header(response.headers, "content-security-policy", kPolicy);
  append_header(response.headers, "x-content-type-options", "nosniff");
  append_header(response.headers, "referrer-policy", "no-referrer");
  append_header(response.headers, "cache-control", "no-cache");
  if (path == kScript) {
    response.body = dashboard_js();
    response.content_type = "text/javascript; charset=utf-8";
  } else if (path == kStyle) {
    response.body = dashboard_css();
    response.content_type = "text/css; charset=utf-8";
  } else {
    append_header(response.headers, "vary", "Accept");
    response.body = dashboard_html();
    response.content_type = "text/html; charset=utf-8";
  }
  return response;
}

}  // namespace kvasir::gateway
