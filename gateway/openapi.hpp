// The description of the public API (gateway/openapi.json, OpenAPI 3.1), as it was when the program was built.
#pragma once

#include <string_view>

namespace kvasir::gateway {

inline constexpr std::string_view kOpenApiPath = "/openapi.json";

std::string_view openapi_json();

}  // namespace kvasir::gateway
