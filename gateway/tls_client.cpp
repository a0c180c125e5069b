#include "gateway/tls_client.hpp"

#include <openssl/x509v3.h>

namespace kvasir::gateway {
namespace {

// Where an SSL_CTX remembers its TlsClient; index 0 is Asio's.
int client_index() {
  static const int index = SSL_CTX_get_ex_new_index(0, nullptr, nullptr, nullptr, nullptr);
  return index;
}

}  // namespace

std::unique_ptr<TlsClient> TlsClient::make(std::string server_name, const std::string& ca_file, std::string& error) {
  auto client = std::unique_ptr<TlsClient>(new TlsClient(std::move(server_name)));
  ErrorCode problem;
  if (ca_file.empty()) {
    client->context_.set_default_verify_paths(problem);
  } else {
    client->context_.load_verify_file(ca_file, problem);
  }
  if (problem) {
    error = "certificates cannot be read from " + (ca_file.empty() ? "the system's folder" : ca_file);
    return nullptr;
  }
  return client;
}

TlsClient::TlsClient(std::string server_name) : server_name_(std::move(server_name)) {
  SSL_CTX* const context = context_.native_handle();
  SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
  SSL_CTX_set_verify(context, SSL_VERIFY_PEER, nullptr);
  SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
  SSL_CTX_set_ex_data(context, client_index(), this);
  SSL_CTX_sess_set_new_cb(context, keep_session);
}

void TlsClient::prepare(SSL* connection) {
  ErrorCode is_name;
  asio::ip::make_address(server_name_, is_name);
  if (is_name) {
    SSL_set_tlsext_host_name(connection, server_name_.c_str());
    SSL_set_hostflags(connection, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    SSL_set1_host(connection, server_name_.c_str());
  } else {
    X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(connection), server_name_.c_str());
  }
  const std::lock_guard lock(mutex_);
  if (session_) SSL_set_session(connection, session_.get());
}

// Called by OpenSSL when the server has sent a ticket; one means that the session is ours now.
int TlsClient::keep_session(SSL* connection, SSL_SESSION* session) {
  auto* const client = static_cast<TlsClient*>(SSL_CTX_get_ex_data(SSL_get_SSL_CTX(connection), client_index()));
  const std::lock_guard lock(client->mutex_);
  client->session_.reset(session);
  return 1;
}

}  // namespace kvasir::gateway
