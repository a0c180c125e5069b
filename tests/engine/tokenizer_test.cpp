// Token ids equal to the reference's, text that survives the way there and back, and input that is anything at all.
#include "engine/tokenizer.hpp"

#include "engine/tokenizer_utf8.hpp"
#include "tests/engine/small_tokenizer.hpp"

#include <filesystem>
#include <fstream>
#include <map>
#include <random>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace kvasir::engine {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

std::vector<std::string> split_at(const std::string& text, const std::string& separator) {
  std::vector<std::string> parts;
  std::size_t begin = 0;
  for (std::size_t end = text.find(separator); end != std::string::npos; end = text.find(separator, begin)) {
    parts.push_back(text.substr(begin, end - begin));
    begin = end + separator.size();
  }
  return parts;
}

//   0 a   1 b   2 c   3 ab   4 bc   5 <|im_end|> (control)   6 <x> (user-defined)   7 <x>y (control)   8 Ġ (space)
SmallModel abc(const std::string& pre = "gpt-2") {
  SmallModel model;
  model.text("tokenizer.ggml.model", "gpt2").text("tokenizer.ggml.pre", pre);
  model.texts("tokenizer.ggml.tokens", {"a", "b", "c", "ab", "bc", "<|im_end|>", "<x>", "<x>y", "Ġ"});
  model.integers("tokenizer.ggml.token_type",
                 {kNormal, kNormal, kNormal, kNormal, kNormal, kControl, kUserDefined, kControl, kNormal});
  model.texts("tokenizer.ggml.merges", {"b c", "a b"});
  return model;
}

TEST(Tokenizer, MergesTheBestRankFirstWhereverItStands) {
  const auto tokenizer = *abc().tokenizer();
  EXPECT_THAT(tokenizer->encode("abc", true), ElementsAre(0, 4));  // "b c" comes before "a b"
  EXPECT_THAT(tokenizer->encode("abab", true), ElementsAre(3, 3));
  EXPECT_THAT(tokenizer->encode("a b", true), ElementsAre(0, 8, 1));
  EXPECT_THAT(tokenizer->encode("", true), IsEmpty());
}

TEST(Tokenizer, SpecialTokensAreTakenByLongestMatchAndOnlyWhenAskedFor) {
  const auto tokenizer = *abc().tokenizer();
  EXPECT_THAT(tokenizer->encode("a<x>b", true), ElementsAre(0, 6, 1));
  EXPECT_THAT(tokenizer->encode("a<x>yb<|im_end|>", true), ElementsAre(0, 7, 1, 5));
  EXPECT_THAT(tokenizer->encode("ab<|im_end", true), ElementsAre(3));  // no token has these bytes: they are left out
  EXPECT_THAT(tokenizer->encode("ab<|im_end|>", false), ElementsAre(3));
  EXPECT_THAT(tokenizer->encode("ab<x>", false), ElementsAre(3, 6)) << "user-defined tokens are how text is written";
}

TEST(Tokenizer, ControlTokensHaveAPieceButNoBytes) {
  const auto tokenizer = *abc().tokenizer();
  EXPECT_EQ(tokenizer->piece(5), "<|im_end|>");
  EXPECT_EQ(tokenizer->bytes(5), "");
  EXPECT_TRUE(tokenizer->is_control(5));
  EXPECT_TRUE(tokenizer->ends_generation(5));
  EXPECT_EQ(tokenizer->bytes(6), "<x>");
  EXPECT_FALSE(tokenizer->is_control(6));
  EXPECT_EQ(tokenizer->bytes(8), " ");
  EXPECT_FALSE(tokenizer->ends_generation(3));
}

TEST(Tokenizer, IdsOutsideOfTheVocabularyAreHarmless) {
  const auto tokenizer = *abc().tokenizer();
  for (const TokenId token : {-1, 9, 1 << 30}) {
    EXPECT_EQ(tokenizer->bytes(token), "");
    EXPECT_EQ(tokenizer->piece(token), "");
    EXPECT_FALSE(tokenizer->ends_generation(token));
  }
}

TEST(Tokenizer, BosIsAddedOnceIfTheFileSaysSo) {
  const auto with =
      *abc().integer("tokenizer.ggml.bos_token_id", 7).boolean("tokenizer.ggml.add_bos_token", true).tokenizer();
  EXPECT_THAT(with->encode("a", true), ElementsAre(7, 0));
  EXPECT_THAT(with->encode("<x>ya", true), ElementsAre(7, 0)) << "the template wrote it already";
  EXPECT_EQ(with->bos(), 7);
  const auto without = *abc().integer("tokenizer.ggml.bos_token_id", 7).tokenizer();
  EXPECT_THAT(without->encode("a", true), ElementsAre(0));
  const auto llama3 = *abc("llama-bpe").integer("tokenizer.ggml.bos_token_id", 7).tokenizer();
  EXPECT_THAT(llama3->encode("a", true), ElementsAre(7, 0));
}

