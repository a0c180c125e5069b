// What the sampler draws, against probabilities worked out by hand.
#include "engine/sampler.hpp"

#include <cmath>
#include <limits>
#include <map>

#include <gtest/gtest.h>

namespace kvasir::engine {
namespace {

const std::vector<float> kLogits{1.0F, 2.0F, 0.5F, -1.0F, 1.5F, 0.0F};

// How often each token comes, over `draws` indices of one seed.
std::map<TokenId, double> shares(const SamplingParams& params, int draws = 20000) {
  Sampler sampler(params, kernels::best());
  const std::vector<TokenId> generated(static_cast<std::size_t>(draws), 0);
  std::map<TokenId, double> shares;
  for (std::size_t i = 0; i < generated.size(); ++i)
    shares[sampler.sample(kLogits, {}, std::span(generated).first(i), nullptr).token] += 1.0 / draws;
  return shares;
}

SamplingParams at_temperature(float temperature) {
  SamplingParams params;
  params.temperature = temperature;
  params.seed = 7;
  return params;
}

// Pearson's statistic of the shares of `draws` draws against weights, which need not add up to 1.
double chi_square(const std::map<TokenId, double>& shares, const std::map<TokenId, double>& weights, int draws) {
  double whole = 0;
  for (const auto& [token, weight] : weights) whole += weight;
  double sum = 0;
  for (const auto& [token, weight] : weights) {
    const double expected = draws * weight / whole;
    const auto found = shares.find(token);
    const double seen = found == shares.end() ? 0 : draws * found->second;
    sum += (seen - expected) * (seen - expected) / expected;
  }
  return sum;
}

std::map<TokenId, double> weights(std::initializer_list<TokenId> tokens, double temperature) {
  std::map<TokenId, double> weights;
  for (const TokenId token : tokens) weights[token] = std::exp(kLogits[static_cast<std::size_t>(token)] / temperature);
  return weights;
}

TEST(Sampler, DrawsFromTheDistributionOfTheLogits) {
  for (const float temperature : {0.5F, 1.0F, 2.0F}) {
    const auto seen = shares(at_temperature(temperature));
    // 99.9 % of chi-square with 5 degrees of freedom.
    EXPECT_LT(chi_square(seen, weights({0, 1, 2, 3, 4, 5}, temperature), 20000), 20.5) << temperature;
  }
}

TEST(Sampler, KeepsTheBestKOfThemInProportion) {
  SamplingParams params = at_temperature(1);
  params.top_k = 3;
  const auto seen = shares(params);
  EXPECT_EQ(seen.size(), 3U);
  EXPECT_LT(chi_square(seen, weights({0, 1, 4}, 1), 20000), 13.8);
}

TEST(Sampler, DropsWhatIsLessLikelyThanAShareOfTheBestAfterTemperature) {
  SamplingParams params = at_temperature(2);
  params.min_p = 0.5F;  // e^(-1 / 2) = 0.61 stays, e^(-1.5 / 2) = 0.47 does not
  const auto seen = shares(params);
  EXPECT_EQ(seen.size(), 3U);
  EXPECT_LT(chi_square(seen, weights({0, 1, 4}, 2), 20000), 13.8);
  params.temperature = 1;  // e^(-1) = 0.37
  EXPECT_EQ(shares(params).size(), 2U);
}

TEST(Sampler, MeasuresTopPOnWhatMinPAndTopKLeave) {
  SamplingParams params = at_temperature(1);
  params.top_k = 2;
  params.top_p = 0.6F;  // token 1 has 0.62 of two tokens, and 0.42 of all
  EXPECT_EQ(shares(params).size(), 1U);
  params.top_k = 0;
  EXPECT_EQ(shares(params).size(), 2U);
  params.min_p = 0.6F;
  EXPECT_EQ(shares(params).size(), 1U);
}

TEST(Sampler, PenalisesRepetitionOfPromptAndAnswerButFrequencyOfTheAnswerAlone) {
  SamplingParams params;
  params.temperature = 0;
  const std::vector<TokenId> prompt{1};
  const std::vector<TokenId> answer{4, 4};
  params.repetition_penalty = 3;  // 2.0 becomes 0.67, 1.5 becomes 0.5
  EXPECT_EQ(Sampler(params, kernels::best()).sample(kLogits, prompt, {}, nullptr).token, 4);
  EXPECT_EQ(Sampler(params, kernels::best()).sample(kLogits, prompt, answer, nullptr).token, 0);
  const std::vector<float> negative{-1.0F, -0.5F};  // -0.5 becomes -1.5
  EXPECT_EQ(Sampler(params, kernels::best()).sample(negative, prompt, {}, nullptr).token, 0);
  params.repetition_penalty = 1;
  params.frequency_penalty = 0.6F;
  EXPECT_EQ(Sampler(params, kernels::best()).sample(kLogits, prompt, {}, nullptr).token, 1);
  const std::vector<TokenId> ones{1, 1};
  EXPECT_EQ(Sampler(params, kernels::best()).sample(kLogits, {}, std::span(ones).first(1), nullptr).token, 4);
}

// A model whose weights overflow gives such logits; what is sampled must be a token all the same, and an allowed one.
TEST(Sampler, StaysAmongTheAllowedTokensWhereLogitsAreNoNumbers) {
  constexpr float nan = std::numeric_limits<float>::quiet_NaN();
  const TokenMask allowed{{2, 4}, {}};
  for (const float top_p : {1.0F, 0.9F})
    for (const float temperature : {0.0F, 1.0F})
      for (const std::vector<float>& logits : {std::vector<float>(6, nan), std::vector<float>{1, 2, nan, 0, 3, 0}}) {
        SamplingParams params = at_temperature(temperature);
        params.top_p = top_p;
        params.presence_penalty = 0.5F;
        Sampler sampler(params, kernels::best());
        EXPECT_TRUE(allowed.contains(sampler.sample(logits, {}, {}, &allowed).token)) << top_p << temperature;
        const TokenId free = sampler.sample(logits, {}, {}, nullptr).token;
        EXPECT_TRUE(std::isnan(logits[0]) ? free == 0 : free >= 0 && free != 2 && free < 6) << free;
      }
}

TEST(Sampler, TakesTheRandomNumberFromSeedAndIndexAlone) {
  const std::vector<TokenId> generated(50, 0);
  Sampler in_order(at_temperature(1), kernels::best());
  for (std::size_t i = 0; i < generated.size(); ++i) {
    Sampler at_once(at_temperature(1), kernels::best());
    const auto before = std::span(generated).first(i);
    EXPECT_EQ(in_order.sample(kLogits, {}, before, nullptr).token, at_once.sample(kLogits, {}, before, nullptr).token);
  }
}

}  // namespace
}  // namespace kvasir::engine
