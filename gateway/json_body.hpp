// The body of a request as a JSON object: bounded in depth, UTF-8, and without keys that two readers could understand
// differently.
#pragma once

#include "gateway/api_error.hpp"

#include <functional>
#include <optional>
#include <string>

#include <simdjson.h>

namespace kvasir::gateway {

// Hands the object to `read`, which must not keep it, and returns its error or the parser's: 400 without `param` if the
// JSON is broken, not UTF-8, nested deeper than 64 or no object. Any thread; may move the body's bytes.
std::optional<ApiError> read_json_object(std::string& body,
                                         const std::function<std::optional<ApiError>(simdjson::dom::object)>& read);

}  // namespace kvasir::gateway
