// TLS towards one server: whom to trust, whom to expect, and the session to take up again (RFC 8446, section 2.2).
#pragma once

#include "gateway/asio.hpp"

#include <memory>
#include <mutex>
#include <string>

#include <boost/asio/ssl/context.hpp>

namespace kvasir::gateway {

// TLS 1.2 and newer; certificates are always verified. Any thread. Must outlive the handshakes made with it.
class TlsClient {
 public:
  // `server_name`: the name or address that the certificate must be for. `ca_file`: PEM; empty: the system's. Null if
  // the file cannot be used; one sentence in `error`.
  static std::unique_ptr<TlsClient> make(std::string server_name, const std::string& ca_file, std::string& error);

  asio::ssl::context& context() { return context_; }
  // Before a handshake: name indication, the name to verify, the last session.
  void prepare(SSL* connection);

 private:
  struct FreeSession {
    void operator()(SSL_SESSION* session) const { SSL_SESSION_free(session); }
  };

  explicit TlsClient(std::string server_name);
  static int keep_session(SSL* connection, SSL_SESSION* session);

  std::string server_name_;
  asio::ssl::context context_{asio::ssl::context::tls_client};
  std::mutex mutex_;
  std::unique_ptr<SSL_SESSION, FreeSession> session_;
};

}  // namespace kvasir::gateway
