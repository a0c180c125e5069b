// Where the words of a text begin and end, for each way to cut that model files name.
#include "engine/pretokenizer.hpp"

#include <string>
#include <string_view>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace kvasir::engine {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

std::vector<std::string_view> split(std::string_view pre, std::string_view text) {
  const PreTokenizer* pre_tokenizer = PreTokenizer::named(pre);
  EXPECT_NE(pre_tokenizer, nullptr) << pre;
  return pre_tokenizer == nullptr ? std::vector<std::string_view>{} : pre_tokenizer->split(text);
}

TEST(PreTokenizer, Gpt2KeepsTheSpaceBeforeAWordAndLeavesOneOfSeveral) {
  EXPECT_THAT(split("gpt-2", "Hello  big world"), ElementsAre("Hello", " ", " big", " world"));
  EXPECT_THAT(split("gpt-2", "a\n\nb"), ElementsAre("a", "\n", "\n", "b"));
  EXPECT_THAT(split("gpt-2", "end  "), ElementsAre("end", "  "));
  EXPECT_THAT(split("gpt-2", ""), IsEmpty());
}

TEST(PreTokenizer, Gpt2CutsContractionsInLowerCaseOnly) {
  EXPECT_THAT(split("gpt-2", "they've it's I'LL"), ElementsAre("they", "'ve", " it", "'s", " I", "'", "LL"));
  EXPECT_THAT(split("gpt-2", "'"), ElementsAre("'"));
  EXPECT_THAT(split("gpt-2", "x'l"), ElementsAre("x", "'", "l"));
}

TEST(PreTokenizer, Gpt2KnowsLettersAndNumbersOfAllScripts) {
  EXPECT_THAT(split("gpt-2", "Cửa Việt"), ElementsAre("Cửa", " Việt"));
  EXPECT_THAT(split("gpt-2", "工作1314～"), ElementsAre("工作", "1314", "～"));
  EXPECT_THAT(split("gpt-2", "x½\u00A0y"), ElementsAre("x", "½", "\u00A0", "y"));
}

TEST(PreTokenizer, SmolLmCutsEveryDigitOffFirst) {
  EXPECT_THAT(split("smollm", "in 1234 a"), ElementsAre("in", " ", "1", "2", "3", "4", " a"));
  EXPECT_THAT(split("smollm", "  7"), ElementsAre("  ", "7"));
}

TEST(PreTokenizer, Llama3CutsThreeDigitsAndNewlinesWithWhatStandsBefore) {
  EXPECT_THAT(split("llama-bpe", "12345 x"), ElementsAre("123", "45", " x"));
  EXPECT_THAT(split("llama-bpe", "!!\n\nHi"), ElementsAre("!!\n\n", "Hi"));
  EXPECT_THAT(split("llama-bpe", "a \n \n  b"), ElementsAre("a", " \n \n", " ", " b"));
  EXPECT_THAT(split("llama-bpe", "(word\tx"), ElementsAre("(word", "\tx"));
  EXPECT_THAT(split("llama-bpe", "I'LL we're"), ElementsAre("I", "'LL", " we", "'re"));
}

TEST(PreTokenizer, Qwen2CutsLikeLlama3ButEveryDigit) {
  EXPECT_THAT(split("qwen2", "12 x'S\n"), ElementsAre("1", "2", " x", "'S", "\n"));
}

TEST(PreTokenizer, DeepSeekCoderCutsLinesPunctuationAndEastAsianRuns) {
  EXPECT_THAT(split("deepseek-coder", "if (x1)\n"), ElementsAre("if", " (", "x", "1", ")", "\n"));
}

TEST(PreTokenizer, NothingIsLostFromInvalidUtf8) {
  const std::string text = "a\xFF\xF0\x9F b\xC3";
  for (const std::string_view pre : {"gpt-2", "smollm", "llama-bpe", "qwen2", "deepseek-coder", "falcon"}) {
    std::string joined;
    for (const std::string_view word : split(pre, text)) joined += word;
    EXPECT_EQ(joined, text) << pre;
  }
}

TEST(PreTokenizer, UnknownNamesAreNotGuessed) {
  EXPECT_EQ(PreTokenizer::named("klingon"), nullptr);
}

TEST(PreTokenizer, TekkenCutsWhereTheCaseOfAWordChanges) {
  EXPECT_THAT(split("tekken", "HelloWorld ABCdef XYZ"), ElementsAre("Hello", "World", " ABCdef", " XYZ"));
  EXPECT_THAT(split("tekken", "ĐẹpÉT 中A 12"), ElementsAre("Đẹp", "ÉT", " 中", "A", " ", "1", "2"));
  EXPECT_THAT(split("tekken", "a//\n b's"), ElementsAre("a", "//\n", " b", "'s"));
}

TEST(PreTokenizer, Gpt4oKeepsContractionsWithTheirWords) {
  EXPECT_THAT(split("gpt-4o", "we'LL go, 12345"), ElementsAre("we'LL", " go", ",", " ", "123", "45"));
}

TEST(PreTokenizer, DeepSeek3KeepsMarksWithLettersAndSignsWithAsciiWords) {
  EXPECT_THAT(split("deepseek-v3", "a.bc (x) 1234\n"), ElementsAre("a", ".bc", " (", "x", ")", " ", "123", "4", "\n"));
  EXPECT_THAT(split("deepseek-v3", "e\u0301t 你好 カナ"), ElementsAre("e\u0301t", " ", "你好", " ", "カナ"));
}

TEST(PreTokenizer, DefaultTakesPunctuationFirst) {
  EXPECT_THAT(split("default", "a, 1234"), ElementsAre("a", ",", " ", "123", "4"));
}

TEST(PreTokenizer, FamiliesShareRulesUnderNamesOfTheirOwn) {
  for (const char* name :
       {"phi-2", "mpt", "olmo", "starcoder", "refact", "command-r", "exaone", "falcon3", "pixtral", "dbrx", "smaug-bpe",
        "chatglm-bpe", "deepseek-r1-qwen", "megrez", "stablelm2", "hunyuan", "llama4"}) {
    EXPECT_NE(PreTokenizer::named(name), nullptr) << name;
  }
  EXPECT_TRUE(PreTokenizer::named("tekken")->adds_bos());
  EXPECT_TRUE(PreTokenizer::named("llama-bpe")->whole_words_first());
  EXPECT_FALSE(PreTokenizer::named("dbrx")->whole_words_first());
}

}  // namespace
}  // namespace kvasir::engine
