#include "gateway/key_ring.hpp"

#include <gtest/gtest.h>

namespace kvasir::gateway {
namespace {

// SHA-256 of "abc" (FIPS 180-4, example).
constexpr const char* kAbc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

TEST(KeyRing, without_keys_admits_everybody_as_one_tenant) {
  KeyRing ring({});
  const auto caller = ring.admit("");
  ASSERT_TRUE(caller.has_value());
  EXPECT_EQ((*caller)->tenant, "default");
}

TEST(KeyRing, knows_a_key_by_its_digest) {
  KeyRing ring({{"k", kAbc, "team", 0, 0}});
  const auto caller = ring.admit("Bearer abc");
  ASSERT_TRUE(caller.has_value());
  EXPECT_EQ((*caller)->tenant, "team");
  EXPECT_TRUE(ring.admit("bearer   abc ").has_value());
}

TEST(KeyRing, refuses_a_wrong_or_missing_key) {
  KeyRing ring({{"k", kAbc, "team", 0, 0}});
  for (const char* header : {"", "Bearer", "Bearer ", "Bearer abd", "Basic abc", "abc"}) {
    const auto caller = ring.admit(header);
    ASSERT_TRUE(caller.has_error()) << header;
    EXPECT_EQ(caller.error().status, 401);
    EXPECT_EQ(caller.error().code, "invalid_api_key");
  }
}

TEST(KeyRing, limits_requests_per_minute) {
  KeyRing ring({{"k", kAbc, "team", 2, 0}});
  EXPECT_TRUE(ring.admit("Bearer abc").has_value());
  EXPECT_TRUE(ring.admit("Bearer abc").has_value());
  const auto third = ring.admit("Bearer abc");
  ASSERT_TRUE(third.has_error());
  EXPECT_EQ(third.error().status, 429);
  EXPECT_GT(third.error().retry_after_seconds, 0);
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
  EXPECT_EQ(limit.wait(now), 31);
  EXPECT_EQ(limit.wait(now + std::chrono::seconds(32)), 0);
}

}  // namespace
}  // namespace kvasir::gateway
