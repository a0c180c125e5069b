// The certificate and key of a listener: TLS 1.2 and later (RFC 9325), read again when their files change.
#pragma once

#include "gateway/settings.hpp"

#include <array>
#include <memory>
#include <mutex>
#include <string>

#include <boost/asio/ssl/context.hpp>
#include <sys/stat.h>

namespace kvasir::gateway {

class TlsCertificates {
 public:
  // On failure: null and one sentence in `error`.
  static std::unique_ptr<TlsCertificates> open(const TlsSettings& settings, std::string& error);

  // What new connections use. Any thread.
  std::shared_ptr<boost::asio::ssl::context> current() const;

  // Looks at the files. Returns a sentence if they have changed: the new ones are in use, or they are not fit and the
  // old ones stay. One thread at a time.
  std::string refresh();

 private:
  using Context = boost::asio::ssl::context;
  // What a replaced or rewritten file changes.
  struct Version {
    dev_t device = 0;
    ino_t inode = 0;
    off_t size = 0;
    timespec modified{};
    bool operator==(const Version& other) const;
  };
  using Versions = std::array<Version, 2>;

  explicit TlsCertificates(TlsSettings settings) : settings_(std::move(settings)) {}
  Versions versions() const;
  std::shared_ptr<Context> load(std::string& error) const;

  const TlsSettings settings_;
  Versions seen_{};
  mutable std::mutex mutex_;
  std::shared_ptr<Context> current_;
};

}  // namespace kvasir::gateway
