// Unigram vocabularies: the best of all ways to cut a text, and normalisation from files that may say anything.
#include "engine/tokenizer_charsmap.hpp"
#include "tests/engine/small_tokenizer.hpp"

#include <gmock/gmock.h>

namespace kvasir::engine {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

//  0 <pad>  1 </s>  2 <unk>  3 ▁  4 a  5 b  6 c  7 ab  8 bc  9 ▁ab  10 abc  11 <x> (user-defined)
SmallModel abc() {
  SmallModel model;
  model.text("tokenizer.ggml.model", "t5");
  model.texts("tokenizer.ggml.tokens", {"<pad>", "</s>", "<unk>", "▁", "a", "b", "c", "ab", "bc", "▁ab", "abc", "<x>"});
  model.numbers("tokenizer.ggml.scores", {0, 0, 0, -2, -3, -3, -3, -4, -2, -3.5F, -6, 0});
  model.integers("tokenizer.ggml.token_type", {kControl, kControl, kUnknown, kNormal, kNormal, kNormal, kNormal,
                                               kNormal, kNormal, kNormal, kNormal, kUserDefined});
  return model;
}

SmallModel without_eos() {
  return abc().boolean("tokenizer.ggml.add_eos_token", false);
}

TEST(Unigram, TakesTheBestSumOfScores) {
  const auto tokenizer = *without_eos().tokenizer();
  EXPECT_THAT(tokenizer->encode("abc", true), ElementsAre(4, 8));  // -5 against -6 and -7
  EXPECT_THAT(tokenizer->encode("ab", true), ElementsAre(7));
  EXPECT_THAT(tokenizer->encode(" abc", true), ElementsAre(9, 6));  // -6.5 against -7
  EXPECT_THAT(tokenizer->encode("a<x>b", true), ElementsAre(4, 11, 5));
  EXPECT_THAT(tokenizer->encode("", true), IsEmpty());
}

TEST(Unigram, EndsPromptsWithEosUnlessTheFileSaysOtherwise) {
  EXPECT_THAT((*abc().tokenizer())->encode("ab", true), ElementsAre(7, 1));
}

TEST(Unigram, SpacesFollowTheFile) {
  const auto prefix = *without_eos().boolean("tokenizer.ggml.add_space_prefix", true).tokenizer();
  EXPECT_THAT(prefix->encode("ab", true), ElementsAre(9));
  EXPECT_EQ(text_of(*prefix, {9}, Detokenizer::Of::text), "ab");
  const auto merged = *without_eos().boolean("tokenizer.ggml.remove_extra_whitespaces", true).tokenizer();
  EXPECT_THAT(merged->encode("  a   b  ", true), ElementsAre(3, 4, 3, 5));
  EXPECT_THAT((*without_eos().tokenizer())->encode("a  b", true), ElementsAre(4, 3, 3, 5));
}

TEST(Unigram, ARunOfUnknownCharactersIsOneUnknownToken) {
  const auto tokenizer = *without_eos().tokenizer();
  EXPECT_THAT(tokenizer->encode("a你好\xFF"
                                "b",
                                true),
              ElementsAre(4, 2, 5));
}

TEST(Unigram, WhereEveryByteHasATokenUnknownCharactersAreSpelled) {
  std::vector<std::string> tokens{"<pad>", "</s>", "<unk>", "a"};
  std::vector<std::int32_t> types{kControl, kControl, kUnknown, kNormal};
  for (int byte = 0; byte < 256; ++byte) {
    char text[8];
    std::snprintf(text, sizeof text, "<0x%02X>", static_cast<unsigned>(byte));
    tokens.emplace_back(text);
    types.push_back(kByte);
  }
  SmallModel model;
  model.text("tokenizer.ggml.model", "t5").texts("tokenizer.ggml.tokens", tokens);
  model.numbers("tokenizer.ggml.scores", std::vector<float>(tokens.size(), -1));
  model.integers("tokenizer.ggml.token_type", types).boolean("tokenizer.ggml.add_eos_token", false);
  const auto tokenizer = *model.tokenizer();
  EXPECT_THAT(tokenizer->encode("aé", true), ElementsAre(3, 4 + 0xC3, 4 + 0xA9));
  EXPECT_EQ(bytes_of(*tokenizer, tokenizer->encode("a你好a", true)), "a你好a");
}

TEST(Unigram, AMegabyteIsOneOfMany) {
  const auto tokenizer = *without_eos().tokenizer();
  for (const char character : {'a', ' ', 'z', '\xF0'}) {
    EXPECT_FALSE(tokenizer->encode(std::string(1 << 20, character), true).empty());
  }
}

std::vector<std::int64_t> charsmap_of(const std::vector<std::uint32_t>& units, const std::string& replacement) {
  std::string blob(4, '\0');
  const auto bytes = static_cast<std::uint32_t>(units.size() * 4);
  std::memcpy(blob.data(), &bytes, 4);
  blob.append(reinterpret_cast<const char*>(units.data()), bytes);
  blob += replacement + std::string(1, '\0');
  return {blob.begin(), blob.end()};
}

// A map of one rule: the byte `from` becomes `to`.
std::vector<std::int64_t> one_rule(unsigned char from, const std::string& to) {
  // The root's offset is 256, so the child for `from` stands at 256 ^ from; its value, without an offset of its own
  // that would lead elsewhere, at the unit beside it.
  std::vector<std::uint32_t> units(1024);
  units[0] = 256U << 10;
  const std::uint32_t child = 256U ^ from;
  units[child] = 512U << 10 | 1U << 8 | from;
  units[child ^ 512U] = 1U << 31 | 0U;
  return charsmap_of(units, to);
}

TEST(Unigram, TheCharsmapReplacesCharacters) {
  const auto map = Charsmap::from(one_rule('B', "bc"));
  ASSERT_TRUE(map) << map.error().message;
  ASSERT_TRUE(map->match("Ba"));
  EXPECT_EQ(map->match("Ba")->replacement, "bc");
  EXPECT_EQ(map->match("Ba")->bytes, 1U);
  EXPECT_FALSE(map->match("a"));
  EXPECT_FALSE(map->match(""));
  EXPECT_FALSE(Charsmap().match("B"));
}

TEST(Unigram, ACharsmapReadsAFewCharactersOfATextAtMost) {
  // Behind the 'a' stands the unit of the 'a' again.
  std::vector<std::uint32_t> units(1024);
  units[0] = 256U << 10;
  units[256U ^ 'a'] = std::uint32_t{'a'} << 10 | 1U << 8 | 'a';
  units[256] = 1U << 31 | 0U;
  const auto map = Charsmap::from(charsmap_of(units, "b"));
  ASSERT_TRUE(map) << map.error().message;
  const auto rule = map->match(std::string(1 << 20, 'a'));
  ASSERT_TRUE(rule);
  EXPECT_EQ(rule->bytes, Charsmap::kMaxText);
}

TEST(Unigram, ADamagedCharsmapIsRefusedOrMatchesNothing) {
  const auto message = [](std::vector<std::int64_t> bytes) {
    const auto map = Charsmap::from(bytes);
    return map ? "read" : map.error().message;
  };
  EXPECT_THAT(message({1, 0}), HasSubstr("is cut"));
  EXPECT_THAT(message({8, 0, 0, 0, 1, 2, 3, 4}), HasSubstr("has no room for its trie"));
  EXPECT_THAT(message({0, 0, 0, 0, 'x'}), HasSubstr("ends inside a replacement"));
  EXPECT_THAT(message(one_rule('B', std::string(65, 'x'))), HasSubstr("replacement of more than 64 bytes"));
  std::mt19937 random(5);
  for (int round = 0; round < 2000; ++round) {
    auto bytes = one_rule('B', "bc");
    for (int i = 0; i < 40; ++i) bytes[4 + random() % (bytes.size() - 8)] = static_cast<std::int64_t>(random() % 256);
    const auto map = Charsmap::from(bytes);
    if (!map) continue;
    for (int byte = 0; byte < 256; ++byte) {
      const std::string text{static_cast<char>(byte), 'a', 'B'};
      EXPECT_LE(map->match(text).value_or(Charsmap::Rule{}).replacement.size(), Charsmap::kMaxReplacement);
    }
  }
}

}  // namespace
}  // namespace kvasir::engine
