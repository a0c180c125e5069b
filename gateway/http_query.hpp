// The query behind a path: NAME=VALUE pairs, joined with '&' and percent-encoded (WHATWG URL, section 5.1).
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace kvasir::gateway {

// The first value of that name, decoded.
std::optional<std::string> query_value(std::string_view query, std::string_view name);
// The same as a number; `otherwise` if it is absent, nullopt if it is none.
std::optional<std::size_t> query_number(std::string_view query, std::string_view name, std::size_t otherwise);

}  // namespace kvasir::gateway
