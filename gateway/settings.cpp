#include "gateway/settings.hpp"

#include <charconv>
#include <filesystem>

namespace kvasir::gateway {

bool ListenAddress::loopback() const {
  const bool v4 = host.starts_with("127.") && host.find_first_not_of("0123456789.") == std::string::npos;
  return host == "localhost" || host == "::1" || v4;
}

std::string ListenAddress::text() const {
  const bool v6 = host.find(':') != std::string::npos;
  return (v6 ? "[" + host + "]" : host) + ":" + std::to_string(port);
}

std::optional<ListenAddress> ListenAddress::parse(std::string_view text) {
  const auto colon = text.rfind(':');
  if (colon == std::string_view::npos) return std::nullopt;
  std::string_view host = text.substr(0, colon);
  const std::string_view digits = text.substr(colon + 1);
  if (host.starts_with('[') && host.ends_with(']')) {
    host = host.substr(1, host.size() - 2);
  } else if (host.find(':') != std::string_view::npos) {
    return std::nullopt;  // an IPv6 address needs its brackets
  }
  std::uint16_t port = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), port);
  if (host.empty() || digits.empty() || error != std::errc{} || end != digits.data() + digits.size()) {
    return std::nullopt;
  }
  return ListenAddress{std::string(host), port};
}

std::string embedding_name(const Settings& settings) {
  if (settings.embedding_model.empty() || !settings.embedding_name.empty()) return settings.embedding_name;
  std::string folder = settings.embedding_model;
  while (folder.size() > 1 && folder.ends_with('/')) folder.pop_back();
  return std::filesystem::path(folder).filename().string();
}

}  // namespace kvasir::gateway
