#include "cache/words.hpp"

#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace kvasir::cache {
namespace {

std::vector<std::string> words_of(std::string_view text) {
  const Words words(text);
  std::vector<std::string> all;
  for (std::size_t i = 0; i < words.size(); ++i) all.emplace_back(words[i]);
  return all;
}

using List = std::vector<std::string>;

TEST(Words, AreFoldedRunsOfLettersAndDigits) {
  EXPECT_EQ(words_of("What's NEW in C++20, Bob?"), (List{"what's", "new", "in", "c", "20", "bob"}));
  EXPECT_EQ(words_of("'quoted' and trailing'"), (List{"quoted", "and", "trailing"}));
  EXPECT_EQ(words_of(""), List{});
  EXPECT_EQ(words_of(" \t\x01 .,;"), List{});
}

TEST(Words, AreTheSameWithAndWithoutOtherCharactersAround) {
  // A text that is ASCII alone takes another way through the code than one that is not.
  for (const std::string text : {"What's THE Price, in 2024?", "rock'n'roll 'n blues'", "a-b_c d.e"}) {
    List expected = words_of(text);
    expected.emplace_back("é");
    EXPECT_EQ(words_of(text + " É"), expected);
  }
  EXPECT_EQ(words_of("What\u2019s"), words_of("what's"));
}

TEST(Words, HanCharactersStandAlone) {
  EXPECT_EQ(words_of("今天weather好"), (List{"今", "天", "weather", "好"}));
}

TEST(PhraseSet, FindsTheLongestPhraseThatStartsAtAWord) {
  PhraseSet phrases;
  for (const char* phrase : {"gold", "gold price", "antidisestablishmentarianism of the thirty-first kind"}) {
    phrases.add(phrase);
  }
  EXPECT_EQ(phrases.match(Words("gold price now"), 0), 2U);
  EXPECT_EQ(phrases.match(Words("gold coin"), 0), 1U);
  EXPECT_EQ(phrases.match(Words("good price"), 0), 0U);
  EXPECT_EQ(phrases.match(Words("golden price"), 0), 0U);
  EXPECT_TRUE(phrases.contains_any(Words("the antidisestablishmentarianism of the thirty first kind")));
  EXPECT_FALSE(phrases.contains_any(Words("an antidisestablishmentarianist of the thirty first kind")));
}

}  // namespace
}  // namespace kvasir::cache
