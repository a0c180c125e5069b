#include "engine/jinja_text.hpp"

#include "engine/tokenizer_utf8.hpp"

#include <algorithm>

#include <unicode/locid.h>
#include <unicode/uchar.h>
#include <unicode/unistr.h>

namespace kvasir::engine::jinja {
namespace {

std::string to_utf8(const icu::UnicodeString& text) {
  std::string utf8;
  text.toUTF8String(utf8);
  return utf8;
}

icu::UnicodeString from_utf8(std::string_view text) {
  return icu::UnicodeString::fromUTF8({text.data(), static_cast<std::int32_t>(text.size())});
}

// The first character, and every one behind a character that ends a word, in title case; the others in lower case.
template <typename EndsWord>
std::string to_title(std::string_view text, EndsWord ends_word) {
  const icu::UnicodeString source = from_utf8(text);
  icu::UnicodeString title;
  bool in_word = false;
  for (std::int32_t i = 0; i < source.length(); i = source.moveIndex32(i, 1)) {
    const UChar32 c = source.char32At(i);
    title.append(in_word ? u_tolower(c) : u_totitle(c));
    in_word = !ends_word(c);
  }
  return to_utf8(title);
}

}  // namespace

std::vector<std::string_view> code_points(std::string_view text) {
  std::vector<std::string_view> points;
  while (!text.empty()) {
    const std::size_t bytes = decode_utf8(text).bytes;
    points.push_back(text.substr(0, bytes));
    text.remove_prefix(bytes);
  }
  return points;
}

std::int64_t code_point_count(std::string_view text) {
  std::int64_t count = 0;
  for (; !text.empty(); ++count) text.remove_prefix(decode_utf8(text).bytes);
  return count;
}

std::string_view strip(std::string_view text, std::string_view characters, Side side) {
  if (side != Side::right) text.remove_prefix(std::min(text.find_first_not_of(characters), text.size()));
  if (side != Side::left) text = text.substr(0, text.find_last_not_of(characters) + 1);
  return text;
}

std::string to_upper(std::string_view text) {
  return to_utf8(from_utf8(text).toUpper(icu::Locale::getRoot()));
}
std::string to_lower(std::string_view text) {
  return to_utf8(from_utf8(text).toLower(icu::Locale::getRoot()));
}

std::string to_title(std::string_view text) {
  return to_title(text, [](UChar32 c) { return u_isalpha(c) == 0; });
}

std::string to_title_words(std::string_view text) {
  return to_title(text, [](UChar32 c) {
    return u_isUWhiteSpace(c) != 0 || c == '-' || c == '(' || c == '{' || c == '[' || c == '<';
  });
}

std::string to_capitalized(std::string_view text) {
  if (text.empty()) return {};
  const std::size_t first = decode_utf8(text).bytes;
  return to_upper(text.substr(0, first)) + to_lower(text.substr(first));
}

std::string replace(std::string_view text, std::string_view from, std::string_view to, std::int64_t limit) {
  std::string replaced;
  std::size_t begin = 0;
  for (; limit != 0; --limit) {
    const std::size_t at = text.find(from, begin);
    if (at == std::string_view::npos || (from.empty() && at >= text.size())) break;
    // Nothing stands before every character.
    const std::size_t kept = from.empty() ? decode_utf8(text.substr(at)).bytes : 0;
    replaced.append(text.substr(begin, at - begin)).append(to).append(text.substr(at, kept));
    begin = at + from.size() + kept;
  }
  replaced.append(text.substr(begin));
  if (from.empty() && limit != 0) replaced.append(to);
  return replaced;
}

std::vector<std::string> split(std::string_view text, std::string_view separator, std::int64_t limit) {
  std::vector<std::string> parts;
  const bool by_space = separator.empty();
  if (by_space) text = strip(text, kPythonSpace, Side::left);
  for (; limit != 0 && !(by_space && text.empty()); --limit) {
    const std::size_t at = by_space ? text.find_first_of(kPythonSpace) : text.find(separator);
    if (at == std::string_view::npos) break;
    parts.emplace_back(text.substr(0, at));
    text.remove_prefix(at + (by_space ? 1 : separator.size()));
    if (by_space) text = strip(text, kPythonSpace, Side::left);
  }
  if (!by_space || !text.empty()) parts.emplace_back(text);
  return parts;
}

}  // namespace kvasir::engine::jinja
