// SentencePiece vocabularies: the ids of the reference, spaces where they belong, bytes for what has no piece.
#include "engine/output_constraints.hpp"
#include "engine/tokenizer_utf8.hpp"
#include "tests/engine/grammars.hpp"
#include "tests/engine/small_tokenizer.hpp"

#include <gmock/gmock.h>
#include <nlohmann/json.hpp>

namespace kvasir::engine {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

//  0 <unk>  1 <s>  2 </s>  3 ▁  4 a  5 b  6 c  7 ab  8 bc  9 ▁a  10 <x> (user-defined)  11 <0xC3>  12 <0xA9>  13 s>
//  14 <s  (and <s> could be merged of its pieces)   15 é
SmallModel abc() {
  SmallModel model;
  model.text("tokenizer.ggml.model", "llama");
  model.texts("tokenizer.ggml.tokens", {"<unk>", "<s>", "</s>", "▁", "a", "b", "c", "ab", "bc", "▁a", "<x>", "<0xC3>",
                                        "<0xA9>", "s>", "<s", "<", "s", ">"});
  model.numbers("tokenizer.ggml.scores", {0, 0, 0, -9, -10, -11, -12, -2, -1, -3, 0, 0, 0, -4, -4, -13, -14, -15});
  model.integers("tokenizer.ggml.token_type",
                 {kUnknown, kControl, kControl, kNormal, kNormal, kNormal, kNormal, kNormal, kNormal, kNormal,
                  kUserDefined, kByte, kByte, kNormal, kNormal, kNormal, kNormal, kNormal});
  return model;
}

SmallModel plain_abc() {
  return abc().boolean("tokenizer.ggml.add_bos_token", false).boolean("tokenizer.ggml.add_space_prefix", false);
}

TEST(SentencePiece, MergesTheHighestScoreFirstWhereverItStands) {
  const auto tokenizer = *plain_abc().tokenizer();
  EXPECT_THAT(tokenizer->encode("abc", true), ElementsAre(4, 8));  // bc is better than ab
  EXPECT_THAT(tokenizer->encode("abab", true), ElementsAre(7, 7));
  EXPECT_THAT(tokenizer->encode(" ab", true), ElementsAre(3, 7));  // ab is better than ▁a
  EXPECT_THAT(tokenizer->encode(" ac", true), ElementsAre(9, 6));
  EXPECT_THAT(tokenizer->encode("", true), IsEmpty());
}

TEST(SentencePiece, OfEqualScoresTheLeftmostComesFirst) {
  EXPECT_THAT((*plain_abc().tokenizer())->encode("<s>", false), ElementsAre(14, 17));
}

TEST(SentencePiece, TextNeverBecomesAControlTokenByMerging) {
  const auto tokenizer = *plain_abc().tokenizer();
  EXPECT_THAT(tokenizer->encode("<s>", true), ElementsAre(1));
  EXPECT_THAT(tokenizer->encode("<s>", false), ElementsAre(14, 17));
}

TEST(SentencePiece, TextsGetASpaceInFrontAtTheStartAndBehindSpecialTokens) {
  const auto tokenizer = *abc().tokenizer();
  EXPECT_THAT(tokenizer->encode("a", true), ElementsAre(1, 9));
  EXPECT_THAT(tokenizer->encode("a<x>a</s>b", true), ElementsAre(1, 9, 10, 9, 2, 3, 5));
  EXPECT_THAT(tokenizer->encode("<s>a", true), ElementsAre(1, 9)) << "the template wrote BOS already";
  EXPECT_THAT(tokenizer->encode("", true), ElementsAre(1));
  EXPECT_TRUE(tokenizer->adds_space());
  EXPECT_FALSE((*plain_abc().tokenizer())->adds_space());
}

TEST(SentencePiece, WhatHasNoPieceIsSpelledInBytesOrUnknown) {
  const auto tokenizer = *plain_abc().tokenizer();
  EXPECT_THAT(tokenizer->encode("aéb", true), ElementsAre(4, 11, 12, 5));
  EXPECT_THAT(tokenizer->encode("a好b", true), ElementsAre(4, 0, 5)) << "not all of its bytes have tokens";
  EXPECT_EQ(bytes_of(*tokenizer, {4, 11, 12}), "aé");
  EXPECT_EQ(tokenizer->bytes(0), "");
  EXPECT_EQ(tokenizer->bytes(9), " a");
}

TEST(SentencePiece, Phi3SpecialTokensTakeTheWhiteSpaceBehindThemAlong) {
  const auto phi3 = *plain_abc().text("general.name", "Phi-3 Mini").tokenizer();
  EXPECT_THAT(phi3->encode("<x> \n ab", true), ElementsAre(10, 7));
  EXPECT_THAT(phi3->encode("<s> ac", true), ElementsAre(1, 9, 6));
}

TEST(SentencePiece, AScoreForEachTokenIsAMust) {
  const auto message = [](SmallModel& model) {
    const auto result = model.tokenizer();
    return result ? "loaded" : result.error().message;
  };
  SmallModel none;
  none.text("tokenizer.ggml.model", "llama").texts("tokenizer.ggml.tokens", {"a"});
  EXPECT_THAT(message(none), HasSubstr("tokenizer.ggml.scores is missing"));
  SmallModel few;
  few.text("tokenizer.ggml.model", "llama").texts("tokenizer.ggml.tokens", {"a", "b"});
  few.numbers("tokenizer.ggml.scores", {0});
  EXPECT_THAT(message(few), HasSubstr("has 2 tokens and 1 scores"));
  SmallModel odd;
  odd.text("tokenizer.ggml.model", "llama").texts("tokenizer.ggml.tokens", {"a"});
  odd.numbers("tokenizer.ggml.scores", {std::nanf("")});
  EXPECT_THAT(message(odd), HasSubstr("token 0 has no finite score"));
}

TEST(SentencePiece, TheSpaceInFrontIsPartOfAContinuationButNotOfAText) {
  const auto tokenizer = *abc().tokenizer();
  EXPECT_EQ(text_of(*tokenizer, {1, 9, 5}, Detokenizer::Of::text), "ab");
  EXPECT_EQ(text_of(*tokenizer, {9, 5}, Detokenizer::Of::continuation), " ab");
  EXPECT_EQ(text_of(*tokenizer, {3, 9}, Detokenizer::Of::text), " a") << "one space only";
  EXPECT_EQ(text_of(*tokenizer, {5, 9}, Detokenizer::Of::text), "b a");
  EXPECT_EQ(text_of(**plain_abc().tokenizer(), {9}, Detokenizer::Of::text), " a");
}

class TinySentencePiece : public ::testing::TestWithParam<std::string> {
 protected:
  void SetUp() override {
    const auto path = shared_data() / "engine_golden" / "tiny" / ("tiny_" + GetParam() + "_f32.gguf");
    if (!std::filesystem::exists(path)) GTEST_SKIP() << path << " is not there";
    tokenizer_ = load_tokenizer(path);
    ASSERT_NE(tokenizer_, nullptr);
  }
  std::unique_ptr<Tokenizer> tokenizer_;
};

INSTANTIATE_TEST_SUITE_P(Models, TinySentencePiece, ::testing::Values("mistral_like", "gemma3", "phi3"),
                         [](const auto& test) { return test.param; });

TEST_P(TinySentencePiece, RandomCharactersComeBackAsTheyWere) {
  const std::vector<std::string> characters{" ", "  ", "a",    "the", "\n",   "\t",   "é",
                                            "ệ", "你", "🦙", "<s",  "\x7F", "0x0A>"};
  std::mt19937 random(11);
  for (int round = 0; round < 500; ++round) {
    std::string text;
    for (std::size_t i = random() % 32; i > 0; --i) text += characters[random() % characters.size()];
    EXPECT_EQ(text_of(*tokenizer_, tokenizer_->encode(text, false), Detokenizer::Of::text), text);
  }
}

TEST_P(TinySentencePiece, RandomBytesAreTokenisedWhateverTheyAre) {
  std::mt19937 random(12);
  for (int round = 0; round < 500; ++round) {
    std::string text(random() % 64, '\0');
    for (char& byte : text) byte = static_cast<char>(random() % 256);
    EXPECT_EQ(tokenizer_->encode(text, false).size() <= 1, text.empty());
  }
}

TEST_P(TinySentencePiece, AMegabyteOfOneCharacterIsOneOfMany) {
  for (const char character : {'a', ' ', '\n', '<', '1', '\xF0'}) {
    const std::string text(1 << 20, character);
    const std::string space = tokenizer_->adds_space() ? " " : "";
    EXPECT_EQ(bytes_of(*tokenizer_, tokenizer_->encode(text, true)), space + text);
  }
}

TEST_P(TinySentencePiece, TokensSayTheSameOneByOneAsAllAtOnce) {
  std::mt19937 random(3);
  for (int round = 0; round < 300; ++round) {
    std::vector<TokenId> tokens(random() % 40);
    for (TokenId& token : tokens) token = static_cast<TokenId>(random() % (round % 2 == 0 ? 260 : 512));
    std::string whole = bytes_of(*tokenizer_, tokens);
    std::string lossy;
    for (std::string_view rest = whole; !rest.empty();) {
      const Utf8Character next = decode_utf8(rest);
      lossy += next.status == Utf8Status::valid ? rest.substr(0, next.bytes) : kReplacementCharacter;
      rest.remove_prefix(next.bytes);
    }
    Detokenizer detokenizer(*tokenizer_);
    std::string text;
    for (const TokenId token : tokens) {
      const std::string piece = detokenizer.push(token);
      for (std::string_view rest = piece; !rest.empty();) {
        const Utf8Character next = decode_utf8(rest);
        ASSERT_EQ(next.status, Utf8Status::valid);
        rest.remove_prefix(next.bytes);
      }
      text += piece;
    }
    EXPECT_EQ(text + detokenizer.finish(), lossy);
  }
}

TEST_P(TinySentencePiece, MasksAllowExactlyTheTokensWhoseBytesTheGrammarTakes) {
  const auto trie = std::make_shared<const TokenTrie>(*tokenizer_);
  ASSERT_TRUE(trie->spells_json());
  TokenMatcher matcher(std::make_shared<TokenConstraint>(
      schema_grammar(R"({"type": "object", "properties": {"é": {"type": "string"}}, "required": ["é"],
                         "additionalProperties": false})"),
      trie));
  for (const char* piece : {"{\"", "\xC3", "\xA9", "\": ", "\"", "th", "\xF0\x9F", "\x98\x80", "\""}) {
    matcher.accept(piece);
    ASSERT_TRUE(matcher.alive()) << piece;
    const TokenMask& mask = matcher.allowed();
    for (TokenId token = 0; token < tokenizer_->size(); ++token) {
      TokenMatcher copy = matcher;
      bool fits = tokenizer_->ends_generation(token) && matcher.may_end();
      if (!tokenizer_->ends_generation(token) && !tokenizer_->bytes(token).empty()) {
        copy.accept(tokenizer_->bytes(token));
        fits = copy.alive();
      }
      ASSERT_EQ(mask.contains(token), fits) << piece << " then " << tokenizer_->piece(token);
    }
  }
}

