// YAML, environment and defaults to Settings (interface.md, "YAML").
//
// Precedence: environment (KVASIR_SERVER_LISTEN for server.listen, and so on for every key outside a list) > file >
// default. ${NAME} and ${NAME:-default} inside a value are read from the environment. All errors are reported, not
// only the first.
#pragma once

#include "gateway/settings.hpp"

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace kvasir::gateway {

struct ConfigError {
  std::string file;
  int line = 0;  // from 1; 0: the error has no place in the file
  int column = 0;
  std::string message;

  std::string text() const;  // "FILE:LINE:COL: message"
};

struct Config {
  Settings settings;
  std::vector<ConfigError> errors;  // not empty: settings must not be used
};

using Environment = std::function<std::optional<std::string>(const std::string& name)>;

Environment process_environment();

// Whoever listens beyond loopback needs a key: one sentence about who does not, or empty.
std::string open_to_all(const Settings& settings);

// `file` names the text in errors.
Config parse_config(std::string_view text, const std::string& file, const Environment& environment);
Config load_config(const std::string& path, const Environment& environment);
// Without a file: what is found in the folder of models.
Config default_config(const Environment& environment);
// ${KVASIR_MODELS:-${XDG_CACHE_HOME:-$HOME/.cache}/kvasir/models}
std::string model_folder(const Environment& environment);

// The effective configuration as YAML, secrets masked. Reads back to the same settings, secrets aside.
std::string print_config(const Settings& settings);

}  // namespace kvasir::gateway
