#include "cache/redis_settings.hpp"

#include <algorithm>
#include <charconv>

#include <fmt/format.h>

namespace kvasir::cache {
namespace {

constexpr const char* expected = "expected redis://[USER:PASSWORD@]HOST[:PORT][/DATABASE], or rediss:// for TLS";
constexpr int databases = 1 << 20;

template <typename Number>
bool read_number(std::string_view text, Number& number) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  return error == std::errc{} && end == text.data() + text.size();
}

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

std::string percent_encoded(std::string_view text) {
  std::string encoded;
  for (const char c : text) {
    const bool plain =
        (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_' || c == '.';
    if (plain) {
      encoded += c;
    } else {
      encoded += fmt::format("%{:02X}", static_cast<unsigned char>(c));
    }
  }
  return encoded;
}

bool read_credentials(std::string_view text, RedisUrl& url) {
  const auto colon = text.find(':');
  if (colon == std::string_view::npos) return false;
  const auto user = percent_decoded(text.substr(0, colon));
  const auto password = percent_decoded(text.substr(colon + 1));
  if (!user || !password || password->empty()) return false;
  url.user = *user;
  url.password = *password;
  return true;
}

bool read_authority(std::string_view text, RedisNode& node) {
  const auto colon = text.rfind(':');
  if (colon != std::string_view::npos && text.find(']', colon) == std::string_view::npos) {
    if (!read_number(text.substr(colon + 1), node.port) || node.port == 0) return false;
    text = text.substr(0, colon);
  }
  const bool bracketed = text.starts_with('[') && text.ends_with(']');
  if (bracketed) text = text.substr(1, text.size() - 2);
  node.host = text;
  return !text.empty() && (bracketed || text.find(':') == std::string_view::npos);
}

}  // namespace

std::string RedisNode::text() const {
  return host.find(':') == std::string::npos ? fmt::format("{}:{}", host, port) : fmt::format("[{}]:{}", host, port);
}

std::optional<RedisUrl> RedisUrl::parse(std::string_view text, std::string& error) {
  error = expected;
  RedisUrl url;
  url.tls = text.starts_with("rediss://");
  if (!url.tls && !text.starts_with("redis://")) return std::nullopt;
  text.remove_prefix(url.tls ? 9 : 8);
  const bool clean = std::all_of(text.begin(), text.end(), [](char c) { return c > ' ' && c < 0x7F; });
  if (!clean || text.find_first_of("?#") != std::string_view::npos) return std::nullopt;
  if (const auto at = text.rfind('@'); at != std::string_view::npos) {
    if (!read_credentials(text.substr(0, at), url)) return std::nullopt;
    text.remove_prefix(at + 1);
  }
  if (const auto slash = text.find('/'); slash != std::string_view::npos) {
    const std::string_view database = text.substr(slash + 1);
    const bool good = read_number(database, url.database) && url.database >= 0 && url.database < databases;
    if (!database.empty() && !good) return std::nullopt;
    text = text.substr(0, slash);
  }
  if (!read_authority(text, url.node)) return std::nullopt;
  error.clear();
  return url;
}

std::string RedisUrl::masked() const {
  const std::string credentials = password.empty() ? "" : fmt::format("{}:*****@", percent_encoded(user));
  return fmt::format("{}://{}{}/{}", tls ? "rediss" : "redis", credentials, node.text(), database);
}

}  // namespace kvasir::cache
