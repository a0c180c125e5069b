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
  // `error`, and nothing is left running.
  static std::unique_ptr<Gateway> open(const Settings& settings, std::string& error);
  ~Gateway();

  void start();
  // Refuses new work, waits until running requests are answered (settings.server.drain_timeout at most) and stops.
  void drain();
  // Blocks until SIGTERM, SIGINT or POST /admin/drain.
  void wait();

  const ListenAddress& listen_address() const;
  const ListenAddress& admin_address() const;

 private:
  struct Parts;
  explicit Gateway(std::unique_ptr<Parts> parts);
  std::unique_ptr<Parts> parts_;
};

}  // namespace kvasir::gateway
