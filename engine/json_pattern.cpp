#include "engine/json_pattern.hpp"

#include "engine/tokenizer_utf8.hpp"

#include <algorithm>
#include <cctype>
#include <map>
#include <optional>
#include <string>
#include <utility>

#include <fmt/core.h>

namespace kvasir::engine {
namespace {

using Characters = std::vector<CharacterRange>;

constexpr char32_t kLastCharacter = 0x10FFFF;
constexpr std::size_t kMaxSource = 8192;
constexpr int kMaxRepeat = 2000;
constexpr int kMaxGroups = 32;  // inside each other

const Characters kDigits{{U'0', U'9'}};
const Characters kWord{{U'0', U'9'}, {U'A', U'Z'}, {U'_', U'_'}, {U'a', U'z'}};
const Characters kSpaces{{0x09, 0x0D},     {0x20, 0x20},     {0xA0, 0xA0},     {0x1680, 0x1680}, {0x2000, 0x200A},
                         {0x2028, 0x2029}, {0x202F, 0x202F}, {0x205F, 0x205F}, {0x3000, 0x3000}, {0xFEFF, 0xFEFF}};
const Characters kLineEnds{{U'\n', U'\n'}, {U'\r', U'\r'}, {0x2028, 0x2029}};

Characters normalized(Characters ranges) {
  std::sort(ranges.begin(), ranges.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
  Characters merged;
  for (const CharacterRange& range : ranges) {
    if (!merged.empty() && range.first <= merged.back().last + 1) {
      merged.back().last = std::max(merged.back().last, range.last);
    } else {
      merged.push_back(range);
    }
  }
  return merged;
}

Characters complement(const Characters& ranges) {
  Characters others;
  char32_t next = 0;
  for (const CharacterRange& range : ranges) {
    if (range.first > next) others.push_back({next, range.first - 1});
    next = range.last + 1;
  }
  if (next <= kLastCharacter) others.push_back({next, kLastCharacter});
  return others;
}

Pattern characters(Characters ranges) {
  Pattern pattern;
  pattern.kind = Pattern::Kind::characters;
  pattern.characters = std::move(ranges);
  return pattern;
}

Pattern repeat(Pattern part, int min, int max) {
  Pattern pattern;
  pattern.kind = Pattern::Kind::repeat;
  pattern.parts.push_back(std::move(part));
  pattern.min = min;
  pattern.max = max;
  return pattern;
}

bool is_nothing(const Pattern& pattern) {
  return pattern.kind == Pattern::Kind::sequence && pattern.parts.empty();
}

class Parser {
 public:
  explicit Parser(std::string_view source) : rest_(source) {}

  Result<Pattern> parse() {
    if (rest_.size() > kMaxSource) return Error{ErrorCode::bad_request, "is longer than 8,192 bytes", "", 0};
    Pattern pattern = alternatives(true);
    if (error_.empty() && !rest_.empty()) fail("has a ')' without '('");
    if (!error_.empty()) return Error{ErrorCode::bad_request, error_, "", 0};
    return pattern;
  }

 private:
  void fail(std::string message) {
    if (error_.empty()) error_ = std::move(message);
    rest_ = {};
  }
  bool take(std::string_view text) {
    if (!rest_.starts_with(text)) return false;
    rest_.remove_prefix(text.size());
    return true;
  }
  char32_t next_character() {
    const Utf8Character next = decode_utf8(rest_);
    if (next.status != Utf8Status::valid) {
      fail("is not valid UTF-8");
      return 0;
    }
    rest_.remove_prefix(next.bytes);
    return next.code_point;
  }

  Pattern alternatives(bool outermost) {
    Pattern choice;
    choice.kind = Pattern::Kind::choice;
    do {
      choice.parts.push_back(sequence(outermost));
    } while (take("|"));
    if (choice.parts.size() == 1) return std::move(choice.parts.front());
    return choice;
  }

  Pattern sequence(bool outermost) {
    Pattern sequence;
    if (outermost && !take("^")) sequence.parts.push_back(Pattern::any_text(0, Pattern::kUnlimited));
    bool ended = false;
    while (!rest_.empty() && rest_[0] != '|' && rest_[0] != ')') {
      if (take("$")) {
        ended = true;
        if (!outermost || (!rest_.empty() && rest_[0] != '|')) fail("has a '$' that is not at its end");
        break;
      }
      Pattern part = quantified(atom());
      // Nothing, however often, would take time and no states: those bound the work.
      if (!is_nothing(part)) sequence.parts.push_back(std::move(part));
    }
    if (outermost && !ended) sequence.parts.push_back(Pattern::any_text(0, Pattern::kUnlimited));
    return sequence;
  }

  Pattern atom() {
    if (take("(")) return group();
    if (take("[")) return characters(bracket());
    if (take(".")) return characters(complement(kLineEnds));
    if (take("^")) fail("has a '^' that is not at its beginning");
    if (rest_.starts_with('*') || rest_.starts_with('+') || rest_.starts_with('?') || rest_.starts_with('{'))
      fail("has a quantifier with nothing before it");
    if (rest_.empty()) return {};
    if (take("\\")) return characters(escape(false));
    const char32_t c = next_character();
    return characters({{c, c}});
  }

  Pattern group() {
    if (take("?") && !take(":")) {
      if (!take("<") || rest_.starts_with('=') || rest_.starts_with('!')) {
        fail("looks around ('(?=', '(?!', '(?<'), which is not supported");
        return {};
      }
      rest_.remove_prefix(std::min(rest_.size(), rest_.find('>') + 1));  // a group's name means nothing here
    }
    if (++groups_ > kMaxGroups) fail("has too many groups inside each other");
    Pattern inside = alternatives(false);
    if (!take(")")) fail("has a '(' without ')'");
    --groups_;
    return inside;
  }

  Pattern quantified(Pattern part) {
    int min = 1;
    int max = 1;
    if (take("*")) {
      min = 0;
      max = Pattern::kUnlimited;
    } else if (take("+")) {
      max = Pattern::kUnlimited;
    } else if (take("?")) {
      min = 0;
    } else if (take("{")) {
      min = number();
      max = min;
      if (take(",")) max = rest_.starts_with('}') ? Pattern::kUnlimited : number();
      if (!take("}")) fail("has a '{' without a count and '}'");
      if (max != Pattern::kUnlimited && max < min) fail("has a quantifier whose numbers are out of order");
    } else {
      return part;
    }
    take("?");
    if (rest_.starts_with('*') || rest_.starts_with('+') || rest_.starts_with('?') || rest_.starts_with('{'))
      fail("has a quantifier with nothing before it");
    if (is_nothing(part)) return part;
    return repeat(std::move(part), min, max);
  }

  int number() {
    int value = 0;
    bool digits = false;
    while (!rest_.empty() && rest_[0] >= '0' && rest_[0] <= '9' && value <= kMaxRepeat) {
      value = value * 10 + (rest_[0] - '0');
      rest_.remove_prefix(1);
      digits = true;
    }
    if (!digits) fail("has a '{' without a count and '}'");
    if (value > kMaxRepeat) fail(fmt::format("repeats something more than {} times", kMaxRepeat));
    return value;
  }

  char32_t hexadecimal(std::size_t digits) {
    char32_t value = 0;
    for (std::size_t i = 0; i < digits; ++i) {
      const char c = i < rest_.size() ? rest_[i] : ' ';
      const bool letter = (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
      if (!letter && (c < '0' || c > '9')) {
        fail("has an escape without its hexadecimal digits");
        return 0;
      }
      value = value * 16 + static_cast<char32_t>(letter ? (c | 0x20) - 'a' + 10 : c - '0');
    }
    rest_.remove_prefix(digits);
    return value;
  }

  // Behind a backslash.
  Characters escape(bool in_brackets) {
    if (rest_.empty()) {
      fail("ends with a backslash");
      return {};
    }
    const char32_t c = next_character();
    const auto one = [](char32_t code) { return Characters{{code, code}}; };
    switch (c) {
      case U'd':
        return kDigits;
      case U'D':
        return complement(kDigits);
      case U'w':
        return kWord;
      case U'W':
        return complement(kWord);
      case U's':
        return kSpaces;
      case U'S':
        return complement(kSpaces);
      case U't':
        return one('\t');
      case U'n':
        return one('\n');
      case U'r':
        return one('\r');
      case U'f':
        return one('\f');
      case U'v':
        return one('\v');
      case U'x':
        return one(hexadecimal(2));
      case U'u':
        return one(unicode_escape());
      case U'b':
        if (in_brackets) return one('\b');
        break;
      case U'0':
        if (rest_.empty() || rest_[0] < '0' || rest_[0] > '9') return one(0);
        break;
      default:
        break;
    }
    const bool letter_or_digit = c < 0x80 && std::isalnum(static_cast<unsigned char>(c)) != 0;
    if (letter_or_digit) fail(fmt::format("has the escape '\\{}', which is not supported", static_cast<char>(c)));
    return one(c);
  }

  char32_t unicode_escape() {
    const char32_t high = hexadecimal(4);
    if (high < 0xD800 || high > 0xDBFF) return high;
    if (!take("\\u")) fail("has half a surrogate pair");
    const char32_t low = hexadecimal(4);
    if (low < 0xDC00 || low > 0xDFFF) fail("has half a surrogate pair");
    return 0x10000 + ((high - 0xD800) << 10) + (low - 0xDC00);
  }

  Characters bracket() {
    const bool negated = take("^");
    Characters members;
    while (!rest_.empty() && rest_[0] != ']') {
      Characters first = member();
      const bool is_range = rest_.size() > 1 && rest_[0] == '-' && rest_[1] != ']';
      if (is_range && first.size() == 1 && first[0].first == first[0].last) {
        take("-");
        const Characters last = member();
        if (last.size() != 1 || last[0].first != last[0].last || last[0].first < first[0].first)
          fail("has a range whose ends are out of order");
        else
          first[0].last = last[0].first;
      }
      members.insert(members.end(), first.begin(), first.end());
    }
    if (!take("]")) fail("has a '[' without ']'");
    members = normalized(std::move(members));
    return negated ? complement(members) : members;
  }

  Characters member() {
    if (take("\\")) return escape(true);
    if (rest_.empty()) return {};
    const char32_t c = next_character();
    return {{c, c}};
  }

  std::string_view rest_;
  std::string error_;
  int groups_ = 0;
};

// Adds characters first..last, which UTF-8 writes with the same number of bytes or not (Thompson's byte ranges, as in
// RE2): split until each byte of the encoding is a range of its own.
void append_utf8(ByteNfa& nfa, ByteNfa::State from, ByteNfa::State to, char32_t first, char32_t last) {
  for (const char32_t end : {char32_t{0x7F}, char32_t{0x7FF}, char32_t{0xFFFF}}) {
    if (first <= end && end < last) {
      append_utf8(nfa, from, to, first, end);
      append_utf8(nfa, from, to, end + 1, last);
      return;
    }
  }
  const int tails = last > 0xFFFF ? 3 : last > 0x7FF ? 2 : last > 0x7F ? 1 : 0;
  for (int i = 1; i <= tails; ++i) {
    const char32_t mask = (char32_t{1} << (6 * i)) - 1;
    if ((first & ~mask) == (last & ~mask)) continue;
    char32_t split = 0;  // begins the second half
    if ((first & mask) != 0) {
      split = (first | mask) + 1;
    } else if ((last & mask) != mask) {
      split = last & ~mask;
    } else {
      continue;
    }
    append_utf8(nfa, from, to, first, split - 1);
    append_utf8(nfa, from, to, split, last);
    return;
  }
  constexpr std::uint8_t kLeads[] = {0x00, 0xC0, 0xE0, 0xF0};
  for (int i = tails; i >= 0; --i) {
    const ByteNfa::State next = i == 0 ? to : nfa.add_state();
    const auto byte = [&](char32_t c) {
      return i == tails ? static_cast<std::uint8_t>(kLeads[tails] | (c >> (6 * tails)))
                        : static_cast<std::uint8_t>(0x80U | ((c >> (6 * i)) & 0x3FU));
    };
    nfa.add_edge(from, byte(first), byte(last), next);
    from = next;
  }
}

std::string json_escape(char32_t c) {
  switch (c) {
    case U'"':
      return "\\\"";
    case U'\\':
      return "\\\\";
    case U'\b':
      return "\\b";
    case U'\f':
      return "\\f";
    case U'\n':
      return "\\n";
    case U'\r':
      return "\\r";
    case U'\t':
      return "\\t";
    default:
      return fmt::format("\\u{:04x}", static_cast<unsigned>(c));
  }
}

// Calls `use` for the parts of the range that are written as themselves, `escape` for each other character.
template <typename Use, typename Escape>
void split_for_json(CharacterRange range, Use use, Escape escape) {
  char32_t from = range.first;
  for (char32_t c = range.first; c <= std::min<char32_t>(range.last, U'\\'); ++c) {
    if (c >= 0x20 && c != U'"' && c != U'\\') continue;
    if (from < c) use(from, c - 1);
    escape(c);
    from = c + 1;
  }
  if (from <= range.last) use(from, range.last);
}

void append_characters(ByteNfa& nfa, ByteNfa::State from, ByteNfa::State to, const Characters& ranges,
                       Spelling spelling) {
  const auto use = [&](char32_t first, char32_t last) {
    // Surrogates are no characters.
    if (first < 0xD800) append_utf8(nfa, from, to, first, std::min<char32_t>(last, 0xD7FF));
    if (last > 0xDFFF) append_utf8(nfa, from, to, std::max<char32_t>(first, 0xE000), last);
  };
  std::map<std::string, ByteNfa::State> begun;  // escapes with the same beginning share its states
  const auto escape = [&](char32_t c) {
    const std::string text = json_escape(c);
    ByteNfa::State at = from;
    for (std::size_t i = 0; i + 1 < text.size(); ++i) {
      const auto [known, added] = begun.try_emplace(text.substr(0, i + 1), 0);
      if (added) known->second = nfa.add_text(at, text.substr(i, 1));
      at = known->second;
    }
    const auto last = static_cast<std::uint8_t>(text.back());
    nfa.add_edge(at, last, last, to);
  };
  for (const CharacterRange& range : ranges) {
    if (spelling == Spelling::json) {
      split_for_json(range, use, escape);
    } else {
      use(range.first, range.last);
    }
  }
}

constexpr std::size_t kMaxStates = 100'000;

}  // namespace

Pattern Pattern::any_text(int min, int max) {
  return repeat(engine::characters({{0, kLastCharacter}}), min, max);
}

Result<Pattern> parse_pattern(std::string_view source) {
  return Parser(source).parse();
}

std::optional<ByteNfa::State> append_pattern(ByteNfa& nfa, ByteNfa::State from, const Pattern& pattern,
                                             Spelling spelling) {
  if (nfa.states().size() > kMaxStates) return std::nullopt;
  std::optional<ByteNfa::State> at = from;
  switch (pattern.kind) {
    case Pattern::Kind::characters: {
      at = nfa.add_state();
      append_characters(nfa, from, *at, pattern.characters, spelling);
      return at;
    }
    case Pattern::Kind::sequence:
      for (const Pattern& part : pattern.parts) {
        at = append_pattern(nfa, *at, part, spelling);
        if (!at) return at;
      }
      return at;
    case Pattern::Kind::choice: {
      const ByteNfa::State end = nfa.add_state();
      for (const Pattern& part : pattern.parts) {
        // A state of its own, so that a loop inside does not reach the other alternatives.
        const ByteNfa::State begin = nfa.add_state();
        nfa.add_empty(from, begin);
        at = append_pattern(nfa, begin, part, spelling);
        if (!at) return at;
        nfa.add_empty(*at, end);
      }
      return end;
    }
    case Pattern::Kind::repeat: {
      const Pattern& part = pattern.parts.front();
      for (int i = 0; i < pattern.min && at; ++i) at = append_pattern(nfa, *at, part, spelling);
      if (!at) return at;
      const ByteNfa::State end = nfa.add_state();
      nfa.add_empty(*at, end);
      if (pattern.max == Pattern::kUnlimited) {
        const ByteNfa::State again = nfa.add_state();
        nfa.add_empty(end, again);
        at = append_pattern(nfa, again, part, spelling);
        if (at) nfa.add_empty(*at, end);
        return at ? std::optional(end) : std::nullopt;
      }
      for (int i = pattern.min; i < pattern.max; ++i) {
        const ByteNfa::State begin = nfa.add_state();
        nfa.add_empty(*at, begin);
        at = append_pattern(nfa, begin, part, spelling);
        if (!at) return at;
        nfa.add_empty(*at, end);
      }
      return end;
    }
  }
  return at;
}

std::optional<ByteDfa> compile_pattern(const Pattern& pattern, Spelling spelling, WorkBudget& budget) {
  ByteNfa nfa;
  const std::string_view quote = spelling == Spelling::json ? "\"" : "";
  const auto end = append_pattern(nfa, nfa.add_text(ByteNfa::kStart, quote), pattern, spelling);
  if (!end || !budget.spend(nfa.states().size())) return std::nullopt;
  nfa.add_empty(nfa.add_text(*end, quote), ByteNfa::kAccept);
  return determinize(nfa, budget);
}

}  // namespace kvasir::engine
