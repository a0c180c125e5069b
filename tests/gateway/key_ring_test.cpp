#include "gateway/key_ring.hpp"

#include <gtest/gtest.h>

namespace kvasir::gateway {
namespace {

// SHA-256 of "abc" (FIPS 180-4, example).
constexpr const char* kAbc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

TEST(KeyRing, without_keys_admits_everybody_as_one_tenant) {
  const KeyRing ring({});
  const ApiKey* key = ring.find("");
  ASSERT_NE(key, nullptr);
  EXPECT_EQ(key->tenant, "default");
}

TEST(KeyRing, knows_a_key_by_its_digest) {
  const KeyRing ring({{"k", kAbc, "team", 0, 0}});
  const ApiKey* key = ring.find("Bearer abc");
  ASSERT_NE(key, nullptr);
  EXPECT_EQ(key->tenant, "team");
  EXPECT_EQ(ring.find("bearer   abc "), key);
}

TEST(KeyRing, does_not_know_a_wrong_or_missing_key) {
  const KeyRing ring({{"k", kAbc, "team", 0, 0}});
  for (const char* header : {"", "Bearer", "Bearer ", "Bearer abd", "Basic abc", "abc"}) {
    EXPECT_EQ(ring.find(header), nullptr) << header;
  }
}

TEST(KeyRing, lets_a_key_use_all_models_or_those_that_it_names) {
  EXPECT_TRUE(KeyRing({{"k", kAbc, "team", 0, 0}}).find("Bearer abc")->may_use("any"));
  const KeyRing ring({{"k", kAbc, "team", 0, 0, {"small"}}});
  EXPECT_TRUE(ring.find("Bearer abc")->may_use("small"));
  EXPECT_FALSE(ring.find("Bearer abc")->may_use("large"));
}

TEST(KeyRing, keeps_the_levels_of_a_key_whose_limits_stay) {
  const KeyRing before({{"k", kAbc, "team", 2, 100}});
  const KeyRing renamed({{"new name", kAbc, "other", 2, 200}}, nullptr, &before);
  EXPECT_EQ(renamed.find("Bearer abc")->requests, before.find("Bearer abc")->requests);
  EXPECT_NE(renamed.find("Bearer abc")->tokens, before.find("Bearer abc")->tokens);
  EXPECT_EQ(renamed.find("Bearer abc")->budget, before.find("Bearer abc")->budget);
}

TEST(RateLimit, fills_again_with_time) {
  RateLimit limit(60);
  const auto now = RateLimit::Clock::now();
  EXPECT_EQ(limit.take(60, now), 0);
  EXPECT_EQ(limit.take(1, now), 1);
  EXPECT_EQ(limit.take(1, now + std::chrono::seconds(2)), 0);
}

TEST(RateLimit, remembers_debt) {
  RateLimit limit(60);
  const auto now = RateLimit::Clock::now();
  limit.charge(90, now);
  EXPECT_EQ(limit.take(1, now), 31);
  EXPECT_EQ(limit.take(1, now + std::chrono::seconds(32)), 0);
}

TEST(RateLimit, lets_more_than_a_minutes_worth_through_when_it_is_full) {
  RateLimit limit(60);
  const auto now = RateLimit::Clock::now();
  EXPECT_EQ(limit.take(100, now), 0);
  EXPECT_EQ(limit.take(100, now), 100);
}

TEST(RateLimit, tells_its_state_and_never_holds_more_than_a_minutes_worth) {
  RateLimit limit(60);
  const auto now = RateLimit::Clock::now();
  EXPECT_EQ(limit.take(15, now), 0);
  const RateLimit::State state = limit.state(now);
  EXPECT_EQ(state.limit, 60);
  EXPECT_EQ(state.remaining, 45);
  EXPECT_EQ(state.until_full, std::chrono::seconds(15));
  limit.charge(-1000, now);
  EXPECT_EQ(limit.state(now).remaining, 60);
}

}  // namespace
}  // namespace kvasir::gateway
