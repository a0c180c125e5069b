// One mapping of the YAML file, read key by key; whatever is left over is an unknown key.
#pragma once

#include "gateway/config.hpp"

#include <chrono>
#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include <yaml-cpp/yaml.h>

namespace kvasir::gateway {

// What all sections of a file share.
struct ConfigSource {
  std::string file;
  const Environment* environment = nullptr;
  std::vector<ConfigError>* errors = nullptr;

  void error(const YAML::Mark& mark, std::string message) const;
};

// A scalar after expansion, with the place to blame.
struct ConfigScalar {
  std::string text;
  YAML::Mark mark;
  std::string variable;  // set if the value came from an environment variable

  std::string where() const { return variable.empty() ? "" : " (from " + variable + ")"; }
};

class ConfigSection {
 public:
  // `path` is the section's dotted name, empty at the top. In a list no environment variable overrides a key.
  ConfigSection(const ConfigSource& source, const YAML::Node& node, std::string path, bool in_list = false);

  bool present() const { return node_.IsMap(); }
  bool has(const std::string& key) const { return node_.IsMap() && node_[key].IsDefined(); }
  YAML::Mark mark() const { return node_.Mark(); }
  YAML::Mark mark(const std::string& key) const;
  void error(const YAML::Mark& mark, std::string message) const { source_->error(mark, std::move(message)); }

  // Each leaves `target` alone if the key is absent, and reports a value that does not fit.
  void read(const std::string& key, std::string& target);
  // A list of single values; in an environment variable they stand between commas.
  void read(const std::string& key, std::vector<std::string>& target);
  void read(const std::string& key, bool& target);
  void read(const std::string& key, std::chrono::milliseconds& target);
  void read(const std::string& key, std::chrono::seconds& target);
  void read_or_none(const std::string& key, std::chrono::milliseconds& target);  // 0 is allowed
  void read(const std::string& key, ListenAddress& target);
  void read(const std::string& key, int& target, int low, int high);
  void read(const std::string& key, float& target, float low, float high);
  void read(const std::string& key, double& target, double low, double high);
  void read_bytes(const std::string& key, std::uint64_t& target, std::uint64_t low, std::uint64_t high);
  // One of the words; empty if absent or wrong. A known word that this version does not serve gets its own message.
  std::string read_word(const std::string& key, const std::vector<std::string_view>& allowed,
                        const std::vector<std::string_view>& not_yet);

  ConfigSection section(const std::string& key);
  std::vector<ConfigSection> list(const std::string& key);
  void not_available(const std::string& key);
  // Refuses a key that has a meaning under `condition` only.
  void only_if(const std::string& key, const std::string& condition);
  // Reports keys that nobody read.
  void finish() const;

 private:
  std::optional<ConfigScalar> scalar(const std::string& key);
  std::optional<ConfigScalar> expanded(const YAML::Node& node, const std::string& label) const;
  std::string name(const std::string& key) const { return path_.empty() ? key : path_ + "." + key; }
  void bad_value(const ConfigScalar& value, const std::string& key, std::string_view expected) const;

  const ConfigSource* source_;
  YAML::Node node_;
  std::string path_;
  bool in_list_;
  std::set<std::string, std::less<>> known_;
};

}  // namespace kvasir::gateway
