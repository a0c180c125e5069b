#include "gateway/upstream_url.hpp"

#include <algorithm>
#include <charconv>
#include <cstdint>

#include <openssl/evp.h>

namespace kvasir::gateway {
namespace {

std::optional<std::string> percent_decoded(std::string_view text) {
  std::string decoded;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      decoded += text[i];
      continue;
    }
    unsigned value = 0;
    const char* const begin = text.data() + i + 1;
    if (i + 2 >= text.size() || std::from_chars(begin, begin + 2, value, 16).ptr != begin + 2) return std::nullopt;
    decoded += static_cast<char>(value);
    i += 2;
  }
  return decoded;
}

std::string base64(std::string_view text) {
  std::string encoded(4 * ((text.size() + 2) / 3) + 1, '\0');
  const int size = EVP_EncodeBlock(reinterpret_cast<unsigned char*>(encoded.data()),
                                   reinterpret_cast<const unsigned char*>(text.data()), static_cast<int>(text.size()));
  encoded.resize(static_cast<std::size_t>(size));
  return encoded;
}

}  // namespace

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

std::optional<ProxyUrl> ProxyUrl::parse(std::string_view text) {
  constexpr std::string_view kScheme = "http://";
  if (!text.starts_with(kScheme)) return std::nullopt;
  ProxyUrl proxy;
  std::string_view rest = text.substr(kScheme.size());
  const auto at = rest.rfind('@');
  if (at != std::string_view::npos) {
    const std::string_view credentials = rest.substr(0, at);
    const auto colon = std::min(credentials.find(':'), credentials.size());
    const auto user = percent_decoded(credentials.substr(0, colon));
    const auto password = percent_decoded(credentials.substr(std::min(colon + 1, credentials.size())));
    if (credentials.find('/') != std::string_view::npos || !user || !password) return std::nullopt;
    proxy.authorization = "Basic " + base64(*user + ":" + *password);
    rest.remove_prefix(at + 1);
  }
  auto url = UpstreamUrl::parse(std::string(kScheme).append(rest));
  if (!url || !url->path.empty()) return std::nullopt;
  proxy.host = std::move(url->host);
  proxy.port = std::move(url->port);
  return proxy;
}

std::string without_credentials(std::string_view proxy_url) {
  const auto at = proxy_url.rfind('@');
  if (at == std::string_view::npos) return std::string(proxy_url);
  return "http://********:********@" + std::string(proxy_url.substr(at + 1));
}

}  // namespace kvasir::gateway
