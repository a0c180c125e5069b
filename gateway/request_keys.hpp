// Keys that two readers of the same JSON could understand differently: the gateway would key one request and the
// upstream answer another.
#pragma once

#include "gateway/api_error.hpp"

#include <optional>
#include <string_view>

#include <simdjson.h>

namespace kvasir::gateway {

// An error if a key stands twice in any object of `root`, or is written with a backslash in one of the objects that the
// gateway reads: the request, messages, their parts, documents. `body`: the JSON text of `root`.
std::optional<ApiError> check_keys(simdjson::dom::object root, std::string_view body);

}  // namespace kvasir::gateway
