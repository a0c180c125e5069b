#include "gateway/json_text.hpp"

#include <algorithm>
#include <array>
#include <cmath>

namespace kvasir::gateway {
namespace {

constexpr std::array<bool, 256> make_must_escape() {
  std::array<bool, 256> table{};
  for (std::size_t c = 0; c < 0x20; ++c) table[c] = true;
  table['"'] = table['\\'] = table[0x7F] = true;
  return table;
}
constexpr auto kMustEscape = make_must_escape();

void append_escaped(std::string& out, char c) {
  switch (c) {
    case '"':
      out += "\\\"";
      return;
    case '\\':
      out += "\\\\";
      return;
    case '\n':
      out += "\\n";
      return;
    case '\r':
      out += "\\r";
      return;
    case '\t':
      out += "\\t";
      return;
    default:
      break;
  }
  constexpr std::string_view kDigits = "0123456789abcdef";
  const auto value = static_cast<unsigned char>(c);
  out += "\\u00";
  out += kDigits[value >> 4];
  out += kDigits[value & 15];
}

// One past the end of the string that begins at text[at] == '"'.
std::size_t skip_string(std::string_view text, std::size_t at) {
  // An odd number of backslashes before a quote makes it part of the string.
  for (auto quote = text.find('"', at + 1); quote != std::string_view::npos; quote = text.find('"', quote + 1)) {
    std::size_t first = quote;
    while (first > at + 1 && text[first - 1] == '\\') --first;
    if ((quote - first) % 2 == 0) return quote + 1;
  }
  return text.size();
}

// One past the end of the value that begins at text[at].
std::size_t skip_value(std::string_view text, std::size_t at) {
  int depth = 0;
  while (at < text.size()) {
    const char c = text[at];
    if (c == '"') {
      at = skip_string(text, at);
    } else if (c == '{' || c == '[') {
      ++depth;
      ++at;
    } else if (c == '}' || c == ']') {
      if (depth == 0) return at;  // the end of the object around a bare number or literal
      --depth;
      ++at;
    } else if (depth == 0 && (c == ',' || c == ' ' || c == '\n' || c == '\r' || c == '\t')) {
      return at;
    } else {
      ++at;
      continue;
    }
    if (depth == 0) return at;
  }
  return at;
}

std::size_t skip_to(std::string_view text, std::size_t at, std::string_view any) {
  return std::min(text.find_first_of(any, at), text.size());
}

}  // namespace

void append_json_string(std::string& out, std::string_view text) {
  out += '"';
  std::size_t clean = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (!kMustEscape[static_cast<unsigned char>(text[i])]) continue;
    out.append(text, clean, i - clean);
    append_escaped(out, text[i]);
    clean = i + 1;
  }
  out.append(text, clean);
  out += '"';
}

void append_number(std::string& out, double number) {
  if (!std::isfinite(number)) {
    out += "null";
    return;
  }
  char digits[32];
  out.append(digits, std::to_chars(digits, digits + sizeof digits, number).ptr);
}

std::vector<RawField> top_level_fields(std::string_view object) {
  std::vector<RawField> fields;
  std::size_t at = skip_to(object, skip_to(object, 0, "{") + 1, "\"}");
  while (at < object.size() && object[at] == '"') {
    const std::size_t key_end = skip_string(object, at);
    const std::string_view key = object.substr(at + 1, key_end - at - 2);
    const std::size_t colon = skip_to(object, key_end, ":");
    const std::size_t begin = std::min(object.find_first_not_of(" \n\r\t", colon + 1), object.size());
    const std::size_t end = skip_value(object, begin);
    fields.push_back({key, object.substr(begin, end - begin)});
    at = skip_to(object, end, "\"}");
  }
  return fields;
}

std::vector<std::string_view> array_items(std::string_view array) {
  std::vector<std::string_view> items;
  std::size_t at = skip_to(array, 0, "[") + 1;
  while (true) {
    at = std::min(array.find_first_not_of(" \n\r\t,", at), array.size());
    if (at == array.size() || array[at] == ']') return items;
    const std::size_t end = skip_value(array, at);
    items.push_back(array.substr(at, end - at));
    at = end;
  }
}

}  // namespace kvasir::gateway
