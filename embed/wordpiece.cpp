#include "embed/wordpiece.hpp"

#include "embed/bert_unicode.hpp"

#include <algorithm>
#include <cassert>
#include <fstream>
#include <iterator>

#include <unicode/normalizer2.h>
#include <unicode/uchar.h>
#include <unicode/unistr.h>
#include <unicode/utf8.h>

namespace kvasir::embed {
namespace {

constexpr std::size_t kMaxWordCharacters = 100;  // a longer word is unknown, in BERT's own tokenizer too
// Units decomposed at once. A chunk grows past it only to end where decomposition does not look across, and to twice
// that at most: ordering a run of combining marks takes ICU time in the square of its length.
constexpr std::int32_t kChunk = 256;
constexpr std::string_view kContinuation = "##";

const icu::Normalizer2& nfd() {
  static const icu::Normalizer2* const normalizer = [] {
    UErrorCode status = U_ZERO_ERROR;
    const auto* instance = icu::Normalizer2::getNFDInstance(status);
    assert(U_SUCCESS(status));  // ICU carries this data inside its library
    return instance;
  }();
  return *normalizer;
}

// The character at `position`, which moves behind it; U+FFFD for bytes that are no UTF-8.
char32_t next_character(std::string_view text, std::size_t& position) {
  UChar32 c = 0;
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wconversion"  // inside ICU's macro
  U8_NEXT_OR_FFFD(text.data(), position, text.size(), c);
#pragma GCC diagnostic pop
  return static_cast<char32_t>(c);
}

}  // namespace

// One run of `encode`: characters go in, token ids come out until there is no room.
class WordPieceEncoding {
 public:
  WordPieceEncoding(const WordPiece& vocabulary, std::size_t max_tokens)
      : vocabulary_(vocabulary), room_(max_tokens - 1) {
    ids_.push_back(vocabulary_.cls_);
  }

  bool full() const { return ids_.size() >= room_; }

  // A character of the text, before any normalisation.
  void add(char32_t c) {
    if (is_dropped(c)) return;
    if (is_space(c)) return end_word();
    const bool alone = is_ideograph(c);
    if (alone) end_word();
    if (must_flush_before(static_cast<UChar32>(c))) flush();
    chunk_.append(static_cast<UChar32>(c));
    ascii_ = ascii_ && c < 0x80;
    if (alone) end_word();
  }

  void add_special(TokenId id) {
    end_word();
    push(id);
  }

  std::vector<TokenId> finish() {
    end_word();
    ids_.push_back(vocabulary_.sep_);
    return std::move(ids_);
  }

 private:
  void end_word() {
    flush();
    push_word();
  }

  bool must_flush_before(UChar32 c) const {
    if (chunk_.length() < kChunk) return false;
    return chunk_.length() >= 2 * kChunk || nfd().hasBoundaryBefore(c);
  }

  // Moves the chunk, decomposed, to the words.
  void flush() {
    if (chunk_.isEmpty()) return;
    const icu::UnicodeString decomposed = ascii_ ? chunk_ : decompose(chunk_);
    for (std::int32_t i = 0; i < decomposed.length() && !full();) {
      const UChar32 c = decomposed.char32At(i);
      i += U16_LENGTH(c);
      add_to_word(static_cast<char32_t>(c));
    }
    chunk_.remove();
    ascii_ = true;
  }

  static icu::UnicodeString decompose(const icu::UnicodeString& text) {
    UErrorCode status = U_ZERO_ERROR;
    icu::UnicodeString result = nfd().normalize(text, status);
    return U_SUCCESS(status) ? result : text;
  }

  void add_to_word(char32_t c) {
    if (is_accent(c)) return;
    const auto lower = static_cast<char32_t>(u_tolower(static_cast<UChar32>(c)));
    if (is_punctuation(lower)) {
      push_word();
      append(lower);
      push_word();
    } else {
      append(lower);
    }
  }

  void append(char32_t c) {
    ++word_characters_;
    if (word_characters_ > kMaxWordCharacters) return;
    char bytes[U8_MAX_LENGTH];
    std::size_t length = 0;
    U8_APPEND_UNSAFE(bytes, length, c);
    word_.append(bytes, length);
  }

