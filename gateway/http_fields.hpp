// Header and trailer fields of HTTP/1.1 (RFC 9110, section 5; RFC 9112, section 5), read strictly: what two servers
// could read in two ways is refused.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace kvasir::gateway {

// One or more of the characters of RFC 9110, section 5.6.2.
bool is_token(std::string_view text);
// The length of the token that `text` begins with.
std::size_t token_length(std::string_view text);
// Without the spaces and tabs around it.
std::string_view trim_spaces(std::string_view text);
// True if one item of a comma separated list is `item`, in any case.
bool list_has(std::string_view list, std::string_view item);

struct FieldLine {
  std::string_view name;
  std::string_view value;
};
// A line without its CR LF. Nothing if it is folded, has space before its colon, or a control character in its value.
std::optional<FieldLine> parse_field_line(std::string_view line);

// The fields of one message, in their order. Names are compared in any case.
class HttpFields {
 public:
  void add(const FieldLine& line);

  std::size_t size() const { return lines_.size(); }
  std::size_t count(std::string_view wanted) const;
  // Of the first line with this name; empty if there is none. Valid while this object stays where it is.
  std::string_view first(std::string_view wanted) const;
  // The values of all lines with this name, joined with commas.
  std::string joined(std::string_view wanted) const;

 private:
  // Offsets, so that an object that has moved stays right.
  struct Line {
    std::uint32_t begin;
    std::uint32_t name_size;
    std::uint32_t value_size;
  };
  std::string_view name(const Line& line) const { return std::string_view(text_).substr(line.begin, line.name_size); }
  std::string_view value(const Line& line) const {
    return std::string_view(text_).substr(line.begin + line.name_size, line.value_size);
  }

  std::string text_;
  std::vector<Line> lines_;
};

}  // namespace kvasir::gateway
