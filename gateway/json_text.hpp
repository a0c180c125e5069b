// JSON text by appending: what responses are made of on the hot path, and the raw top-level fields of a request.
#pragma once

#include <charconv>
#include <concepts>
#include <string>
#include <string_view>
#include <vector>

namespace kvasir::gateway {

// `text` as a JSON string with its quotes (RFC 8259, section 7). UTF-8 passes unchanged.
void append_json_string(std::string& out, std::string_view text);
// The same, but null for an empty one.
inline void append_string_or_null(std::string& out, std::string_view text) {
  text.empty() ? void(out += "null") : append_json_string(out, text);
}

template <std::integral Number>
void append_number(std::string& out, Number number) {
  char digits[24];
  const auto end = std::to_chars(digits, digits + sizeof digits, number).ptr;
  out.append(digits, end);
}

// Shortest text that reads back to the same value; an infinite or undefined value becomes null.
void append_number(std::string& out, double number);

struct RawField {
  std::string_view key;    // between the quotes, escapes not resolved
  std::string_view value;  // raw JSON
};

// The fields of an object. `object` must be valid JSON (checked by a parser before); no checks here.
std::vector<RawField> top_level_fields(std::string_view object);
// The items of an array, raw. As above, `array` must be valid JSON.
std::vector<std::string_view> array_items(std::string_view array);

}  // namespace kvasir::gateway
