#include "gateway/tls_certificates.hpp"

#include <string_view>

#include <openssl/err.h>
#include <openssl/ssl.h>

namespace kvasir::gateway {
namespace {

namespace ssl = boost::asio::ssl;
using boost::system::error_code;

// A key with a passphrase must not make OpenSSL ask for it on the terminal.
int no_passphrase(char*, int, int, void*) {
  return 0;
}

// RFC 7301: this server speaks HTTP/1.1 only; who offers nothing of the kind is served all the same.
int select_protocol(SSL*, const unsigned char** chosen, unsigned char* size, const unsigned char* offered,
                    unsigned offered_size, void*) {
  static constexpr std::string_view kOurs = "\x08http/1.1";
  unsigned char* match = nullptr;
  const auto* ours = reinterpret_cast<const unsigned char*>(kOurs.data());
  const int result =
      SSL_select_next_proto(&match, size, ours, static_cast<unsigned>(kOurs.size()), offered, offered_size);
  if (result != OPENSSL_NPN_NEGOTIATED) return SSL_TLSEXT_ERR_NOACK;
  *chosen = match;
  return SSL_TLSEXT_ERR_OK;
}

}  // namespace

bool TlsCertificates::Version::operator==(const Version& other) const {
  return device == other.device && inode == other.inode && size == other.size &&
         modified.tv_sec == other.modified.tv_sec && modified.tv_nsec == other.modified.tv_nsec;
}

std::unique_ptr<TlsCertificates> TlsCertificates::open(const TlsSettings& settings, std::string& error) {
  std::unique_ptr<TlsCertificates> certificates(new TlsCertificates(settings));
  certificates->seen_ = certificates->versions();
  certificates->current_ = certificates->load(error);
  return certificates->current_ ? std::move(certificates) : nullptr;
}

std::shared_ptr<TlsCertificates::Context> TlsCertificates::current() const {
  const std::lock_guard lock(mutex_);
  return current_;
}

// The versions are taken before the files are read, so that what changes meanwhile is seen the next time.
std::string TlsCertificates::refresh() {
  const Versions now = versions();
  if (now == seen_) return "";
  seen_ = now;
  std::string error;
  auto fresh = load(error);
  if (!fresh) return error + "; the certificate that was loaded before stays in use";
  const std::lock_guard lock(mutex_);
  current_ = std::move(fresh);
  return "the certificate of " + settings_.certificate + " has been reloaded";
}

TlsCertificates::Versions TlsCertificates::versions() const {
  Versions found{};
  const std::array<const std::string*, 2> files{&settings_.certificate, &settings_.key};
  for (std::size_t i = 0; i < files.size(); ++i) {
    struct stat status {};
    if (::stat(files[i]->c_str(), &status) != 0) continue;
    found[i] = {status.st_dev, status.st_ino, status.st_size, status.st_mtim};
  }
  return found;
}

std::shared_ptr<TlsCertificates::Context> TlsCertificates::load(std::string& error) const {
  auto context = std::make_shared<Context>(ssl::context::tls_server);
  SSL_CTX* native = context->native_handle();
  SSL_CTX_set_min_proto_version(native, TLS1_2_VERSION);
  SSL_CTX_set_options(native, SSL_OP_NO_RENEGOTIATION | SSL_OP_CIPHER_SERVER_PREFERENCE);
  SSL_CTX_set_mode(native, SSL_MODE_RELEASE_BUFFERS);
  SSL_CTX_set_default_passwd_cb(native, no_passphrase);
  SSL_CTX_set_alpn_select_cb(native, select_protocol, nullptr);
  error_code failure;
  context->use_certificate_chain_file(settings_.certificate, failure);
  if (failure) {
    error = "server.tls.certificate: " + settings_.certificate + " is no certificate in PEM: " + failure.message();
  } else {
    context->use_private_key_file(settings_.key, ssl::context::pem, failure);
    // The key is compared with the certificate here, too.
    if (failure)
      error = "server.tls.key: " + settings_.key + " is not the certificate's key in PEM: " + failure.message();
  }
  ERR_clear_error();
  return failure ? nullptr : context;
}

}  // namespace kvasir::gateway
