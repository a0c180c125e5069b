// Reads the fields of a request object, each by a function of its own; the first that does not fit is the error. What
// the readers of all endpoints share.
#pragma once

#include "gateway/api_error.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <simdjson.h>

namespace kvasir::gateway {

using Json = simdjson::dom::element;

// Functions that read return false after they have set the error; its `param` is the name they were given.
class FieldReader {
 protected:
  FieldReader() = default;
  ~FieldReader() = default;

  bool fail(std::string message, std::string_view param, std::string code = "");
  // "Invalid type for 'NAME': expected EXPECTED, but got a string instead."
  bool missing(std::string_view name);
  bool fail_type(std::string_view name, std::string_view expected, Json value);
  // "Invalid value for 'NAME': must be RANGE."
  bool fail_range(std::string_view name, const std::string& range);

  bool text(std::string_view name, Json value, std::string& target);
  bool boolean(std::string_view name, Json value, bool& target);
  bool number(std::string_view name, Json value, double low, double high, double& target);
  bool integer(std::string_view name, Json value, std::int64_t low, std::int64_t high, std::int64_t& target);
  // Appends the token ids of the list at `place`.
  bool token_ids(const std::string& place, simdjson::dom::array list, std::vector<std::int32_t>& target);
  // OpenAI's metadata: at most 16 pairs of text, keys of at most 64 characters, values of at most 512.
  bool pairs(std::string_view name, Json value);

  std::optional<ApiError> error_;
};

// What may be embedded or continued.
inline constexpr std::string_view kTextsOrTokens =
    "a string, an array of strings, an array of tokens or an array of arrays of tokens";

// Of UTF-8.
std::size_t characters(std::string_view text);
// "LIST[3]"
std::string element_name(std::string_view list, std::size_t index);
// JSON text with sorted keys and no spaces.
std::string canonical_json(Json value);

}  // namespace kvasir::gateway