TEST(Tokenizer, EosIsAddedOnceIfTheFileSaysSo) {
  const auto with =
      *abc().integer("tokenizer.ggml.eos_token_id", 5).boolean("tokenizer.ggml.add_eos_token", true).tokenizer();
  EXPECT_THAT(with->encode("a", true), ElementsAre(0, 5));
  EXPECT_THAT(with->encode("a<|im_end|>", true), ElementsAre(0, 5));
}

TEST(Tokenizer, EndsOfEveryFamilyEndAnAnswer) {
  const std::vector<std::string> ends{"<|im_end|>", "<end_of_turn>", "</s>", "<|end|>", "<|eot_id|>", "<|endoftext|>"};
  std::vector<std::string> tokens = ends;
  tokens.insert(tokens.end(), {"<s>", "<|user|>", "[EOT]"});
  SmallModel model;
  model.text("tokenizer.ggml.model", "gpt2").text("tokenizer.ggml.pre", "gpt-2");
  model.texts("tokenizer.ggml.tokens", tokens).texts("tokenizer.ggml.merges", {});
  model.integers("tokenizer.ggml.token_type", {3, 3, 3, 3, 3, 3, 3, 3, kNormal});
  const auto tokenizer = *model.tokenizer();
  for (TokenId token = 0; token < tokenizer->size(); ++token) {
    EXPECT_EQ(tokenizer->ends_generation(token), token < static_cast<TokenId>(ends.size())) << tokenizer->piece(token);
  }
}

TEST(Tokenizer, WhereAnswersHaveChannelsTheEndOfOneEndsNoAnswer) {
  SmallModel model;
  model.text("tokenizer.ggml.model", "gpt2").text("tokenizer.ggml.pre", "gpt-4o");
  model.texts("tokenizer.ggml.tokens", {"<|end|>", "<|return|>", "<|call|>"}).texts("tokenizer.ggml.merges", {});
  model.integers("tokenizer.ggml.token_type", {3, 3, 3});
  const auto tokenizer = *model.tokenizer();
  EXPECT_FALSE(tokenizer->ends_generation(0));
  EXPECT_TRUE(tokenizer->ends_generation(1));
}

TEST(Tokenizer, EosAndEotEndAnAnswer) {
  const auto tokenizer =
      *abc().integer("tokenizer.ggml.eos_token_id", 1).integer("tokenizer.ggml.eot_token_id", 2).tokenizer();
  EXPECT_EQ(tokenizer->eos(), 1);
  EXPECT_TRUE(tokenizer->ends_generation(1));
  EXPECT_TRUE(tokenizer->ends_generation(2));
  EXPECT_TRUE(tokenizer->ends_generation(5));
  EXPECT_FALSE(tokenizer->ends_generation(0));
  EXPECT_EQ((*abc().tokenizer())->eos(), -1);
}

TEST(Tokenizer, WhatItCannotDoIsNamed) {
  const auto message = [](const Result<std::unique_ptr<Tokenizer>>& result) {
    return result ? "loaded" : result.error().message;
  };
  EXPECT_THAT(message(abc("klingon").tokenizer()), HasSubstr("needs the pre-tokenizer 'klingon', which is unknown"));
  EXPECT_EQ(abc("klingon").tokenizer().error().code, ErrorCode::unsupported_model);
  const auto rwkv = SmallModel().text("tokenizer.ggml.model", "rwkv").tokenizer();
  EXPECT_THAT(message(rwkv), HasSubstr("has a tokenizer of the kind 'rwkv'; byte-level BPE ('gpt2') and SentencePiece "
                                       "('llama', 't5') are supported"));
  EXPECT_EQ(rwkv.error().code, ErrorCode::unsupported_model);
  EXPECT_THAT(message(SmallModel().tokenizer()), HasSubstr("tokenizer.ggml.model is missing"));
}

