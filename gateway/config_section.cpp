#include "gateway/config_section.hpp"

#include "gateway/config_values.hpp"

#include <algorithm>
#include <cctype>
#include <charconv>

namespace kvasir::gateway {
namespace {

template <typename Number>
std::optional<Number> parse_number(std::string_view text) {
  Number number{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return number;
}

std::string variable_name(std::string path) {
  for (char& c : path) c = c == '.' ? '_' : static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  return "KVASIR_" + path;
}

std::string shortened(double number) {
  std::string text = std::to_string(number);
  text.erase(text.find_last_not_of('0') + 1);
  if (text.ends_with('.')) text.pop_back();
  return text;
}

}  // namespace

void ConfigSource::error(const YAML::Mark& mark, std::string message) const {
  const bool placed = !mark.is_null();
  errors->push_back({file, placed ? mark.line + 1 : 0, placed ? mark.column + 1 : 0, std::move(message)});
}

ConfigSection::ConfigSection(const ConfigSource& source, const YAML::Node& node, std::string path, bool in_list)
    : source_(&source), node_(node), path_(std::move(path)), in_list_(in_list) {
  if (node_.IsDefined() && !node_.IsNull() && !node_.IsMap()) {
    error(node_.Mark(), (path_.empty() ? "the file" : path_) + " must be a mapping of keys to values");
  }
  if (!node_.IsMap()) return;
  std::set<std::string> keys;
  for (const auto& pair : node_) {
    if (!keys.insert(pair.first.Scalar()).second) {
      error(pair.first.Mark(), "key '" + name(pair.first.Scalar()) + "' is given twice");
    }
  }
}

YAML::Mark ConfigSection::mark(const std::string& key) const {
  return has(key) ? node_[key].Mark() : node_.IsDefined() ? node_.Mark() : YAML::Mark::null_mark();
}

std::optional<ConfigScalar> ConfigSection::scalar(const std::string& key) {
  known_.insert(key);
  const bool given = has(key);
  const YAML::Mark place = given ? node_[key].Mark() : YAML::Mark::null_mark();
  if (!in_list_) {
    const std::string variable = variable_name(name(key));
    if (auto value = (*source_->environment)(variable)) return ConfigScalar{std::move(*value), place, variable};
  }
  if (!given || node_[key].IsNull()) return std::nullopt;
  return expanded(node_[key], name(key));
}

std::optional<ConfigScalar> ConfigSection::expanded(const YAML::Node& node, const std::string& label) const {
  if (!node.IsScalar()) {
    error(node.Mark(), label + " must be a single value");
    return std::nullopt;
  }
  std::string problem;
  auto text = expand_variables(node.Scalar(), *source_->environment, problem);
  if (!text) {
    error(node.Mark(), label + ": " + problem);
    return std::nullopt;
  }
  return ConfigScalar{std::move(*text), node.Mark(), ""};
}

void ConfigSection::bad_value(const ConfigScalar& value, const std::string& key, std::string_view expected) const {
  error(value.mark, name(key) + " is '" + value.text + "'" + value.where() + "; expected " + std::string(expected));
}

void ConfigSection::read(const std::string& key, std::string& target) {
  if (auto value = scalar(key)) target = std::move(value->text);
}

void ConfigSection::read(const std::string& key, std::vector<std::string>& target) {
  const bool listed = has(key) && node_[key].IsSequence();
  const bool overridden = !in_list_ && (*source_->environment)(variable_name(name(key))).has_value();
  if (!listed || overridden) {
    const auto value = scalar(key);
    if (!value) return;
    target.clear();
    std::istringstream items(value->text);
    for (std::string item; std::getline(items, item, ',');) target.push_back(item);
    return;
  }
  known_.insert(key);
  target.clear();
  for (const auto& item : node_[key]) {
    if (auto value = expanded(item, name(key))) target.push_back(std::move(value->text));
  }
}

void ConfigSection::read(const std::string& key, bool& target) {
  const auto value = scalar(key);
  if (!value) return;
  if (value->text == "true") {
    target = true;
  } else if (value->text == "false") {
    target = false;
  } else {
    bad_value(*value, key, "true or false");
  }
}

void ConfigSection::read(const std::string& key, std::chrono::milliseconds& target) {
  const auto value = scalar(key);
  if (!value) return;
  const auto duration = parse_duration(value->text);
  if (duration && duration->count() > 0) {
    target = *duration;
  } else {
    bad_value(*value, key, "a duration above zero such as 250ms, 60s, 5m or 24h");
  }
}

void ConfigSection::read_or_none(const std::string& key, std::chrono::milliseconds& target) {
  const auto value = scalar(key);
  if (!value) return;
  if (const auto duration = parse_duration(value->text)) {
    target = *duration;
  } else {
    bad_value(*value, key, "a duration such as 0, 250ms, 60s or 5m");
  }
}

void ConfigSection::read(const std::string& key, std::chrono::seconds& target) {
  std::chrono::milliseconds duration{target};
  read(key, duration);
  target = std::chrono::ceil<std::chrono::seconds>(duration);
}

void ConfigSection::read(const std::string& key, ListenAddress& target) {
  const auto value = scalar(key);
  if (!value) return;
  if (auto address = ListenAddress::parse(value->text)) {
    target = std::move(*address);
  } else {
    bad_value(*value, key, "an address and a port such as 127.0.0.1:8080");
  }
}

void ConfigSection::read(const std::string& key, int& target, int low, int high) {
  const auto value = scalar(key);
  if (!value) return;
  const auto number = parse_number<int>(value->text);
  if (number && *number >= low && *number <= high) {
    target = *number;
  } else {
    bad_value(*value, key, "a whole number from " + std::to_string(low) + " to " + std::to_string(high));
  }
}

void ConfigSection::read(const std::string& key, float& target, float low, float high) {
  const auto value = scalar(key);
  if (!value) return;
  const auto number = parse_number<float>(value->text);
  if (number && *number >= low && *number <= high) {
    target = *number;
  } else {
    bad_value(*value, key, "a number from " + shortened(low) + " to " + shortened(high));
  }
}

void ConfigSection::read(const std::string& key, double& target, double low, double high) {
  const auto value = scalar(key);
  if (!value) return;
  const auto number = parse_number<double>(value->text);
  if (number && *number >= low && *number <= high) {
    target = *number;
  } else {
    bad_value(*value, key, "a number from " + shortened(low) + " to " + shortened(high));
  }
}

void ConfigSection::read_bytes(const std::string& key, std::uint64_t& target, std::uint64_t low, std::uint64_t high) {
  const auto value = scalar(key);
  if (!value) return;
  const auto bytes = parse_bytes(value->text);
  if (bytes && *bytes >= low && *bytes <= high) {
    target = *bytes;
  } else {
    bad_value(*value, key, "a size from " + print_bytes(low) + " to " + print_bytes(high) + " such as 64MiB");
  }
}

std::string ConfigSection::read_word(const std::string& key, const std::vector<std::string_view>& allowed,
                                     const std::vector<std::string_view>& not_yet) {
  const auto value = scalar(key);
  if (!value) return "";
  if (std::find(allowed.begin(), allowed.end(), value->text) != allowed.end()) return value->text;
  std::string words;
  for (const auto word : allowed) words += (words.empty() ? "" : " or ") + std::string(word);
  if (std::find(not_yet.begin(), not_yet.end(), value->text) != not_yet.end()) {
    error(value->mark, name(key) + ": '" + value->text + "' is not available in this version; use " + words);
  } else {
    bad_value(*value, key, words);
  }
  return "";
}

ConfigSection ConfigSection::section(const std::string& key) {
  known_.insert(key);
  return {*source_, has(key) ? node_[key] : YAML::Node(YAML::NodeType::Undefined), name(key), in_list_};
}

std::vector<ConfigSection> ConfigSection::list(const std::string& key) {
  known_.insert(key);
  std::vector<ConfigSection> items;
  if (!has(key) || node_[key].IsNull()) return items;
  if (!node_[key].IsSequence()) {
    error(node_[key].Mark(), name(key) + " must be a list");
    return items;
  }
  for (const auto& item : node_[key]) {
    items.emplace_back(*source_, item, name(key) + "[" + std::to_string(items.size()) + "]", true);
    if (item.IsNull()) error(item.Mark(), items.back().path_ + " must be a mapping of keys to values");
  }
  return items;
}

void ConfigSection::not_available(const std::string& key) {
  known_.insert(key);
  if (has(key)) error(node_[key].Mark(), name(key) + " is not available in this version");
}

void ConfigSection::only_if(const std::string& key, const std::string& condition) {
  known_.insert(key);
  if (has(key)) error(node_[key].Mark(), name(key) + " has a meaning only if " + condition);
}

void ConfigSection::finish() const {
  if (!node_.IsMap()) return;
  for (const auto& pair : node_) {
    const std::string key = pair.first.Scalar();
    if (known_.contains(key)) continue;
    std::string known;
    for (const auto& other : known_) known += (known.empty() ? "" : ", ") + other;
    error(pair.first.Mark(), "unknown key '" + name(key) + "'; known here: " + known);
  }
}

}  // namespace kvasir::gateway
