// Where a shared Redis is and how it is used. Comes in: URLs. Goes out: plain values.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace kvasir::cache {

struct RedisNode {
  std::string host;  // a name or an address, no brackets around IPv6
  std::uint16_t port = 6379;

  std::string text() const;
  bool operator==(const RedisNode&) const = default;
};

// redis://[[USER]:PASSWORD@]HOST[:PORT][/DATABASE], and rediss:// for TLS. User and password may be percent-encoded.
struct RedisUrl {
  RedisNode node;
  std::string user;  // empty: Redis' default user
  std::string password;
  int database = 0;
  bool tls = false;

  // On failure: nothing, and in `error` what was expected.
  static std::optional<RedisUrl> parse(std::string_view text, std::string& error);
  // With ***** for the password.
  std::string masked() const;
  bool operator==(const RedisUrl&) const = default;
};

struct RedisSettings {
  std::vector<RedisUrl> urls;  // the server, or some nodes of the cluster; only their addresses differ
  bool cluster = false;
  std::string prefix = "kvasir";           // of every key; whoever shares it shares the answers
  std::chrono::milliseconds timeout{200};  // without a byte from or to Redis
  std::chrono::milliseconds connect_timeout{1000};
  // How long memory is served while the changes of others cannot be seen; 0: not at all.
  std::chrono::milliseconds serve_disconnected{0};
  std::string ca_file;          // PEM; empty: the system's
  std::string tls_server_name;  // whom the certificate must name; empty: the host that is connected to
  std::string certificate;      // of this client, PEM; empty: none
  std::string key;

  bool operator==(const RedisSettings&) const = default;
};

}  // namespace kvasir::cache
