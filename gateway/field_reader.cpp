#include "gateway/field_reader.hpp"

#include "gateway/json_text.hpp"

#include <algorithm>

#include <nlohmann/json.hpp>

namespace kvasir::gateway {
namespace {

using simdjson::dom::element_type;

std::string_view kind(Json value) {
  switch (value.type()) {
    case element_type::ARRAY:
      return "an array";
    case element_type::OBJECT:
      return "an object";
    case element_type::INT64:
    case element_type::UINT64:
      return "an integer";
    case element_type::DOUBLE:
      return "a number";
    case element_type::STRING:
      return "a string";
    case element_type::BOOL:
      return "a boolean";
    case element_type::NULL_VALUE:
      return "null";
  }
  return "a value";
}

std::string short_number(double number) {
  std::string text;
  append_number(text, number);
  return text;
}

}  // namespace

bool FieldReader::fail(std::string message, std::string_view param, std::string code) {
  error_ = ApiError::invalid(std::move(message), std::string(param), std::move(code));
  return false;
}

bool FieldReader::fail_type(std::string_view name, std::string_view expected, Json value) {
  std::string message = "Invalid type for '";
  message.append(name).append("': expected ").append(expected);
  message.append(", but got ").append(kind(value)).append(" instead.");
  return fail(std::move(message), name);
}

bool FieldReader::missing(std::string_view name) {
  return fail("Missing required parameter: '" + std::string(name) + "'.", name);
}

bool FieldReader::fail_range(std::string_view name, const std::string& range) {
  return fail("Invalid value for '" + std::string(name) + "': must be " + range + ".", name);
}

bool FieldReader::text(std::string_view name, Json value, std::string& target) {
  std::string_view view;
  if (value.get(view) != simdjson::SUCCESS) return fail_type(name, "a string", value);
  target = view;
  return true;
}

bool FieldReader::boolean(std::string_view name, Json value, bool& target) {
  return value.get(target) == simdjson::SUCCESS || fail_type(name, "a boolean", value);
}

bool FieldReader::number(std::string_view name, Json value, double low, double high, double& target) {
  if (value.get(target) != simdjson::SUCCESS) return fail_type(name, "a number", value);
  if (target >= low && target <= high) return true;
  return fail_range(name, "from " + short_number(low) + " to " + short_number(high));
}

bool FieldReader::integer(std::string_view name, Json value, std::int64_t low, std::int64_t high,
                          std::int64_t& target) {
  if (value.get(target) != simdjson::SUCCESS) return fail_type(name, "an integer", value);
  if (target >= low && target <= high) return true;
  return fail_range(name, "from " + std::to_string(low) + " to " + std::to_string(high));
}

bool FieldReader::token_ids(const std::string& place, simdjson::dom::array list, std::vector<std::int32_t>& target) {
  for (const Json item : list) {
    std::int64_t token = 0;
    if (!integer(element_name(place, target.size()), item, 0, INT32_MAX, token)) return false;
    target.push_back(static_cast<std::int32_t>(token));
  }
  return true;
}

bool FieldReader::pairs(std::string_view name, Json value) {
  constexpr std::size_t kMaxPairs = 16;
  constexpr std::size_t kMaxKey = 64;
  constexpr std::size_t kMaxValue = 512;
  simdjson::dom::object pairs;
  if (value.get(pairs) != simdjson::SUCCESS) return fail_type(name, "an object", value);
  if (pairs.size() > kMaxPairs) return fail_range(name, "an object of at most 16 pairs");
  for (const auto pair : pairs) {
    const std::string place = std::string(name) + "." + std::string(pair.key);
    std::string text;
    if (!this->text(place, pair.value, text)) return false;
    if (characters(pair.key) > kMaxKey) return fail_range(name, "keyed by at most 64 characters");
    if (characters(text) > kMaxValue) return fail_range(place, "at most 512 characters");
  }
  return true;
}

std::size_t characters(std::string_view text) {
  return static_cast<std::size_t>(
      std::count_if(text.begin(), text.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; }));
}

std::string element_name(std::string_view list, std::size_t index) {
  return std::string(list) + "[" + std::to_string(index) + "]";
}

std::string canonical_json(Json value) {
  return nlohmann::json::parse(simdjson::minify(value)).dump();
}

}  // namespace kvasir::gateway
