// `format` of JSON Schema, as patterns.
#pragma once

#include <string_view>

namespace kvasir::engine {

// An expression for parse_pattern() whose texts all have this format; empty if the format is unknown.
// date, time, date-time, duration: RFC 3339 (appendix A for durations); days exist in their month and year.
// email: the addresses of RFC 5321 without quoted parts; hostname: RFC 1123; ipv4: RFC 2673; ipv6: RFC 4291;
// uuid: RFC 9562; uri: RFC 3986 with a scheme and an authority.
std::string_view pattern_of_format(std::string_view format);

}  // namespace kvasir::engine
