#include "gateway/request_keys.hpp"

#include "gateway/json_text.hpp"

#include <algorithm>
#include <array>
#include <string>
#include <vector>

namespace kvasir::gateway {
namespace {

using simdjson::SUCCESS;
using simdjson::dom::element;

constexpr std::size_t kFewKeys = 16;  // up to here comparing all pairs beats sorting

std::optional<std::string_view> twice(simdjson::dom::object object) {
  std::array<std::string_view, kFewKeys> few;
  std::size_t count = 0;
  for (const auto field : object) {
    if (count == kFewKeys) break;
    const auto end = few.begin() + static_cast<std::ptrdiff_t>(count);
    if (std::find(few.begin(), end, field.key) != end) return field.key;
    few[count++] = field.key;
  }
  if (count < kFewKeys) return std::nullopt;
  std::vector<std::string_view> keys;
  for (const auto field : object) keys.push_back(field.key);
  std::sort(keys.begin(), keys.end());
  const auto found = std::adjacent_find(keys.begin(), keys.end());
  return found == keys.end() ? std::nullopt : std::optional(*found);
}

// As deep as the parser lets JSON be.
std::optional<std::string_view> twice_within(element value) {
  simdjson::dom::array list;
  if (value.get(list) == SUCCESS) {
    for (const element item : list) {
      if (auto key = twice_within(item)) return key;
    }
    return std::nullopt;
  }
  simdjson::dom::object object;
  if (value.get(object) != SUCCESS) return std::nullopt;
  if (auto key = twice(object)) return key;
  for (const auto field : object) {
    if (auto key = twice_within(field.value)) return key;
  }
  return std::nullopt;
}

// True if an object of the list `array` has a key with a backslash; `nested` names a list in those objects to look at.
bool escapes_in(std::string_view array, std::string_view nested) {
  for (const std::string_view item : array_items(array)) {
    if (!item.starts_with('{')) continue;
    for (const RawField& field : top_level_fields(item)) {
      if (field.key.find('\\') != std::string_view::npos) return true;
      if (!nested.empty() && field.key == nested && field.value.starts_with('[') && escapes_in(field.value, "")) {
        return true;
      }
    }
  }
  return false;
}

ApiError escaped(std::string_view param) {
  return ApiError::invalid("Keys must be written without backslashes.", std::string(param));
}

}  // namespace

std::optional<ApiError> check_keys(simdjson::dom::object root, std::string_view body) {
  if (const auto key = twice(root)) {
    return ApiError::invalid("The parameter '" + std::string(*key) + "' is given twice.", std::string(*key));
  }
  for (const auto field : root) {
    if (const auto key = twice_within(field.value)) {
      return ApiError::invalid("The key '" + std::string(*key) + "' is given twice in one object.",
                               std::string(field.key));
    }
  }
  if (body.find('\\') == std::string_view::npos) return std::nullopt;
  for (const RawField& field : top_level_fields(body)) {
    if (field.key.find('\\') != std::string_view::npos) return escaped("");
    const bool list = field.value.starts_with('[');
    if (list && field.key == "messages" && escapes_in(field.value, "content")) return escaped(field.key);
    if (list && field.key == "documents" && escapes_in(field.value, "")) return escaped(field.key);
  }
  return std::nullopt;
}

}  // namespace kvasir::gateway
