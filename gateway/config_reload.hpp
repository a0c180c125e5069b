// A changed configuration, taken while requests run: read, check, open what is new, swap. A bad one changes nothing.
#pragma once

#include "gateway/config.hpp"
#include "gateway/metrics.hpp"
#include "gateway/request_log.hpp"
#include "gateway/snapshot.hpp"

#include <array>
#include <cstdint>
#include <string>
#include <vector>

namespace kvasir::gateway {

struct LiveChange {
  Settings settings;                 // `wanted`, as far as it can change while requests run
  std::vector<std::string> waiting;  // keys that keep what they were until a restart
};
LiveChange live_part(const Settings& running, Settings wanted);

// One thread.
class ConfigReload {
 public:
  // `path` empty: there is no file. The rest must outlive this; `ledger` may be null.
  ConfigReload(std::string path, LiveSnapshot& live, UpstreamHooks hooks, SpendLedger* ledger, Metrics& metrics,
               RequestLog& log);

  // Takes the file as it is now. False: nothing has changed, and the log and the metrics say why.
  bool reload();
  // Whether the file has changed since it was last taken. A file that is still being written is not: it must have
  // rested since the last look.
  bool changed();

 private:
  // Device, inode, size and modification time in nanoseconds; zeros: no such file.
  using Stamp = std::array<std::uint64_t, 4>;
  Stamp stamp() const;
  bool refuse(const std::vector<std::string>& errors);

  std::string path_;
  LiveSnapshot* live_;
  UpstreamHooks hooks_;
  SpendLedger* ledger_;
  Metrics* metrics_;
  RequestLog* log_;
  Stamp taken_;
  Stamp seen_;
};

}  // namespace kvasir::gateway
