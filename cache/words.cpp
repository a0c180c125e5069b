#include "cache/words.hpp"

#include <algorithm>

#include <unicode/bytestream.h>
#include <unicode/normalizer2.h>
#include <unicode/uchar.h>
#include <unicode/uscript.h>
#include <unicode/utf8.h>

namespace kvasir::cache {
namespace {

std::string normalise(const icu::Normalizer2* form, std::string_view text, UErrorCode status) {
  std::string out;
  out.reserve(text.size());
  icu::StringByteSink<std::string> sink(&out);
  if (U_SUCCESS(status)) {
    form->normalizeUTF8(0, icu::StringPiece(text.data(), static_cast<std::int32_t>(text.size())), sink, nullptr,
                        status);
  }
  return U_SUCCESS(status) ? out : std::string(text);
}

// Most text is ASCII, and ICU's tables cost ten times as much.
constexpr bool is_ascii(char c) {
  return static_cast<unsigned char>(c) < 0x80;
}

constexpr bool is_ascii_word(UChar32 c) {
  return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z');
}

bool is_han(UChar32 c) {
  UErrorCode status = U_ZERO_ERROR;
  return c > 0x2E7F && uscript_getScript(c, &status) == USCRIPT_HAN;
}

bool is_word(UChar32 c) {
  if (c < 0x80) return is_ascii_word(c);
  constexpr std::uint32_t word_mask = U_GC_L_MASK | U_GC_M_MASK | U_GC_N_MASK;
  return (U_MASK(u_charType(c)) & word_mask) != 0;
}

UChar32 code_point_at(std::string_view text, std::size_t at, std::size_t& next) {
  if (is_ascii(text[at])) {
    next = at + 1;
    return text[at];
  }
  auto position = static_cast<std::int32_t>(at);
  UChar32 c = 0;
  U8_NEXT_OR_FFFD(reinterpret_cast<const std::uint8_t*>(text.data()), position, static_cast<std::int32_t>(text.size()),
                  c);
  next = static_cast<std::size_t>(position);
  return c;
}

std::u32string code_points(std::string_view text) {
  std::u32string out;
  out.reserve(text.size());
  for (std::size_t at = 0, next = 0; at < text.size(); at = next) {
    out += static_cast<char32_t>(code_point_at(text, at, next));
  }
  return out;
}

bool starts_with_word(std::string_view text) {
  std::size_t next = 0;
  return !text.empty() && is_word(code_point_at(text, 0, next));
}

std::string straighten_apostrophes(std::string text) {
  constexpr std::string_view curly = "\u2019";
  if (text.find(curly) == std::string::npos) return text;
  std::string out;
  out.reserve(text.size());
  for (std::size_t at = 0; at < text.size();) {
    const bool is_curly = text.compare(at, curly.size(), curly) == 0;
    out += is_curly ? '\'' : text[at];
    at += is_curly ? curly.size() : 1;
  }
  return out;
}

}  // namespace

std::string fold(std::string_view text) {
  if (std::ranges::all_of(text, is_ascii)) {
    std::string lower(text);
    for (char& c : lower) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c;
    return lower;
  }
  UErrorCode status = U_ZERO_ERROR;
  const icu::Normalizer2* form = icu::Normalizer2::getNFKCCasefoldInstance(status);
  return normalise(form, text, status);
}

std::string without_accents(std::string_view text) {
  UErrorCode status = U_ZERO_ERROR;
  const icu::Normalizer2* form = icu::Normalizer2::getNFDInstance(status);
  const std::string decomposed = normalise(form, text, status);
  std::string out;
  for (std::size_t at = 0, next = 0; at < decomposed.size(); at = next) {
    const UChar32 c = code_point_at(decomposed, at, next);
    if (c == 0x111) {
      out += 'd';  // đ has no decomposition
    } else if ((U_MASK(u_charType(c)) & U_GC_M_MASK) == 0) {
      out.append(decomposed, at, next - at);
    }
  }
  return out;
}

std::u32string compose(std::string_view text) {
  UErrorCode status = U_ZERO_ERROR;
  const icu::Normalizer2* form = icu::Normalizer2::getNFKCInstance(status);
  return code_points(normalise(form, text, status));
}

std::u32string decompose(std::string_view text) {
  UErrorCode status = U_ZERO_ERROR;
  const icu::Normalizer2* form = icu::Normalizer2::getNFDInstance(status);
  return code_points(normalise(form, text, status));
}

std::string to_utf8(std::u32string_view code_points) {
  std::string out;
  out.reserve(code_points.size());
  for (const char32_t c : code_points) {
    char bytes[U8_MAX_LENGTH];
    std::int32_t length = 0;
    U8_APPEND_UNSAFE(bytes, length, c);
    out.append(bytes, static_cast<std::size_t>(length));
  }
  return out;
}

Words::Words(std::string_view text) : text_(straighten_apostrophes(fold(text))) {
  std::size_t start = 0;
  const auto end_word = [&](std::size_t end) {
    if (end > start) spans_.emplace_back(start, end - start);
  };
  for (std::size_t at = 0, next = 0; at < text_.size(); at = next) {
    const UChar32 c = code_point_at(text_, at, next);
    if (is_han(c)) {
      end_word(at);
      spans_.emplace_back(at, next - at);
      start = next;
    } else if (!is_word(c) && !(c == '\'' && at > start && starts_with_word(std::string_view(text_).substr(next)))) {
      end_word(at);
      start = next;
    }
  }
  end_word(text_.size());
}

bool Words::han(std::size_t i) const {
  std::size_t next = 0;
  return is_han(code_point_at(text_, spans_[i].first, next));
}

void PhraseSet::add(std::string_view phrase) {
  const Words words(phrase);
  if (words.size() == 0) return;
  std::vector<std::string> rest;
  for (std::size_t i = 1; i < words.size(); ++i) rest.emplace_back(words[i]);
  first_words_[static_cast<unsigned char>(words[0][0])] |= length_bit(words[0]);
  auto& rests = rest_by_first_word_[std::string(words[0])];
  rests.push_back(std::move(rest));
  std::ranges::sort(rests, [](const auto& a, const auto& b) { return a.size() > b.size(); });
}

std::size_t PhraseSet::match(const Words& words, std::size_t at) const {
  const std::string_view first = words[at];
  if ((first_words_[static_cast<unsigned char>(first[0])] & length_bit(first)) == 0) return 0;
  const auto found = rest_by_first_word_.find(first);
  if (found == rest_by_first_word_.end()) return 0;
  for (const auto& rest : found->second) {
    if (at + rest.size() >= words.size()) continue;
    bool equal = true;
    for (std::size_t i = 0; equal && i < rest.size(); ++i) equal = words[at + 1 + i] == rest[i];
    if (equal) return rest.size() + 1;
  }
  return 0;
}

bool PhraseSet::contains_any(const Words& words, std::size_t from, std::size_t to) const {
  for (std::size_t at = from; at < std::min(to, words.size()); ++at) {
    if (match(words, at) > 0) return true;
  }
  return false;
}

}  // namespace kvasir::cache
