#include "engine/prefill_share.hpp"

#include <gtest/gtest.h>

namespace kvasir::engine {
namespace {

// Steps on a machine where decoding takes 10 ms and a token of a prompt `each` more.
int learned(PrefillShare& share, double each, int steps = 20) {
  for (int i = 0; i < steps; ++i) {
    const int tokens = share.tokens(0.010, 256);
    share.measured(0.010, tokens, 0.010 + tokens * each);
  }
  return share.tokens(0.010, 256);
}

TEST(PrefillShare, FillsWhatTheSlowdownAllows) {
  PrefillShare share(2.5);
  EXPECT_NEAR(learned(share, 0.001), 15, 1);
  EXPECT_NEAR(learned(share, 0.0005), 30, 1) << "cheaper tokens";
  EXPECT_NEAR(learned(share, 0.003), 5, 1) << "dearer ones";
  EXPECT_EQ(learned(share, 1e-9), 256) << "never more than asked";
}

TEST(PrefillShare, LetsPromptsGoOnWhateverTheyCost) {
  PrefillShare share(2.5);
  EXPECT_EQ(learned(share, 1), 4);
  EXPECT_EQ(share.tokens(0.010, 2), 2);
}

TEST(PrefillShare, ForgivesOneSlowStep) {
  PrefillShare share(2.5);
  EXPECT_NEAR(learned(share, 0.001), 15, 1);
  share.measured(0.010, 15, 5);
  EXPECT_GE(share.tokens(0.010, 256), 11);
}

TEST(PrefillShare, BeginsCarefullyAndHasNoLimitAtZero) {
  EXPECT_EQ(PrefillShare(2.5).tokens(0.010, 256), 16);
  EXPECT_EQ(PrefillShare(2.5).tokens(0, 256), 16);
  EXPECT_EQ(PrefillShare(0).tokens(0.010, 256), 256);
}

}  // namespace
}  // namespace kvasir::engine
