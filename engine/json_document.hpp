// JSON that a caller sent: schemas and the arguments of tools. Objects keep their order.
#pragma once

#include "engine/error.hpp"

#include <string_view>

#include <nlohmann/json.hpp>

namespace kvasir::engine {

using Json = nlohmann::ordered_json;

// Error: bad_request; not JSON, nested more than 64 deep, or with an object of more than 5,000 members, or
// thousands of that size.
Result<Json> parse_json(std::string_view text);

}  // namespace kvasir::engine
