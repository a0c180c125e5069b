// Who guesses what, and how many guesses are worth verifying.
#include "engine/speculation.hpp"

#include <algorithm>
#include <random>

#include <gtest/gtest.h>

namespace kvasir::engine {
namespace {

using Tokens = std::vector<TokenId>;

NgramIndex::Match naive(std::span<const TokenId> tokens) {
  for (int length = NgramIndex::kLongest; length >= NgramIndex::kShortest; --length) {
    const auto run = static_cast<std::size_t>(length);
    if (tokens.size() < run) continue;
    for (std::size_t next = tokens.size() - 1; next >= run; --next)
      if (std::ranges::equal(tokens.subspan(next - run, run), tokens.last(run)))
        return {static_cast<int>(next), length};
  }
  return {};
}

TEST(NgramIndex, FindsWhatASearchFromTheEndFinds) {
  std::mt19937 random(1);
  for (const int vocabulary : {1, 2, 3, 8, 40}) {
    Tokens tokens;
    NgramIndex index;
    while (tokens.size() < 600) {
      for (auto more = 1 + random() % 5; more > 0; --more)
        tokens.push_back(static_cast<TokenId>(random()) % vocabulary);
      index.extend(tokens);
      const NgramIndex::Match expected = naive(tokens);
      const NgramIndex::Match found = index.find(tokens);
      ASSERT_EQ(found.length, expected.length) << tokens.size();
      ASSERT_EQ(found.next, expected.next) << tokens.size();
    }
  }
}

TEST(NgramIndex, FindsNothingInAShortText) {
  NgramIndex index;
  for (Tokens tokens; tokens.size() < 3; tokens.push_back(5)) {
    index.extend(tokens);
    EXPECT_EQ(index.find(tokens).length, 0) << tokens.size();
  }
}

TEST(PromptLookup, GuessesWhatFollowedBefore) {
  PromptLookup lookup({});
  const Guess guess = lookup.guess(Tokens{1, 2, 3, 4, 5, 6, 9, 2, 3}, 3);
  EXPECT_EQ(guess.tokens, (Tokens{4, 5, 6}));
  EXPECT_EQ(guess.kind, GuessKind::bigram);
  EXPECT_TRUE(lookup.guess(Tokens{1, 2, 3, 4, 5, 6, 9, 2, 3, 7}, 3).tokens.empty());
}

TEST(PromptLookup, GoesOnWithATextThatRepeatsItself) {
  PromptLookup lookup({});
  EXPECT_EQ(lookup.guess(Tokens{7, 8, 7, 8, 7}, 5).tokens, (Tokens{8, 7, 8, 7, 8}));
}

std::shared_ptr<const Prediction> prediction(Tokens tokens) {
  return std::make_shared<const Prediction>(std::move(tokens));
}

TEST(PredictedAnswer, GuessesThePredictionFromItsBeginning) {
  PredictedAnswer predicted(prediction({1, 2, 3, 4}), 2);
  EXPECT_EQ(predicted.guess(Tokens{8, 9, 1}, 2).tokens, (Tokens{2, 3}));
  EXPECT_EQ(predicted.guess(Tokens{8, 9, 1, 2, 3}, 8).tokens, (Tokens{4}));
  EXPECT_TRUE(predicted.guess(Tokens{8, 9, 1, 2, 3, 4}, 8).tokens.empty());
}

TEST(PredictedAnswer, FindsItsPlaceAgainBehindAChange) {
  PredictedAnswer predicted(prediction({1, 2, 3, 4, 5, 6, 7, 8}), 0);
  EXPECT_TRUE(predicted.guess(Tokens{1, 2, 9}, 4).tokens.empty());
  EXPECT_TRUE(predicted.guess(Tokens{1, 2, 9, 4, 5}, 4).tokens.empty());
  EXPECT_EQ(predicted.guess(Tokens{1, 2, 9, 4, 5, 6}, 4).tokens, (Tokens{7, 8}));
  // What was passed may come again.
  EXPECT_EQ(predicted.guess(Tokens{1, 2, 9, 4, 5, 6, 1, 2, 3}, 2).tokens, (Tokens{4, 5}));
}

class FixedGuess final : public Speculator {
 public:
  Guess guess(std::span<const TokenId>, int most) override {
    return {Tokens(static_cast<std::size_t>(most), 1), GuessKind::fourgram};
  }
};

Speculation speculation(int most) {
  std::vector<std::unique_ptr<Speculator>> speculators;
  speculators.push_back(std::make_unique<FixedGuess>());
  return {std::move(speculators), most};
}

// Guesses, lets the lengths be chosen, and hears that all or nothing of it was right.
int verified(Speculation& sequence, const StepCosts& costs, bool right) {
  sequence.guess({}, 64);
  Speculation* one = &sequence;
  choose_lengths({&one, 1}, 1, 64, costs);
  const int verified = sequence.verified();
  sequence.observe(Tokens(static_cast<std::size_t>(right ? verified + 1 : 1), right ? 1 : 2));
  return verified;
}

StepCosts costs(double slope) {
  StepCosts costs;
  for (int i = 0; i < 200; ++i) {
    const int rows = 1 + i % 10;
    costs.measured(rows, 1e-3 * (1 + slope * (rows - 1)));
  }
  return costs;
}

TEST(Speculation, VerifiesMoreTheMoreGuessesAreRightAndStopsWhenNoneIs) {
  const StepCosts cheap = costs(0.1);
  Speculation sequence = speculation(8);
  for (int i = 0; i < 20; ++i) verified(sequence, cheap, true);
  EXPECT_EQ(verified(sequence, cheap, true), 8);
  for (int i = 0; i < 40; ++i) verified(sequence, cheap, false);
  EXPECT_EQ(verified(sequence, cheap, false), 0);
  for (int i = 0; i < 40; ++i) verified(sequence, cheap, true);
  EXPECT_EQ(verified(sequence, cheap, true), 8) << "found out without verifying";
}

TEST(Speculation, VerifiesNothingWhereARowCostsAsMuchAsAStep) {
  const StepCosts dear = costs(1);
  Speculation sequence = speculation(8);
  for (int i = 0; i < 20; ++i) EXPECT_EQ(verified(sequence, dear, true), 0);
}

TEST(Speculation, GivesTheRowsToTheSequencesThatAreRightMoreOften) {
  const StepCosts steep = costs(0.3);
  Speculation good = speculation(8);
  Speculation bad = speculation(8);
  for (int i = 0; i < 30; ++i) {
    verified(good, steep, true);
    verified(bad, steep, false);
  }
  good.guess({}, 64);
  bad.guess({}, 64);
  Speculation* const both[] = {&bad, &good};
  choose_lengths(both, 2, 64, steep);
  EXPECT_GT(good.verified(), 0);
  EXPECT_EQ(bad.verified(), 0);
}

TEST(Speculation, VerifiesNoMoreRowsThanAStepMayHave) {
  const StepCosts cheap = costs(0.01);
  Speculation one = speculation(8);
  Speculation other = speculation(8);
  for (int i = 0; i < 30; ++i) {
    verified(one, cheap, true);
    verified(other, cheap, true);
  }
  one.guess({}, 64);
  other.guess({}, 64);
  Speculation* const both[] = {&one, &other};
  choose_lengths(both, 2, 5, cheap);
  EXPECT_EQ(one.verified() + other.verified(), 5);
}

TEST(Speculation, CountsWhatWasAcceptedAndWhatWasNot) {
  Speculation sequence = speculation(4);
  sequence.guess({}, 64);
  sequence.verify(4);
  EXPECT_EQ(sequence.segment(9).size(), 5U);
  const auto verdict = sequence.observe(Tokens{1, 1, 2});
  EXPECT_EQ(verdict.accepted, 2);
  EXPECT_EQ(verdict.rejected, 2);
}

TEST(StepCosts, LearnsFixedPartAndSlope) {
  const StepCosts learnt = costs(0.5);
  EXPECT_NEAR(learnt.seconds(1), 1e-3, 1e-4);
  EXPECT_NEAR(learnt.seconds(9), 5e-3, 5e-4);
}

TEST(StepCosts, ForgetsASlopeThatIsNotMeasuredAnyMore) {
  StepCosts costs;
  costs.measured(1, 1e-3);
  costs.measured(5, 1.0);
  const double believed = costs.seconds(5) / costs.seconds(1);
  for (int i = 0; i < 300; ++i) costs.measured(1, 1e-3);
  EXPECT_LT(costs.seconds(5) / costs.seconds(1), believed);
  EXPECT_LT(costs.seconds(5) / costs.seconds(1), 2);
}

}  // namespace
}  // namespace kvasir::engine
