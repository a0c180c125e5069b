// Where an upstream server is.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace kvasir::gateway {

struct UpstreamUrl {
  bool tls = false;
  std::string host;
  std::string port;
  std::string path;  // "/v1", or empty

  std::string authority() const;  // for the Host header
  // Null for whatever is not http(s)://HOST[:PORT][/PATH]; a user or a query would be a credential in the open.
  static std::optional<UpstreamUrl> parse(std::string_view text);
};

// An HTTP proxy (RFC 9110, sections 7.2 and 9.3.6).
struct ProxyUrl {
  std::string host;
  std::string port;
  std::string authorization;  // of the Proxy-Authorization header, or empty

  // Null for whatever is not http://[USER:PASSWORD@]HOST:PORT; user and password may be percent-encoded.
  static std::optional<ProxyUrl> parse(std::string_view text);
};
// The URL of a proxy as it may be shown.
std::string without_credentials(std::string_view proxy_url);

}  // namespace kvasir::gateway