TEST(Tokenizer, AVocabularyThatContradictsItselfIsRefused) {
  const auto message = [](SmallModel& model) {
    const auto result = model.tokenizer();
    return result ? "loaded" : result.error().message;
  };
  const auto model = [](std::vector<std::string> tokens, std::vector<std::int32_t> types,
                        std::vector<std::string> merges) {
    SmallModel file;
    file.text("tokenizer.ggml.model", "gpt2").text("tokenizer.ggml.pre", "gpt-2");
    file.texts("tokenizer.ggml.tokens", tokens).integers("tokenizer.ggml.token_type", types);
    file.texts("tokenizer.ggml.merges", merges);
    return file;
  };
  auto types = model({"a", "b"}, {1}, {});
  EXPECT_THAT(message(types), HasSubstr("has 2 tokens and 1 token types"));
  auto type = model({"a"}, {9}, {});
  EXPECT_THAT(message(type), HasSubstr("token 0 has the unknown type 9"));
  auto lost = model({"a", "b"}, {1, 1}, {"a b"});
  EXPECT_THAT(message(lost), HasSubstr("merge 0 names a piece that is not a token"));
  auto half = model({"a"}, {1}, {"a"});
  EXPECT_THAT(message(half), HasSubstr("merge 0 does not name two pieces"));
  auto endless = model({"a", std::string(1 << 16, 'a')}, {1, 3}, {});
  EXPECT_THAT(message(endless), HasSubstr("token 1 has 65536 bytes, more than 2048"));
  EXPECT_THAT(message(abc().integer("tokenizer.ggml.eos_token_id", 9)),
              HasSubstr("tokenizer.ggml.eos_token_id is 9, which is not a token"));
}

TEST(Tokenizer, SmolLM2IdsEqualTheReference) {
  const auto golden = shared_data() / "engine_golden" / "real" / "smollm2.json";
  if (!std::filesystem::exists(golden)) GTEST_SKIP() << golden << " is not there";
  if (!std::filesystem::exists(model_path(kSmolLm2)))
    GTEST_SKIP() << "no model at " << model_path(kSmolLm2) << "; deploy/fetch_models.sh brings it";
  const auto tokenizer = load_tokenizer(model_path(kSmolLm2));
  ASSERT_NE(tokenizer, nullptr);
  const auto prompts = nlohmann::json::parse(read_bytes(golden))["prompts"];
  ASSERT_THAT(prompts, Not(IsEmpty()));
  for (const auto& [name, prompt] : prompts.items()) {
    EXPECT_EQ(tokenizer->encode(prompt["text"].get<std::string>(), true), prompt["tokens"].get<std::vector<TokenId>>())
        << name;
  }
}

TEST(Tokenizer, ProbesOfTheTinyModelsEqualTheReference) {
  const auto folder = shared_data() / "engine_golden" / "tiny";
  if (!std::filesystem::exists(folder)) GTEST_SKIP() << folder << " is not there";
  for (const std::string name : {"tiny_llama_f32", "tiny_qwen2_f32", "tiny_qwen3_f32", "tiny_mistral_like_f32",
                                 "tiny_gemma3_f32", "tiny_phi3_f32"}) {
    const auto tokenizer = load_tokenizer(folder / (name + ".gguf"));
    ASSERT_NE(tokenizer, nullptr);
    const auto probes = nlohmann::json::parse(read_bytes(folder / (name + ".json")))["tokenizer_probes"];
    ASSERT_THAT(probes, Not(IsEmpty()));
    for (const auto& [text, ids] : probes.items()) {
      EXPECT_EQ(tokenizer->encode(text, true), ids.get<std::vector<TokenId>>()) << name << ": " << text;
    }
  }
}

class VocabularyVectors : public ::testing::TestWithParam<std::string> {};

TEST_P(VocabularyVectors, IdsEqualTheReference) {
  const auto path = shared_data() / "ggml_vocab" / ("ggml-vocab-" + GetParam() + ".gguf");
  if (!std::filesystem::exists(path)) GTEST_SKIP() << path << " is not there";
  const bool spm = GetParam() == "llama-spm" || GetParam() == "phi-3";
  if (const auto file = ModelFile::open(path); !file && !spm) GTEST_SKIP() << file.error().message;
  const auto tokenizer = spm ? *ReferenceVocabulary(path).tokenizer() : load_tokenizer(path);
  ASSERT_NE(tokenizer, nullptr);
  const auto texts = split_at(read_bytes(path.string() + ".inp"), "\n__ggml_vocab_test__\n");
  std::istringstream lines(read_bytes(path.string() + ".out"));
  ASSERT_THAT(texts, Not(IsEmpty()));
  for (const std::string& text : texts) {
    std::string line;
    ASSERT_TRUE(std::getline(lines, line));
    std::istringstream numbers(line);
    const std::vector<TokenId> ids{std::istream_iterator<TokenId>(numbers), {}};
    EXPECT_EQ(tokenizer->encode(text, false), ids) << text;
    EXPECT_EQ(text_of(*tokenizer, ids, Detokenizer::Of::text), text);
  }
}

INSTANTIATE_TEST_SUITE_P(Tokenizer, VocabularyVectors,
                         ::testing::Values("gpt-2", "falcon", "deepseek-coder", "llama-spm", "phi-3"),
                         [](const auto& test) {
                           std::string name = test.param;
                           std::erase(name, '-');
                           return name;
                         });

class TinyTokenizer : public ::testing::Test {
 protected:
  void SetUp() override {
    const auto path = shared_data() / "engine_golden" / "tiny" / "tiny_llama_f32.gguf";
    if (!std::filesystem::exists(path)) GTEST_SKIP() << path << " is not there";
    tokenizer_ = load_tokenizer(path);
    ASSERT_NE(tokenizer_, nullptr);
  }

