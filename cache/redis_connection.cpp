#include "cache/redis_connection.hpp"

#include <array>
#include <utility>

#include <boost/asio/buffer.hpp>
#include <boost/asio/connect.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ssl/context.hpp>
#include <boost/asio/ssl/stream.hpp>
#include <fmt/format.h>
#include <openssl/x509v3.h>

namespace kvasir::cache {
namespace {

namespace asio = boost::asio;
using ErrorCode = boost::system::error_code;
using Tcp = asio::ip::tcp;
using std::chrono::milliseconds;

constexpr std::size_t read_bytes = std::size_t{64} << 10;

bool is_address(const std::string& host) {
  ErrorCode is_name;
  asio::ip::make_address(host, is_name);
  return !is_name;
}

// Name indication, and whom the certificate must be for.
void expect_name(SSL* connection, const std::string& name) {
  if (is_address(name)) {
    X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(connection), name.c_str());
    return;
  }
  SSL_set_tlsext_host_name(connection, name.c_str());
  SSL_set_hostflags(connection, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
  SSL_set1_host(connection, name.c_str());
}

bool prepare(asio::ssl::context& context, const RedisSettings& settings, std::string& error) {
  SSL_CTX_set_min_proto_version(context.native_handle(), TLS1_2_VERSION);
  SSL_CTX_set_verify(context.native_handle(), SSL_VERIFY_PEER, nullptr);
  ErrorCode problem;
  if (settings.ca_file.empty()) {
    context.set_default_verify_paths(problem);
  } else {
    context.load_verify_file(settings.ca_file, problem);
  }
  if (problem) {
    error = fmt::format("certificates cannot be read from {}",
                        settings.ca_file.empty() ? "the system's folder" : settings.ca_file);
    return false;
  }
  if (settings.certificate.empty()) return true;
  context.use_certificate_chain_file(settings.certificate, problem);
  if (!problem) context.use_private_key_file(settings.key, asio::ssl::context::pem, problem);
  if (problem) error = fmt::format("the client's certificate {} or its key cannot be used", settings.certificate);
  return !problem;
}

}  // namespace

// Every operation runs the loop of its own until it is over or its time is.
struct RedisConnection::Wire {
  asio::io_context loop;
  Tcp::socket socket{loop};
  std::optional<asio::ssl::context> context;
  std::optional<asio::ssl::stream<Tcp::socket&>> tls;
  RedisNode node;
  milliseconds timeout;
  std::string error;
  bool timed_out = false;
  std::array<char, read_bytes> buffer{};

  explicit Wire(const RedisNode& to, milliseconds patience) : node(to), timeout(patience) {}

  bool fail(std::string what) {
    if (error.empty()) error = fmt::format("{}: {}", node.text(), what);
    ErrorCode ignored;
    socket.close(ignored);
    return false;
  }

  // `start` begins an asynchronous operation with the completion handler that it is given.
  template <typename Start>
  bool run(milliseconds patience, Start start, std::size_t* transferred = nullptr) {
    std::optional<ErrorCode> result;
    start([&](const ErrorCode& code, std::size_t bytes) {
      result = code;
      if (transferred != nullptr) *transferred = bytes;
    });
    loop.restart();
    loop.run_for(patience);
    if (!result) {
      timed_out = true;
      fail("timed out");
      loop.restart();
      loop.run();  // the aborted operation must not outlive what it refers to
      return false;
    }
    return *result ? fail(result->message()) : true;
  }

  bool connect(milliseconds patience) {
    Tcp::resolver resolver(loop);
    Tcp::resolver::results_type found;
    ErrorCode numeric;
    const auto address = asio::ip::make_address(node.host, numeric);
    if (!numeric) {
      found = Tcp::resolver::results_type::create(Tcp::endpoint(address, node.port), node.host, "");
    } else {
      const bool resolved = run(patience, [&](auto done) {
        resolver.async_resolve(node.host, std::to_string(node.port),
                               [&found, done](const ErrorCode& code, auto results) {
                                 found = results;
                                 done(code, 0);
                               });
      });
      if (!resolved) return false;
    }
    const bool connected = run(patience, [&](auto done) {
      asio::async_connect(socket, found, [done](const ErrorCode& code, const Tcp::endpoint&) { done(code, 0); });
    });
    if (!connected) return false;
    ErrorCode ignored;
    socket.set_option(Tcp::no_delay(true), ignored);
    return true;
  }

