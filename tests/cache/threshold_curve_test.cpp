#include "cache/threshold_curve.hpp"

#include <vector>

#include <gtest/gtest.h>

namespace kvasir::cache {
namespace {

TEST(Share, HasWilsonsInterval) {
  // Newcombe, Statistics in Medicine 17 (1998), table I: 81 of 263, 15 of 148, 0 of 20, 1 of 29.
  EXPECT_NEAR(share(81, 263).low, 0.2553, 5e-5);
  EXPECT_NEAR(share(81, 263).high, 0.3662, 5e-5);
  EXPECT_NEAR(share(15, 148).low, 0.0624, 5e-5);
  EXPECT_NEAR(share(15, 148).high, 0.1605, 5e-5);
  EXPECT_NEAR(share(0, 20).low, 0.0, 1e-12);
  EXPECT_NEAR(share(0, 20).high, 0.1611, 5e-5);
  EXPECT_NEAR(share(1, 29).low, 0.0061, 5e-5);
  EXPECT_NEAR(share(1, 29).high, 0.1718, 5e-5);
}

TEST(Share, OfNothingSaysNothing) {
  EXPECT_EQ(share(0, 0).low, 0.0);
  EXPECT_EQ(share(0, 0).high, 1.0);
}

TEST(ThresholdCurve, CountsWhatWouldBeServed) {
  const std::vector<JudgedPair> pairs = {
      {0.9F, true, true}, {0.7F, true, true}, {0.95F, false, false}, {0.85F, false, true}, {0.3F, false, true}};
  const CurvePoint plain = judge_threshold(pairs, false, 0.8F);
  EXPECT_EQ(plain.true_hits.hits, 1);
  EXPECT_EQ(plain.true_hits.of, 2);
  EXPECT_EQ(plain.false_hits.hits, 2);
  EXPECT_EQ(plain.false_hits.of, 3);
  EXPECT_EQ(judge_threshold(pairs, true, 0.8F).false_hits.hits, 1);
  EXPECT_EQ(judge_threshold(pairs, true, 0.9F).true_hits.hits, 1) << "the threshold itself is enough";
}

class Choice : public testing::Test {
 protected:
  // `wrong` of a thousand differing pairs lie above 0.8.
  static std::vector<JudgedPair> pairs(int wrong, int of) {
    std::vector<JudgedPair> made;
    for (int i = 0; i < of; ++i) made.push_back({i < wrong ? 0.85F : 0.1F, false, true});
    made.push_back({0.9F, true, true});
    return made;
  }
  const std::vector<float> thresholds_{0.7F, 0.8F, 0.9F};
};

TEST_F(Choice, KeepsTheBoundForSureAndIsNoLowerThanHitsAreSeen) {
  EXPECT_EQ(choose_threshold(pairs(0, 1000), true, thresholds_, 0.01), 0.9F) << "nothing more hits below";
  std::vector<JudgedPair> more = pairs(0, 1000);
  more.push_back({0.82F, true, true});
  EXPECT_EQ(choose_threshold(more, true, thresholds_, 0.01), 0.8F);
  more.push_back({0.75F, true, true});
  EXPECT_EQ(choose_threshold(more, true, thresholds_, 0.01), 0.7F);
  std::vector<JudgedPair> wrong = pairs(8, 1000);
  wrong.push_back({0.82F, true, true});
  EXPECT_EQ(choose_threshold(wrong, true, thresholds_, 0.01), 0.9F) << "0.8 % may well be 1.6 %";
  EXPECT_EQ(choose_threshold(wrong, true, thresholds_, 0.02), 0.8F);
}

TEST_F(Choice, IsNoneOfTooFewPairs) {
  const int fewest = fewest_pairs(0.01);
  EXPECT_NEAR(fewest, 381, 1);
  EXPECT_FALSE(choose_threshold(pairs(0, fewest - 1), true, thresholds_, 0.01));
  EXPECT_TRUE(choose_threshold(pairs(0, fewest), true, thresholds_, 0.01));
  EXPECT_FALSE(choose_threshold({}, true, thresholds_, 0.5));
}

}  // namespace
}  // namespace kvasir::cache
