// A whole gateway in this process, from settings to listening sockets.
#pragma once

#include "embed/embedder.hpp"
#include "gateway/settings.hpp"

#include <memory>
#include <string>

namespace kvasir::gateway {

class Gateway {
 public:
  // Loads models, opens the cache and binds both listeners; accepts nothing yet. On failure: null and one sentence in
  // `error`, and nothing is left running. `config_path`: the file that `settings` are from, looked at for changes;
  // empty: none.
  static std::unique_ptr<Gateway> open(const Settings& settings, std::string& error,
                                       const std::string& config_path = "");
  ~Gateway();

  void start();
  // Refuses new work, waits until running requests are answered (server.drain_timeout at most, or until a second
  // SIGTERM or SIGINT) and stops.
  void drain();
  // Blocks until SIGTERM, SIGINT or POST /admin/drain. Reloads the configuration on SIGHUP and when its file changes.
  void wait();

  const ListenAddress& listen_address() const;
  const ListenAddress& admin_address() const;

 private:
  struct Parts;
  explicit Gateway(std::unique_ptr<Parts> parts);
  std::unique_ptr<Parts> parts_;
};

}  // namespace kvasir::gateway