  std::unique_ptr<Tokenizer> tokenizer_;
};

TEST_F(TinyTokenizer, RandomBytesComeBackAsTheyWere) {
  std::mt19937 random(11);
  for (int round = 0; round < 500; ++round) {
    std::string text(random() % 64, '\0');
    for (char& byte : text) byte = static_cast<char>(random() % 256);
    EXPECT_EQ(bytes_of(*tokenizer_, tokenizer_->encode(text, false)), text);
  }
}

TEST_F(TinyTokenizer, AMegabyteOfOneCharacterIsOneOfMany) {
  for (const char character : {'a', ' ', '\n', '<', '1', '\xF0'}) {
    const std::string text(1 << 20, character);
    EXPECT_EQ(bytes_of(*tokenizer_, tokenizer_->encode(text, true)), text);
  }
}

TEST_F(TinyTokenizer, WordsOfRandomLettersEqualPlainMerging) {
  // The slow and obvious way: again and again merge the leftmost best pair. Tokens were made in the order of merges.
  std::map<std::string, TokenId> by_bytes;
  for (TokenId token = 0; token < tokenizer_->size(); ++token) by_bytes.emplace(tokenizer_->bytes(token), token);
  std::mt19937 random(5);
  for (int round = 0; round < 200; ++round) {
    std::string word;
    for (std::size_t i = 1 + random() % 40; i > 0; --i) word.push_back("etaoinshrdlu"[random() % 12]);
    std::vector<TokenId> tokens;
    for (const char byte : word) tokens.push_back(by_bytes.at(std::string(1, byte)));
    for (bool merged = true; merged;) {
      merged = false;
      TokenId best = tokenizer_->size();
      std::size_t where = 0;
      for (std::size_t i = 0; i + 1 < tokens.size(); ++i) {
        const std::string bytes =
            std::string(tokenizer_->bytes(tokens[i])) + std::string(tokenizer_->bytes(tokens[i + 1]));
        const auto found = by_bytes.find(bytes);
        if (found == by_bytes.end() || found->second >= best) continue;
        best = found->second;
        where = i;
        merged = true;
      }
      if (!merged) break;
      tokens[where] = best;
      tokens.erase(tokens.begin() + static_cast<std::ptrdiff_t>(where) + 1);
    }
    EXPECT_EQ(tokenizer_->encode(word, false), tokens) << word;
  }
}

TEST_F(TinyTokenizer, TextIsGivenOutInWholeCharacters) {
  const std::string text = "Xin chào 🦙👩‍👩‍👧 你好!";
  std::string so_far;
  Detokenizer detokenizer(*tokenizer_);
  for (const char byte : text) {  // the hardest way: a token for every byte
    const auto token = tokenizer_->encode(std::string(1, byte), false);
    ASSERT_EQ(token.size(), 1U);
    const std::string piece = detokenizer.push(token[0]);
    for (std::string_view rest = piece; !rest.empty();) {
      const Utf8Character next = decode_utf8(rest);
      ASSERT_EQ(next.status, Utf8Status::valid);
      rest.remove_prefix(next.bytes);
    }
    so_far += piece;
  }
  EXPECT_EQ(so_far, text);
  EXPECT_EQ(detokenizer.finish(), "");
}

TEST_F(TinyTokenizer, BytesThatAreNoCharacterBecomeReplacementCharacters) {
  const std::map<std::string, std::string> cases{
      {"a\xFF"
       "b",
       "a\uFFFDb"},                // never valid
      {"\xF0\x9F\xA6", "\uFFFD"},  // the answer ends inside a llama
      {"\xF0\x9F"
       "a",
       "\uFFFDa"},                                       // a character breaks off
      {"\xC0\xAF", "\uFFFD\uFFFD"},                      // overlong
      {"\xED\xA0\x80", "\uFFFD\uFFFD\uFFFD"},            // a surrogate
      {"\xF4\x90\x80\x80", "\uFFFD\uFFFD\uFFFD\uFFFD"},  // past U+10FFFF
  };
  for (const auto& [bytes, text] : cases) {
    std::vector<TokenId> tokens;
    for (const char byte : bytes) tokens.push_back(tokenizer_->encode(std::string(1, byte), false).at(0));
    EXPECT_EQ(text_of(*tokenizer_, tokens), text);
  }
}

TEST_F(TinyTokenizer, ControlTokensAddNothingToTheText) {
  auto tokens = tokenizer_->encode("Hello", false);
  tokens.push_back(tokenizer_->eos());
  EXPECT_EQ(text_of(*tokenizer_, tokens), "Hello");
}

}  // namespace
}  // namespace kvasir::engine
