#include "engine/jinja_text.hpp"

#include "engine/tokenizer_utf8.hpp"

#include <algorithm>
#include <bitset>
#include <cstring>
#include <limits>
#include <stdexcept>

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
  if (text.size() > std::numeric_limits<std::int32_t>::max()) throw std::length_error("longer than ICU's strings");
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

std::size_t leading_bytes(std::string_view text, std::size_t characters) {
  std::size_t bytes = 0;
  for (; characters > 0; --characters) bytes += decode_utf8(text.substr(bytes)).bytes;
  return bytes;
}

std::int64_t code_point_count(std::string_view text) {
  std::int64_t count = 0;
  for (; !text.empty(); ++count) text.remove_prefix(decode_utf8(text).bytes);
  return count;
}

std::size_t find_part(std::string_view text, std::string_view part, std::size_t from) {
  if (from > text.size()) return std::string_view::npos;
  if (part.empty()) return from;
  const void* found = ::memmem(text.data() + from, text.size() - from, part.data(), part.size());
  if (found == nullptr) return std::string_view::npos;
  return static_cast<std::size_t>(static_cast<const char*>(found) - text.data());
}

std::int64_t count_parts(std::string_view text, std::string_view part) {
  std::int64_t times = 0;
  for (std::size_t at = find_part(text, part, 0); at != std::string_view::npos;
       at = find_part(text, part, at + part.size()))
    ++times;
  return times;
}

std::string_view strip(std::string_view text, std::string_view characters, Side side) {
  std::bitset<256> stripped;
  for (const char c : characters) stripped.set(static_cast<unsigned char>(c));
  const auto strips = [&](char c) { return stripped.test(static_cast<unsigned char>(c)); };
  while (side != Side::right && !text.empty() && strips(text.front())) text.remove_prefix(1);
  while (side != Side::left && !text.empty() && strips(text.back())) text.remove_suffix(1);
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
  for (; limit != 0; limit -= limit > 0 ? 1 : 0) {
    const std::size_t at = find_part(text, from, begin);
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

void split(std::string_view text, std::string_view separator, std::int64_t limit,
           const std::function<void(std::string_view)>& take) {
  const bool by_space = separator.empty();
  if (by_space) text = strip(text, kPythonSpace, Side::left);
  for (; limit != 0 && !(by_space && text.empty()); limit -= limit > 0 ? 1 : 0) {
    const std::size_t at = by_space ? text.find_first_of(kPythonSpace) : find_part(text, separator, 0);
    if (at == std::string_view::npos) break;
    take(text.substr(0, at));
    text.remove_prefix(at + (by_space ? 1 : separator.size()));
    if (by_space) text = strip(text, kPythonSpace, Side::left);
  }
  if (!by_space || !text.empty()) take(text);
}

}  // namespace kvasir::engine::jinja