  bool shake_hands(const RedisSettings& settings) {
    context.emplace(asio::ssl::context::tls_client);
    std::string problem;
    if (!prepare(*context, settings, problem)) return fail(problem);
    tls.emplace(socket, *context);
    expect_name(tls->native_handle(), settings.tls_server_name.empty() ? node.host : settings.tls_server_name);
    const bool shaken = run(settings.connect_timeout, [&](auto done) {
      tls->async_handshake(asio::ssl::stream_base::client, [done](const ErrorCode& code) { done(code, 0); });
    });
    if (shaken) return true;
    const long verdict = SSL_get_verify_result(tls->native_handle());
    if (verdict != X509_V_OK) error += fmt::format(" ({})", X509_verify_cert_error_string(verdict));
    return false;
  }

  bool write(std::string_view bytes) {
    while (!bytes.empty()) {
      std::size_t sent = 0;
      const auto buffer_of = asio::buffer(bytes.data(), bytes.size());
      const bool good = run(
          timeout,
          [&](auto done) { tls ? tls->async_write_some(buffer_of, done) : socket.async_write_some(buffer_of, done); },
          &sent);
      if (!good) return false;
      bytes.remove_prefix(sent);
    }
    return true;
  }

  // Empty: lost.
  std::string_view read(milliseconds patience) {
    std::size_t got = 0;
    const auto into = asio::buffer(buffer);
    const bool good = run(
        patience, [&](auto done) { tls ? tls->async_read_some(into, done) : socket.async_read_some(into, done); },
        &got);
    return good ? std::string_view(buffer.data(), got) : std::string_view();
  }
};

RedisConnection::RedisConnection(std::unique_ptr<Wire> wire) : wire_(std::move(wire)) {}
RedisConnection::~RedisConnection() = default;

std::unique_ptr<RedisConnection> RedisConnection::open(const RedisNode& node, const RedisSettings& settings,
                                                       std::string& error) {
  auto wire = std::make_unique<Wire>(node, settings.connect_timeout);
  const bool connected =
      wire->connect(settings.connect_timeout) && (!settings.urls.front().tls || wire->shake_hands(settings));
  std::unique_ptr<RedisConnection> connection(new RedisConnection(std::move(wire)));
  if (!connected || !connection->log_in(settings)) {
    error = connection->error();
    return nullptr;
  }
  connection->wire_->timeout = settings.timeout;
  return connection;
}

bool RedisConnection::log_in(const RedisSettings& settings) {
  const RedisUrl& url = settings.urls.front();
  RedisCommands commands;
  const std::string database = std::to_string(url.database);
  if (!url.password.empty()) {
    if (url.user.empty()) {
      commands.add({"AUTH", url.password});
    } else {
      commands.add({"AUTH", url.user, url.password});
    }
  }
  if (url.database != 0) commands.add({"SELECT", database});
  commands.add({"PING"});
  const std::vector<RedisReply> replies = exchange(commands);
  for (const RedisReply& reply : replies) {
    if (reply.is_error()) return wire_->fail(reply.text);
  }
  return !replies.empty();
}

bool RedisConnection::good() const {
  return wire_->error.empty();
}

const std::string& RedisConnection::error() const {
  return wire_->error;
}

bool RedisConnection::timed_out() const {
  return wire_->timed_out;
}

void RedisConnection::set_timeout(milliseconds timeout) {
  wire_->timeout = timeout;
}

const RedisNode& RedisConnection::node() const {
  return wire_->node;
}

RedisCommands RedisConnection::commands() const {
  RedisCommands commands;
  commands.set_asking(asking_);
  return commands;
}

std::vector<RedisReply> RedisConnection::exchange(const RedisCommands& commands, milliseconds patience) {
  if (!send(commands)) return {};
  return receive(commands, patience);
}

bool RedisConnection::send(const RedisCommands& commands) {
  return good() && wire_->write(commands.bytes());
}

std::vector<RedisReply> RedisConnection::receive(const RedisCommands& commands, milliseconds patience) {
  std::vector<RedisReply> replies;
  const std::size_t step = commands.replies() / std::max<std::size_t>(commands.count(), 1);
  std::size_t received = 0;
  std::optional<RedisReply> reply;
  while (good() && received < commands.replies()) {
    if (!parser_.next(reply)) {
      wire_->fail("it does not speak Redis' protocol");
    } else if (reply) {
      // With ASKING in front, every second reply is the command's.
      if (++received % step == 0) replies.push_back(std::move(*reply));
    } else if (const std::string_view bytes = wire_->read(wire_->timeout + patience); !bytes.empty()) {
      parser_.feed(bytes);
      patience = {};
    }
  }
  if (!good()) replies.clear();
  return replies;
}

}  // namespace kvasir::cache
