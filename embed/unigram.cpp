#include "embed/unigram.hpp"

#include <algorithm>
#include <cassert>
#include <limits>
#include <utility>

#include <unicode/utf8.h>

namespace kvasir::embed {
namespace {

constexpr char32_t kSpace = U' ';
constexpr char32_t kWordMark = U'\u2581';  // SentencePiece's space
constexpr float kUnknownPenalty = 10;      // below the least likely piece

char32_t next_character(std::string_view text, std::size_t& at) {
  const auto* bytes = reinterpret_cast<const std::uint8_t*>(text.data());
  auto i = static_cast<std::int64_t>(at);
  UChar32 c = 0;
  U8_NEXT_OR_FFFD(bytes, i, static_cast<std::int64_t>(text.size()), c);
  at = static_cast<std::size_t>(i);
  return static_cast<char32_t>(c);
}

void append_utf8(std::string& to, char32_t c) {
  char bytes[U8_MAX_LENGTH];
  std::size_t length = 0;
  U8_APPEND_UNSAFE(bytes, length, c);
  to.append(bytes, length);
}

}  // namespace

Unigram::Unigram(const UnigramVocabulary& vocabulary, std::string prefix)
    : replacements_(vocabulary.replacements),
      prefix_(std::move(prefix)),
      size_(vocabulary.pieces.size()),
      begin_(vocabulary.begin),
      end_(vocabulary.end),
      unknown_(vocabulary.unknown) {
  float lowest = std::numeric_limits<float>::max();
  for (std::size_t i = 0; i < size_; ++i) {
    const auto id = static_cast<TokenId>(i);
    const auto& [text, score] = vocabulary.pieces[i];
    lowest = std::min(lowest, score);
    if (text.empty() || id == begin_ || id == end_ || id == unknown_ || id == vocabulary.padding) continue;
    pieces_.emplace(text, Entry{id, score});
    longest_ = std::max(longest_, text.size());
  }
  unknown_score_ = lowest - kUnknownPenalty;
}

Unigram::Normalised Unigram::normalise(std::string_view text, std::size_t max_characters) const {
  Normalised result;
  char32_t last = 0;
  const auto add = [&](char32_t c) {
    if (c == kSpace && last == kSpace) return;
    last = c;
    result.starts.push_back(result.text.size());
    append_utf8(result.text, c == kSpace ? kWordMark : c);
  };
  const auto add_replaced = [&](std::string_view from) {
    for (std::size_t at = 0; at < from.size() && result.starts.size() < max_characters;) {
      const char32_t c = next_character(from, at);
      const auto found = replacements_.find(c);
      if (found == replacements_.end()) {
        add(c);
      } else {
        for (const char32_t other : found->second) add(other);
      }
    }
  };
  add(kSpace);
  add_replaced(prefix_);
  add_replaced(text);
  result.starts.push_back(result.text.size());
  return result;
}

// Viterbi's algorithm: the best way to each character.
std::vector<TokenId> Unigram::cut(const Normalised& input) const {
  struct Step {
    float score = -std::numeric_limits<float>::infinity();
    TokenId piece = 0;
    std::size_t from = 0;
  };
  const std::size_t count = input.starts.size() - 1;
  std::vector<Step> best(count + 1);
  best[0].score = 0;
  const auto offer = [&](std::size_t from, std::size_t to, TokenId piece, float score) {
    const float total = best[from].score + score;
    if (total > best[to].score) best[to] = {total, piece, from};
  };
  const std::string_view text = input.text;
  for (std::size_t from = 0; from < count; ++from) {
    const std::size_t start = input.starts[from];
    for (std::size_t to = from + 1; to <= count && input.starts[to] - start <= longest_; ++to) {
      const auto found = pieces_.find(text.substr(start, input.starts[to] - start));
      if (found != pieces_.end()) offer(from, to, found->second.id, found->second.score);
    }
    offer(from, from + 1, unknown_, unknown_score_);
  }
  std::vector<TokenId> ids;
  for (std::size_t at = count; at > 0; at = best[at].from) ids.push_back(best[at].piece);
  std::ranges::reverse(ids);
  return ids;
}

std::vector<TokenId> Unigram::encode(std::string_view text, std::size_t max_tokens) const {
  assert(max_tokens >= 2);
  // No piece is longer in characters than in bytes.
  std::vector<TokenId> ids = cut(normalise(text, max_tokens * longest_));
  ids.resize(std::min(ids.size(), max_tokens - 2));
  ids.insert(ids.begin(), begin_);
  ids.push_back(end_);
  return ids;
}

}  // namespace kvasir::embed
