// Request bodies that came compressed (RFC 9110, section 8.4).
#pragma once

#include "gateway/api_error.hpp"

#include <cstdint>
#include <string>
#include <string_view>

namespace kvasir::gateway {

enum class ContentCoding { identity, gzip };

// `field`: the value of Content-Encoding. Errors: 415.
Result<ContentCoding> parse_content_coding(std::string_view field);

// What `packed` (RFC 1952, one member or several) holds. Stops as soon as it is more than `max_bytes`. Errors: 400 if
// it is damaged or cut off, 413.
Result<std::string> gunzip(std::string_view packed, std::uint64_t max_bytes);

}  // namespace kvasir::gateway