TEST_P(TinySentencePiece, RandomAnswersUnderASchemaAreWhole) {
  const auto trie = std::make_shared<const TokenTrie>(*tokenizer_);
  const auto object = std::make_shared<TokenConstraint>(*format_grammar({OutputFormat::Kind::json_object, ""}), trie);
  std::mt19937 random(7);
  for (int i = 0; i < 20; ++i) {
    const std::string text = random_answer(*tokenizer_, object, random, 60, 600);
    EXPECT_TRUE(text.empty() || nlohmann::json::accept(text)) << text;
  }
}

TEST(SentencePiece, Gemma3IdsEqualTheReference) {
  const auto golden = shared_data() / "engine_golden" / "real" / "gemma3.json";
  const auto path = model_path(kGemma3);
  if (!std::filesystem::exists(golden)) GTEST_SKIP() << golden << " is not there";
  if (!std::filesystem::exists(path)) GTEST_SKIP() << "no model at " << path;
  const auto tokenizer = load_tokenizer(path);
  ASSERT_NE(tokenizer, nullptr);
  const auto prompts = nlohmann::json::parse(read_bytes(golden))["prompts"];
  for (const auto& [name, prompt] : prompts.items()) {
    EXPECT_EQ(tokenizer->encode(prompt["text"].get<std::string>(), true), prompt["tokens"].get<std::vector<TokenId>>())
        << name;
  }
}

}  // namespace
}  // namespace kvasir::engine
