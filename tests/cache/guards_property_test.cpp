// What holds of guards and rules for any text at all.
#include "cache/cacheability.hpp"
#include "cache/guards.hpp"

#include <random>
#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace kvasir::cache {
namespace {

// Words and signs that the guards look at, of all their languages, between anything that Unicode has.
class AnyText {
 public:
  explicit AnyText(unsigned seed) : random_(seed) {}

  std::string next() {
    std::string text;
    const int parts = pick(12);
    for (int i = 0; i < parts; ++i) text += part();
    return text;
  }

  // Now and then the same words in another order, or with one of them gone.
  std::string like(const std::string& text) {
    if (pick(3) == 0) return next();
    const std::size_t cut = text.empty() ? 0 : static_cast<std::size_t>(pick(static_cast<int>(text.size())));
    return pick(2) == 0 ? text.substr(cut) + text.substr(0, cut) : text.substr(cut) + part();
  }

 private:
  std::string part() {
    static const std::vector<std::string> known = {
        "what ",    "is ",   "the ",     "not ",   "n't ",   "from ",        "to ",     "by ",       "than ", "Paris ",
        "paris's ", "5 ",    "5kg ",     "kg ",    "five ",  "3-5 ",         "and ",    "or ",       "how ",  "do ",
        "does ",    "I ",    "my ",      "\"",     "'",      "`x`",          "enable ", "disable ",  "A ",    "C++ ",
        "== ",      "≤ ",    "€",        "không ", "khong ", "từ ",          "tu ",     "đến ",      "của ",  "là gì ",
        "bảy ",     "mươi ", "chưa ",    "hoá ",   "怎么",   "不",           "从",      "到",        "的",    "吗",
        "十二",     "第",    "比",       "，",     "猫",     "wie ",         "ist ",    "где ",      "か",    "á",
        "\xff",     "\xc3",  "\xe4\xb8", "\n",     "\t  ",   "painted ",     "buy ",    "purchase ", "was ",  "will ",
        "more ",    "?",     ".",        "!",      "1st ",   "twenty-first "};
    if (pick(4) != 0) return known[static_cast<std::size_t>(pick(static_cast<int>(known.size())))];
    return code_point(static_cast<char32_t>(pick(0x110000)));
  }

  static std::string code_point(char32_t c) {
    // Surrogates too: they are no valid UTF-8.
    std::string bytes;
    if (c < 0x80) return {static_cast<char>(c)};
    const int more = c < 0x800 ? 1 : c < 0x10000 ? 2 : 3;
    constexpr unsigned leads[] = {0, 0xC0, 0xE0, 0xF0};
    bytes += static_cast<char>(leads[more] | (c >> (6 * more)));
    for (int i = more - 1; i >= 0; --i) bytes += static_cast<char>(0x80 | ((c >> (6 * i)) & 0x3F));
    return bytes;
  }

  int pick(int below) { return std::uniform_int_distribution<int>(0, below - 1)(random_); }

  std::mt19937 random_;
};

constexpr int rounds = 20'000;

TEST(GuardProperties, NoTextObjectsToItself) {
  AnyText texts(1);
  for (int i = 0; i < rounds; ++i) {
    const std::string text = texts.next();
    const GuardedQuestion question(text);
    ASSERT_EQ(guard_objection(question, question), "") << testing::PrintToString(text);
  }
}

TEST(GuardProperties, WhoAskedFirstMakesNoDifference) {
  AnyText texts(2);
  for (int i = 0; i < rounds; ++i) {
    const std::string a = texts.next();
    const std::string b = texts.like(a);
    const float similarity = i % 2 == 0 ? 0.8F : 0.99F;
    const GuardedQuestion left(a);
    const GuardedQuestion right(b);
    ASSERT_EQ(guard_objection(left, right, similarity).empty(), guard_objection(right, left, similarity).empty())
        << testing::PrintToString(a) << " / " << testing::PrintToString(b);
  }
}

TEST(GuardProperties, ARuleSaysTheSameOfATextTwice) {
  AnyText texts(3);
  for (int i = 0; i < rounds; ++i) {
    const std::string text = texts.next();
    ASSERT_EQ(why_not_cacheable(text), why_not_cacheable(std::string(text))) << testing::PrintToString(text);
  }
}

// Each of these once took a time that grew with the square of its length; at this size that is minutes.
TEST(GuardProperties, LongTextsAreReadInLinearTime) {
  constexpr std::size_t size = std::size_t{64} << 10;
  for (const std::string part :
       {"a ",   "A B ",    "\"",       "“",  "'",    "x' ",       "1",    "1,", "-", "不", "từ đến ",
        "a.b.", "how to ", "ABC abd ", "+#", "第一", "mươi hai ", "\xff", "aa", "&", " "}) {
    std::string text;
    while (text.size() < size) text += part;
    const GuardedQuestion question(text);
    EXPECT_EQ(guard_objection(question, GuardedQuestion(text)), "") << part;
    const GuardedQuestion longer(text + "not");
    EXPECT_EQ(guard_objection(question, longer).empty(), guard_objection(longer, question).empty()) << part;
    EXPECT_EQ(why_not_cacheable(text), why_not_cacheable(text)) << part;
  }
}

}  // namespace
}  // namespace kvasir::cache
