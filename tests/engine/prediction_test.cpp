// What is read of an answer that the caller expects, and where a run of it is found.
#include "engine/prediction.hpp"

#include "engine/intake.hpp"
#include "tests/engine/collector.hpp"
#include "tests/engine/small_tokenizer.hpp"

#include <algorithm>
#include <random>

#include <gtest/gtest.h>

namespace kvasir::engine {
namespace {

using Tokens = std::vector<TokenId>;

std::optional<std::size_t> naive(const Tokens& tokens, std::span<const TokenId> run, std::size_t from) {
  auto found = std::search(tokens.begin() + static_cast<std::ptrdiff_t>(from), tokens.end(), run.begin(), run.end());
  if (found == tokens.end()) found = std::search(tokens.begin(), tokens.end(), run.begin(), run.end());
  if (found == tokens.end()) return std::nullopt;
  return static_cast<std::size_t>(found - tokens.begin()) + run.size();
}

TEST(Prediction, FindsARunAheadFirstAndThenFromTheBeginning) {
  std::mt19937 random(3);
  for (const int vocabulary : {1, 2, 4, 30}) {
    Tokens tokens;
    while (tokens.size() < 300) tokens.push_back(static_cast<TokenId>(random()) % vocabulary);
    const Prediction prediction(tokens);
    for (int i = 0; i < 500; ++i) {
      Tokens run;
      while (run.size() < 3) run.push_back(static_cast<TokenId>(random()) % vocabulary);
      const std::size_t from = random() % (tokens.size() + 1);
      ASSERT_EQ(prediction.find(std::span(run).first<3>(), from), naive(tokens, run, from)) << vocabulary;
    }
  }
}

TEST(Prediction, FindsNothingInAShortOne) {
  const Tokens run{1, 2, 3};
  EXPECT_FALSE(Prediction({}).find(std::span(run).first<3>(), 0));
  EXPECT_FALSE(Prediction({1, 2}).find(std::span(run).first<3>(), 0));
  EXPECT_EQ(Prediction({1, 2, 3}).find(std::span(run).first<3>(), 3), 3U);
}

// Says how long the texts were that it was given.
class WatchedTokenizer final : public Tokenizer {
 public:
  explicit WatchedTokenizer(std::unique_ptr<Tokenizer> inner) : inner_(std::move(inner)) {}
  std::vector<TokenId> encode(std::string_view text, bool parse_special) const override {
    encoded.push_back(text.size());
    return inner_->encode(text, parse_special);
  }
  std::string_view bytes(TokenId token) const override { return inner_->bytes(token); }
  std::string_view piece(TokenId token) const override { return inner_->piece(token); }
  bool is_control(TokenId token) const override { return inner_->is_control(token); }
  bool ends_generation(TokenId token) const override { return inner_->ends_generation(token); }
  bool adds_space() const override { return inner_->adds_space(); }
  TokenId bos() const override { return inner_->bos(); }
  TokenId eos() const override { return inner_->eos(); }
  int size() const override { return inner_->size(); }

  mutable std::vector<std::size_t> encoded;

 private:
  std::unique_ptr<Tokenizer> inner_;
};

class PredictionOfARequest : public testing::Test {
 protected:
  std::unique_ptr<Sequence> read(const std::shared_ptr<const GenerateInput>& input, int max_tokens) {
    Submission submission;
    submission.request.input = input;
    submission.request.max_tokens = max_tokens;
    auto sequence = reader_.read(std::move(submission));
    EXPECT_TRUE(sequence) << sequence.error().message;
    return std::move(*sequence);
  }
  static std::shared_ptr<const GenerateInput> input(std::string prediction) {
    GenerateInput input;
    input.raw.emplace().text = "0123456789";
    input.prediction = std::move(prediction);
    return std::make_shared<const GenerateInput>(std::move(input));
  }

  TinyModelFile file_;
  WatchedTokenizer tokenizer_{load_tokenizer(file_.path())};
  ChatTemplate chat_ = std::move(*ChatTemplate::parse("x", "", ""));
  OutputConstraints constraints_{tokenizer_};
  LoraLibrary lora_;
  PromptReader reader_{tokenizer_, chat_, constraints_, lora_, 4096, SpeculationSettings(), nullptr, kernels::best()};
};

TEST_F(PredictionOfARequest, IsReadNoFartherThanItsAnswerMayGo) {
  const auto sequence = read(input(std::string(1 << 20, '7')), 10);
  ASSERT_EQ(tokenizer_.encoded.size(), 2U);
  EXPECT_LE(tokenizer_.encoded[1], 100U);
  sequence->speculation->guess(sequence->tokens, 64);
  EXPECT_EQ(sequence->speculation->guessed().size(), 8U);
}

TEST_F(PredictionOfARequest, IsReadOnceForAllOfItsChoices) {
  const auto shared = input("apple pear plum");
  const auto first = read(shared, 10);
  const auto second = read(shared, 10);
  EXPECT_EQ(tokenizer_.encoded, (std::vector<std::size_t>{10, 15, 10}));
  const auto other = read(input("quince"), 10);
  EXPECT_EQ(tokenizer_.encoded.back(), 6U);
}

}  // namespace
}  // namespace kvasir::engine
