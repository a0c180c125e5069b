// What tests of tokenizers share: vocabularies made by hand or read from files, and what tokens say.
#pragma once

#include "engine/tokenizer.hpp"
#include "tests/engine/tiny_model.hpp"
#include "tests/test_files.hpp"

#include <cstdint>
#include <filesystem>
#include <memory>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

namespace kvasir::engine {

// nullptr, and a failure of the test, if it cannot be read.
inline std::unique_ptr<Tokenizer> load_tokenizer(const std::filesystem::path& path) {
  const auto file = ModelFile::open(path);
  if (!file) {
    ADD_FAILURE() << file.error().message;
    return nullptr;
  }
  auto tokenizer = Tokenizer::from(*file);
  if (!tokenizer) {
    ADD_FAILURE() << tokenizer.error().message;
    return nullptr;
  }
  return *std::move(tokenizer);
}

// The bytes of the tokens one after the other.
inline std::string bytes_of(const Tokenizer& tokenizer, const std::vector<TokenId>& tokens) {
  std::string text;
  for (const TokenId token : tokens) text += tokenizer.bytes(token);
  return text;
}

inline std::string text_of(const Tokenizer& tokenizer, const std::vector<TokenId>& tokens,
                           Detokenizer::Of of = Detokenizer::Of::continuation) {
  Detokenizer detokenizer(tokenizer, of);
  std::string text;
  for (const TokenId token : tokens) text += detokenizer.push(token);
  return text + detokenizer.finish();
}

// A tokenizer of the metadata alone, written to a file and opened again.
class SmallModel {
 public:
  SmallModel& text(const std::string& key, const std::string& value) {
    gguf_.text(key, value);
    return *this;
  }
  SmallModel& integer(const std::string& key, std::uint32_t value) {
    gguf_.integer(key, value);
    return *this;
  }
  SmallModel& boolean(const std::string& key, bool value) {
    gguf_.boolean(key, value);
    return *this;
  }
  SmallModel& texts(const std::string& key, const std::vector<std::string>& values) {
    gguf_.texts(key, values);
    return *this;
  }
  SmallModel& integers(const std::string& key, const std::vector<std::int32_t>& values) {
    gguf_.integers(key, values);
    return *this;
  }
  SmallModel& numbers(const std::string& key, const std::vector<float>& values) {
    gguf_.numbers(key, values);
    return *this;
  }

  Result<std::unique_ptr<Tokenizer>> tokenizer() const {
    const auto path =
        std::filesystem::temp_directory_path() / ("kvasir_tokenizer_test_" + std::to_string(std::random_device{}()));
    gguf_.write(path);
    const auto file = ModelFile::open(path);
    std::filesystem::remove(path);
    if (!file) return file.error();
    return Tokenizer::from(*file);
  }

 private:
  GgufWriter gguf_;
};

constexpr std::int32_t kNormal = 1;
constexpr std::int32_t kUnknown = 2;
constexpr std::int32_t kControl = 3;
constexpr std::int32_t kUserDefined = 4;
constexpr std::int32_t kByte = 6;

// A SentencePiece vocabulary of the reference. The copies went through a filter that replaced every byte that is no
// UTF-8: the scores are lost, but strings and token types are whole, and the scores follow from them.
class ReferenceVocabulary {
 public:
  explicit ReferenceVocabulary(const std::filesystem::path& path) : bytes_(read_bytes(path)) {}

  Result<std::unique_ptr<Tokenizer>> tokenizer() {
    const std::vector<std::string> tokens = strings("tokenizer.ggml.tokens");
    std::vector<float> scores;
    seek("tokenizer.ggml.scores");
    while (scores.size() < tokens.size()) {
      // Pieces stand in the order in which they were made, but those of spaces come last of all: -1e9, as it ends here.
      const bool last = (number(4) & 0xFFFFFFU) == 0x6E6B28U;
      scores.push_back(last ? -1e9F : 259 - static_cast<float>(scores.size()));
    }
    std::vector<std::int32_t> types;
    seek("tokenizer.ggml.token_type");
    while (types.size() < tokens.size()) types.push_back(static_cast<std::int32_t>(number(4)));
    SmallModel model;
    model.text("tokenizer.ggml.model", "llama").texts("tokenizer.ggml.tokens", tokens);
    model.numbers("tokenizer.ggml.scores", scores).integers("tokenizer.ggml.token_type", types);
    return model.boolean("tokenizer.ggml.add_bos_token", false).tokenizer();
  }

 private:
  // To the elements of an array.
  void seek(const std::string& key) {
    at_ = bytes_.find(key) + key.size();
    number(8);
    number(8);
  }
  // A byte that was replaced takes three.
  unsigned byte() {
    const bool lost = bytes_.compare(at_, 3, "\xEF\xBF\xBD") == 0;
    const auto value = static_cast<unsigned char>(bytes_.at(at_));
    at_ += lost ? 3 : 1;
    return value;
  }
  std::uint64_t number(int count) {
    std::uint64_t value = 0;
    for (int i = 0; i < count; ++i) value |= std::uint64_t{byte()} << (8 * i);
    return value;
  }
  std::string string() {
    const std::uint64_t length = number(8);
    at_ += length;
    return bytes_.substr(at_ - length, length);
  }
  std::vector<std::string> strings(const std::string& key) {
    std::vector<std::string> all;
    seek(key);
    // The array ends where the next key begins.
    for (std::string next = string(); !next.starts_with("tokenizer.ggml."); next = string()) all.push_back(next);
    return all;
  }

  std::string bytes_;
  std::size_t at_ = 0;
};

}  // namespace kvasir::engine
