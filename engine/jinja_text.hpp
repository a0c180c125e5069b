// Python's string operations, by code points.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace kvasir::engine::jinja {

inline constexpr std::string_view kPythonSpace = " \t\n\r\v\f";

std::int64_t code_point_count(std::string_view text);
std::vector<std::string_view> code_points(std::string_view text);
// How many bytes the first so many characters take; there are at least so many.
std::size_t leading_bytes(std::string_view text, std::size_t characters);

// Where `part` stands first at or after `from`, else npos, in linear time. (std::string_view::find is quadratic at
// worst.)
std::size_t find_part(std::string_view text, std::string_view part, std::size_t from);
// How often `part`, which is not empty, stands in the text without overlaps.
std::int64_t count_parts(std::string_view text, std::string_view part);

enum class Side { left, right, both };
// `characters`: a set of bytes.
std::string_view strip(std::string_view text, std::string_view characters, Side side);

std::string to_upper(std::string_view text);
std::string to_lower(std::string_view text);
std::string to_title(std::string_view text);        // str.title: every run of letters
std::string to_title_words(std::string_view text);  // Jinja's filter: words begin after white space or -({[<
std::string to_capitalized(std::string_view text);  // the first letter, the rest lower

// At most `limit` replacements; < 0: all.
std::string replace(std::string_view text, std::string_view from, std::string_view to, std::int64_t limit);
// Calls `take` with each part. At most `limit` cuts; < 0: all. An empty separator cuts at runs of white space.
void split(std::string_view text, std::string_view separator, std::int64_t limit,
           const std::function<void(std::string_view)>& take);

}  // namespace kvasir::engine::jinja
