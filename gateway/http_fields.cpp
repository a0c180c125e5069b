#include "gateway/http_fields.hpp"

#include <algorithm>
#include <array>

#include <boost/beast/core/string.hpp>

namespace kvasir::gateway {
namespace {

constexpr std::array<bool, 256> kTokenCharacters = [] {
  std::array<bool, 256> table{};
  for (const char c :
       std::string_view("!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")) {
    table[static_cast<unsigned char>(c)] = true;
  }
  return table;
}();

bool is_token_character(char c) {
  return kTokenCharacters[static_cast<unsigned char>(c)];
}

bool is_space(char c) {
  return c == ' ' || c == '\t';
}

// VCHAR, obs-text, space and tab.
bool is_field_character(char c) {
  const auto byte = static_cast<unsigned char>(c);
  return (byte >= 0x20 && byte != 0x7F) || c == '\t';
}

bool same(std::string_view a, std::string_view b) {
  return a.size() == b.size() && boost::beast::iequals(a, b);
}

}  // namespace

std::size_t token_length(std::string_view text) {
  return static_cast<std::size_t>(std::find_if_not(text.begin(), text.end(), is_token_character) - text.begin());
}

bool is_token(std::string_view text) {
  return !text.empty() && token_length(text) == text.size();
}

std::string_view trim_spaces(std::string_view text) {
  while (!text.empty() && is_space(text.front())) text.remove_prefix(1);
  while (!text.empty() && is_space(text.back())) text.remove_suffix(1);
  return text;
}

bool list_has(std::string_view list, std::string_view item) {
  while (!list.empty()) {
    const auto comma = std::min(list.find(','), list.size());
    if (same(trim_spaces(list.substr(0, comma)), item)) return true;
    list.remove_prefix(std::min(comma + 1, list.size()));
  }
  return false;
}

std::optional<FieldLine> parse_field_line(std::string_view line) {
  const auto name_size = token_length(line);
  if (name_size == 0 || name_size == line.size() || line[name_size] != ':') return std::nullopt;
  const std::string_view value = trim_spaces(line.substr(name_size + 1));
  if (!std::all_of(value.begin(), value.end(), is_field_character)) return std::nullopt;
  return FieldLine{line.substr(0, name_size), value};
}

void HttpFields::add(const FieldLine& line) {
  if (lines_.empty()) {
    text_.reserve(512);
    lines_.reserve(16);
  }
  lines_.push_back({static_cast<std::uint32_t>(text_.size()), static_cast<std::uint32_t>(line.name.size()),
                    static_cast<std::uint32_t>(line.value.size())});
  text_.append(line.name).append(line.value);
}

std::size_t HttpFields::count(std::string_view wanted) const {
  return static_cast<std::size_t>(
      std::count_if(lines_.begin(), lines_.end(), [&](const Line& line) { return same(name(line), wanted); }));
}

std::string_view HttpFields::first(std::string_view wanted) const {
  for (const Line& line : lines_) {
    if (same(name(line), wanted)) return value(line);
  }
  return {};
}

std::string HttpFields::joined(std::string_view wanted) const {
  std::string values;
  for (const Line& line : lines_) {
    if (!same(name(line), wanted)) continue;
    if (!values.empty()) values += ", ";
    values += value(line);
  }
  return values;
}

}  // namespace kvasir::gateway