  void push_word() {
    if (word_characters_ == 0) return;
    if (word_characters_ > kMaxWordCharacters || !cut_word()) push(vocabulary_.unknown_);
    word_.clear();
    word_characters_ = 0;
  }

  // Longest piece first. False, with nothing added, if some rest begins with no piece.
  bool cut_word() {
    const std::size_t before = ids_.size();
    std::string_view rest = word_;
    while (!rest.empty()) {
      const auto& pieces = rest.size() == word_.size() ? vocabulary_.starts_ : vocabulary_.continuations_;
      std::size_t length = std::min(rest.size(), vocabulary_.longest_);
      auto piece = pieces.end();
      for (; length > 0 && piece == pieces.end(); --length) piece = pieces.find(rest.substr(0, length));
      if (piece == pieces.end()) {
        ids_.resize(before);
        return false;
      }
      ids_.push_back(piece->second);
      rest.remove_prefix(piece->first.size());
    }
    ids_.resize(std::min(ids_.size(), room_));
    return true;
  }

  void push(TokenId id) {
    if (!full()) ids_.push_back(id);
  }

  const WordPiece& vocabulary_;
  const std::size_t room_;  // tokens before [SEP]
  std::vector<TokenId> ids_;
  icu::UnicodeString chunk_;  // characters of the current run without spaces that are not yet decomposed
  bool ascii_ = true;         // all of the chunk
  std::string word_;
  std::size_t word_characters_ = 0;
};

std::optional<WordPiece> WordPiece::open(const std::filesystem::path& vocabulary, std::string& error) {
  std::ifstream file(vocabulary, std::ios::binary);
  if (!file) {
    error = "cannot open " + vocabulary.string();
    return std::nullopt;
  }
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  auto parsed = parse(text, error);
  if (!parsed) error = vocabulary.string() + " is not a usable WordPiece vocabulary: " + error;
  return parsed;
}

std::optional<WordPiece> WordPiece::parse(std::string_view vocabulary, std::string& error) {
  WordPiece result;
  while (!vocabulary.empty()) {
    const std::size_t end = std::min(vocabulary.find('\n'), vocabulary.size());
    std::string_view piece = vocabulary.substr(0, end);
    vocabulary.remove_prefix(std::min(end + 1, vocabulary.size()));
    if (piece.ends_with('\r')) piece.remove_suffix(1);
    const auto id = static_cast<TokenId>(result.size_++);
    result.longest_ = std::max(result.longest_, piece.size());
    if (piece.starts_with(kContinuation) && piece.size() > kContinuation.size()) {
      result.continuations_.insert_or_assign(std::string(piece.substr(kContinuation.size())), id);
    } else {
      result.starts_.insert_or_assign(std::string(piece), id);
    }
  }
  for (const std::string_view text : {"[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"}) {
    const auto found = result.starts_.find(text);
    if (found == result.starts_.end()) {
      error = "it has no " + std::string(text);
      return std::nullopt;
    }
    result.specials_.push_back({std::string(text), found->second});
  }
  result.unknown_ = result.specials_[1].id;
  result.cls_ = result.specials_[2].id;
  result.sep_ = result.specials_[3].id;
  return result;
}

std::vector<TokenId> WordPiece::encode(std::string_view text, std::size_t max_tokens) const {
  assert(max_tokens >= 2);
  WordPieceEncoding encoding(*this, max_tokens);
  const auto special_at = [&](std::size_t position) {
    return std::ranges::find_if(
        specials_, [&](const Special& special) { return text.substr(position).starts_with(special.text); });
  };
  for (std::size_t i = 0; i < text.size() && !encoding.full();) {
    if (text[i] == '[') {
      if (const auto special = special_at(i); special != specials_.end()) {
        encoding.add_special(special->id);
        i += special->text.size();
        continue;
      }
    }
    encoding.add(next_character(text, i));
  }
  return encoding.finish();
}

}  // namespace kvasir::embed
