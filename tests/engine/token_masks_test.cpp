// Masks over a real vocabulary: token by token as the grammar says, and random answers that are always whole.
#include "tests/engine/grammars.hpp"

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <fstream>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace kvasir::engine {
namespace {

constexpr const char* kPerson =
    R"({"type": "object", "properties": {"name": {"type": "string"}, "age": {"type": "integer",
  "minimum": 0, "maximum": 150}, "tags": {"type": "array", "items": {"enum": ["a", "bb", "ccc"]}, "maxItems": 3}},
  "required": ["name", "age"], "additionalProperties": false})";

class TokenMasksOfSmolLM2 : public testing::Test {
 protected:
  void SetUp() override {
    tokenizer_ = smollm2_tokenizer();
    if (tokenizer_ == nullptr) GTEST_SKIP() << "no model; deploy/fetch_models.sh brings it";
    trie_ = std::make_shared<const TokenTrie>(*tokenizer_);
  }
  std::shared_ptr<TokenConstraint> constraint(std::string_view schema) const {
    return std::make_shared<TokenConstraint>(schema_grammar(schema), trie_);
  }

  std::unique_ptr<Tokenizer> tokenizer_;
  std::shared_ptr<const TokenTrie> trie_;
};

TEST_F(TokenMasksOfSmolLM2, SpellJson) {
  EXPECT_TRUE(trie_->spells_json());
}

TEST_F(TokenMasksOfSmolLM2, AllowExactlyTheTokensWhoseBytesTheGrammarTakes) {
  const std::vector<std::pair<std::string, std::vector<std::string>>> walks{
      {kPerson, {"{\"", "name", "\": \"", "J\xC3", "\xA9", "\\", "u00", "e9", "\",", " \"a", "ge\"", ":", "15"}},
      {R"({"type": "string", "minLength": 2, "maxLength": 4})", {"\"", "a", "b", "\xF0\x9F", "\x98\x80", "d"}},
      {R"({"anyOf": [{"type": "string", "maxLength": 1}, {"const": "another"}]})", {"\"", "a", "no"}},
      {R"({"type": "object", "properties": {"a": {}}, "additionalProperties": {"type": "string"}})",
       {"{\"", "b", "\\\""}}};
  for (const auto& [schema, pieces] : walks) {
    TokenMatcher matcher(constraint(schema));
    for (const std::string& piece : pieces) {
      matcher.accept(piece);
      ASSERT_TRUE(matcher.alive()) << piece;
      const TokenMask& mask = matcher.allowed();
      for (TokenId token = 0; token < tokenizer_->size(); ++token) {
        TokenMatcher copy = matcher;
        bool fits = false;
        if (tokenizer_->ends_generation(token)) {
          fits = matcher.may_end();
        } else if (!tokenizer_->bytes(token).empty()) {
          copy.accept(tokenizer_->bytes(token));
          fits = copy.alive();
        }
        ASSERT_EQ(mask.contains(token), fits) << schema << piece << " then " << tokenizer_->piece(token);
      }
    }
  }
}

TEST_F(TokenMasksOfSmolLM2, AllowOnlyTheEndAfterTheEnd) {
  TokenMatcher matcher(constraint(R"({"type": "integer", "maximum": 9, "minimum": 0})"));
  matcher.accept("7");
  EXPECT_TRUE(matcher.complete());
  std::vector<TokenId> left;
  matcher.allowed().for_each([&](TokenId token) { left.push_back(token); });
  ASSERT_FALSE(left.empty());
  for (const TokenId token : left) EXPECT_TRUE(tokenizer_->ends_generation(token));
}

TEST_F(TokenMasksOfSmolLM2, TakeEveryDocumentTokenisedTheUsualWay) {
  const auto shared = constraint(kPerson);
  for (const char* text : {R"({"name": "Ada Lovelace", "age": 36})", R"({"name":"\"\\\n","age":0,"tags":["a","ccc"]})",
                           "{\"name\": \"\xE4\xBD\xA0\xE5\xA5\xBD \xF0\x9F\x98\x80\", \"age\": 150, \"tags\": []}"}) {
    TokenMatcher matcher(shared);
    for (const TokenId token : tokenizer_->encode(text, false)) {
      ASSERT_TRUE(matcher.allowed().contains(token)) << text << " at " << tokenizer_->piece(token);
      matcher.accept(tokenizer_->bytes(token));
    }
    EXPECT_TRUE(matcher.complete()) << text;
  }
}

TEST_F(TokenMasksOfSmolLM2, SurviveAMoveToFreshMasksInMidAnswer) {
  // Each length has masks of its own, so that the bound on memory is met again and again.
  const auto shared =
      constraint(R"({"type": "array", "items": {"type": "string", "minLength": 1500}, "minItems": 1, "maxItems": 1})");
  TokenMatcher matcher(shared);
  const auto first = shared->masks();
  matcher.accept("[\"");
  for (int i = 0; i < 1600; ++i) {
    EXPECT_EQ(matcher.allowed().contains(tokenizer_->encode("\"]", false).front()), i >= 1500) << i;
    matcher.accept("x");
  }
  EXPECT_NE(shared->masks(), first);
  EXPECT_LE(shared->masks()->bytes(), 2 * TokenConstraint::kMaxBytes);
  matcher.accept("\"]");
  EXPECT_TRUE(matcher.complete());
}

TEST_F(TokenMasksOfSmolLM2, MakeRandomAnswersThatAreWhole) {
  std::mt19937 random(7);
  const auto person = constraint(kPerson);
  const auto object = std::make_shared<TokenConstraint>(*format_grammar({OutputFormat::Kind::json_object, ""}), trie_);
  for (int i = 0; i < 40; ++i) {
    const std::string text = random_answer(*tokenizer_, i % 2 == 0 ? person : object, random, 60, 600);
    if (text.empty()) continue;
    const auto json = nlohmann::json::parse(text, nullptr, false);
    ASSERT_FALSE(json.is_discarded()) << text;
    EXPECT_TRUE(json.is_object());
  }
}

}  // namespace
}  // namespace kvasir::engine
