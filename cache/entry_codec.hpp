// An entry as bytes and back: fields in a fixed order, little-endian, strings with their length in front.
#pragma once

#include "cache/response_cache.hpp"

#include <optional>
#include <string>
#include <string_view>

namespace kvasir::cache {

std::string encode(const Entry& entry);
// Nothing if the bytes are not exactly one entry of a version that this program knows.
std::optional<Entry> decode(std::string_view bytes);

}  // namespace kvasir::cache
