#include "embed/wordpiece.hpp"

#include "tests/embed/test_model.hpp"

#include <cstdint>
#include <random>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace kvasir::embed {
namespace {

using testing::ElementsAre;

enum : TokenId { kPad, kUnk, kCls, kSep, kMask, kEmbed, kDing, kS, kComma, kHao, kE, kBoth, kA, kMoreA };
constexpr const char* kVocabulary =
    "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\nembed\n##ding\n##s\n,\n好\ne\nembedd\na\n##a\n";

std::vector<TokenId> encode(std::string_view text, std::size_t max_tokens = 256) {
  std::string error;
  const auto tokenizer = WordPiece::parse(kVocabulary, error);
  EXPECT_TRUE(tokenizer) << error;
  return tokenizer->encode(text, max_tokens);
}

TEST(WordPiece, CutsAWordIntoTheLongestPiecesFirst) {
  EXPECT_THAT(encode("embed"), ElementsAre(kCls, kEmbed, kSep));
  EXPECT_THAT(encode("embeds"), ElementsAre(kCls, kEmbed, kS, kSep));
}

TEST(WordPiece, MakesAWordUnknownWhenItsGreedyCutGetsStuck) {
  // "embedd" is taken before "embed", and then nothing continues with "ing".
  EXPECT_THAT(encode("embeddings embed"), ElementsAre(kCls, kUnk, kEmbed, kSep));
}

TEST(WordPiece, IgnoresCaseAccentsAndControlCharacters) {
  EXPECT_THAT(encode("\x01 \xC3\x89MBED\xCC\x81\x7F\xE2\x80\x8BS "), ElementsAre(kCls, kEmbed, kS, kSep));
}

TEST(WordPiece, SeparatesPunctuationAndIdeographs) {
  EXPECT_THAT(encode("e,e好e"), ElementsAre(kCls, kE, kComma, kE, kHao, kE, kSep));
}

TEST(WordPiece, GivesAnEmptyTextItsTwoMarks) {
  EXPECT_THAT(encode(""), ElementsAre(kCls, kSep));
  EXPECT_THAT(encode(" \t\r\n\xE3\x80\x80"), ElementsAre(kCls, kSep));
}

TEST(WordPiece, KeepsAWordOfAHundredCharactersAndNoLonger) {
  EXPECT_EQ(encode(std::string(100, 'a')).size(), 102U);
  EXPECT_THAT(encode(std::string(101, 'a')), ElementsAre(kCls, kUnk, kSep));
}

TEST(WordPiece, CutsTokensPastTheLimitEvenInsideAWord) {
  EXPECT_THAT(encode("e e e", 4), ElementsAre(kCls, kE, kE, kSep));
  EXPECT_THAT(encode("e embeds", 4), ElementsAre(kCls, kE, kEmbed, kSep));
  EXPECT_THAT(encode("e", 2), ElementsAre(kCls, kSep));
}

TEST(WordPiece, ReadsTheLiteralMarksAsTheirTokens) {
  EXPECT_THAT(encode("e[SEP]e[MASK]"), ElementsAre(kCls, kE, kSep, kE, kMask, kSep));
  EXPECT_THAT(encode("[sep"), ElementsAre(kCls, kUnk, kUnk, kSep));
}

TEST(WordPiece, DropsBytesThatAreNoUtf8) {
  EXPECT_THAT(encode("e\xFF\xC3 e\xED\xA0\x80\xF5 e\xE5\xA5"), ElementsAre(kCls, kE, kE, kE, kSep));
}

TEST(WordPiece, FollowsAWordAcrossChunksOfDecomposition) {
  // Punctuated words without a space, then one whose accents stand where a chunk of 256 would end.
  std::string text;
  std::vector<TokenId> expected = {kCls};
  for (int i = 0; i < 126; ++i) {
    text += "e,";
    expected.insert(expected.end(), {kE, kComma});
  }
  text +=
      "e\xCC\x81mb\xCC\x81\xCC\xA3\xC3\x89"
      "ds,e";
  expected.insert(expected.end(), {kEmbed, kS, kComma, kE, kSep});
  EXPECT_EQ(encode(text, 1000), expected);
}

TEST(WordPiece, DropsARunOfCombiningMarksOfAnyLength) {
  // Two marks in turn that canonical order would sort: U+0301 (class 230) and U+0316 (class 220).
  std::string marks;
  for (int i = 0; i < 200'000; ++i) marks += "\xCC\x81\xCC\x96";
  EXPECT_THAT(encode("e" + marks + " e"), ElementsAre(kCls, kE, kE, kSep));
}

TEST(WordPiece, TakesAnyBytes) {
  std::mt19937 random(1);
  for (int i = 0; i < 2000; ++i) {
    std::string text(random() % 64, '\0');
    for (char& byte : text) byte = static_cast<char>(random());
    const auto ids = encode(text, 16);
    ASSERT_GE(ids.size(), 2U);
    ASSERT_LE(ids.size(), 16U);
    EXPECT_EQ(ids.front(), kCls);
    EXPECT_EQ(ids.back(), kSep);
    EXPECT_THAT(ids, testing::Each(testing::AllOf(testing::Ge(0), testing::Le(kMoreA))));
  }
}

TEST(WordPiece, RefusesAVocabularyWithoutItsMarks) {
  std::string error;
  EXPECT_FALSE(WordPiece::parse("[PAD]\n[UNK]\n[CLS]\nthe\n", error));
  EXPECT_EQ(error, "it has no [SEP]");
  EXPECT_FALSE(WordPiece::open("/nonexistent/vocab.txt", error));
  EXPECT_EQ(error, "cannot open /nonexistent/vocab.txt");
}

// FNV-1a over the ids as little-endian 32-bit numbers, as make_golden.py writes it.
std::string fnv1a(const std::vector<TokenId>& ids) {
  std::uint64_t digest = 0xcbf29ce484222325;
  for (const TokenId id : ids) {
    for (int shift = 0; shift < 32; shift += 8) {
      digest = (digest ^ (static_cast<std::uint32_t>(id) >> shift & 0xffU)) * 0x100000001b3;
    }
  }
  char hex[17];
  std::snprintf(hex, sizeof hex, "%016llx", static_cast<unsigned long long>(digest));
  return hex;
}

class RealVocabulary : public testing::Test {
 protected:
  void SetUp() override {
    if (!has_minilm()) GTEST_SKIP() << "no model in " << minilm_folder();
    std::string error;
    tokenizer_ = WordPiece::open(minilm_folder() / "vocab.txt", error);
    ASSERT_TRUE(tokenizer_) << error;
    golden_ = golden("golden_tokens.json");
    max_tokens_ = golden_["max_tokens"];
  }

  std::optional<WordPiece> tokenizer_;
  nlohmann::json golden_;
  std::size_t max_tokens_ = 0;
};

TEST_F(RealVocabulary, GivesTheReferenceTokenizersIdsOnOddTexts) {
  ASSERT_GE(golden_["texts"].size(), 200U);
  for (const auto& entry : golden_["texts"]) {
    const std::string text = entry["text"];
    EXPECT_EQ(tokenizer_->encode(text, max_tokens_), entry["ids"].get<std::vector<TokenId>>()) << text;
  }
}

TEST_F(RealVocabulary, GivesTheReferenceTokenizersIdsOnAllOfXquad) {
  for (const std::string language : {"en", "vi", "zh"}) {
    if (!std::filesystem::exists(xquad_file(language))) GTEST_SKIP() << "no " << xquad_file(language);
    const auto texts = xquad_texts(language);
    const auto& expected = golden_["xquad_fnv1a"][language];
    ASSERT_EQ(texts.size(), expected.size());
    for (std::size_t i = 0; i < texts.size(); ++i) {
      ASSERT_EQ(fnv1a(tokenizer_->encode(texts[i], max_tokens_)), expected[i].get<std::string>())
          << language << " " << i << ": " << texts[i];
    }
  }
}

}  // namespace
}  // namespace kvasir::embed
