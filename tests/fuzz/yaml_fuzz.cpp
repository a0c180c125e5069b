// A configuration is read, or every error has a message; what is in effect prints as YAML that is read again.
#include "gateway/config.hpp"
#include "tests/fuzz/fuzz.hpp"

namespace kvasir::gateway {
namespace {

void use(std::string_view data) {
  const Environment none = [](const std::string&) { return std::nullopt; };
  const Config config = parse_config(data, "fuzz.yaml", none);
  for (const ConfigError& error : config.errors) must(!error.message.empty());
  if (!config.errors.empty() || !config.settings.keys.empty()) return;  // a key's digest is masked
  must(parse_config(print_config(config.settings), "printed.yaml", none).errors.empty());
}

}  // namespace
}  // namespace kvasir::gateway

KVASIR_FUZZ(kvasir::gateway::use)
