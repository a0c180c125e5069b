#include "gateway/upstream_url.hpp"

#include <algorithm>
#include <charconv>
#include <cstdint>

namespace kvasir::gateway {

std::string UpstreamUrl::authority() const {
  const bool v6 = host.find(':') != std::string::npos;
  return (v6 ? "[" + host + "]" : host) + ":" + port;
}

std::optional<UpstreamUrl> UpstreamUrl::parse(std::string_view text) {
  UpstreamUrl url;
  if (text.starts_with("https://")) {
    url.tls = true;
    text.remove_prefix(8);
  } else if (text.starts_with("http://")) {
    text.remove_prefix(7);
  } else {
    return std::nullopt;
  }
  const bool clean = std::all_of(text.begin(), text.end(), [](char c) { return c > ' ' && c < 0x7F; });
  if (!clean || text.find_first_of("?#") != std::string_view::npos) return std::nullopt;
  const auto slash = std::min(text.find('/'), text.size());
  std::string_view authority = text.substr(0, slash);
  url.path = text.substr(slash);
  while (url.path.ends_with('/')) url.path.pop_back();
  if (authority.find('@') != std::string_view::npos) return std::nullopt;  // credentials belong into api_key
  url.port = url.tls ? "443" : "80";
  const auto colon = authority.rfind(':');
  const bool has_port = colon != std::string_view::npos && authority.find(']', colon) == std::string_view::npos;
  if (has_port) {
    url.port = authority.substr(colon + 1);
    authority = authority.substr(0, colon);
  }
  if (authority.starts_with('[') && authority.ends_with(']')) authority = authority.substr(1, authority.size() - 2);
  url.host = authority;
  std::uint16_t port = 0;
  const auto [end, error] = std::from_chars(url.port.data(), url.port.data() + url.port.size(), port);
  if (url.host.empty() || error != std::errc{} || end != url.port.data() + url.port.size() || port == 0) {
    return std::nullopt;
  }
  return url;
}

}  // namespace kvasir::gateway
