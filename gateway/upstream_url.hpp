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

}  // namespace kvasir::gateway
