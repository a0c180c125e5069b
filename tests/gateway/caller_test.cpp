#include "gateway/caller.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace kvasir::gateway {
namespace {

using testing::HasSubstr;

constexpr const char* kAbc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
constexpr Price kDollarAToken{1'000'000'000'000, 1'000'000'000'000, 1'000'000'000'000};

class Callers : public testing::Test {
 protected:
  // The one key: its requests and tokens a minute, its budget in dollars.
  void limit(int requests, int tokens, NanoUsd usd = 0) {
    Settings settings;
    settings.keys = {{"k", kAbc, "team", requests, tokens, {}, usd * kNanoPerUsd}};
    KeyRing ring(settings.keys);
    snapshot_ = std::make_shared<const Snapshot>(Snapshot{settings, std::move(ring), ModelTable({}, "")});
  }
  const ApiKey& key() const { return *snapshot_->keys.find("Bearer abc"); }

  SnapshotPtr snapshot_;
};

TEST_F(Callers, take_requests_until_there_are_none) {
  limit(1, 0);
  Caller first(snapshot_, key());
  EXPECT_FALSE(first.take_request());
  Caller second(snapshot_, key());
  const auto refused = second.take_request();
  ASSERT_TRUE(refused);
  EXPECT_EQ(refused->status, 429);
  EXPECT_EQ(refused->code, "rate_limit_exceeded");
  EXPECT_EQ(refused->retry_after_seconds, 60);
  EXPECT_EQ(second.refused_by(), LimitKind::requests);
}

TEST_F(Callers, pay_for_what_was_used_and_get_the_rest_back) {
  limit(0, 6000);
  Caller caller(snapshot_, key());
  EXPECT_FALSE(caller.reserve({1000, 0, 4000}, {}));
  EXPECT_LE(key().tokens->state().remaining, 1001);
  caller.settle({1000, 0, 500});
  EXPECT_NEAR(static_cast<double>(key().tokens->state().remaining), 4500, 50);
}

TEST_F(Callers, are_refused_before_work_that_their_tokens_do_not_cover) {
  limit(0, 6000);
  Caller first(snapshot_, key());
  EXPECT_FALSE(first.reserve({1000, 0, 4000}, {}));
  Caller second(snapshot_, key());
  const auto refused = second.reserve({1000, 0, 4000}, {});
  ASSERT_TRUE(refused);
  EXPECT_EQ(refused->status, 429);
  EXPECT_GT(refused->retry_after_seconds, 30);
  EXPECT_EQ(second.refused_by(), LimitKind::tokens);
}

TEST_F(Callers, get_everything_back_when_the_request_fails) {
  limit(10, 6000, 100);
  Caller caller(snapshot_, key());
  EXPECT_FALSE(caller.take_request());
  EXPECT_FALSE(caller.reserve({10, 0, 10}, kDollarAToken));
  caller.refund();
  EXPECT_EQ(key().requests->state().remaining, 10);
  EXPECT_EQ(key().tokens->state().remaining, 6000);
  EXPECT_EQ(key().budget->spent(), 0);
  EXPECT_EQ(key().budget->claim(1, 1), 0);
}

TEST_F(Callers, give_a_reservation_back_when_they_go_without_settling) {
  limit(0, 6000, 5);
  {
    Caller caller(snapshot_, key());
    EXPECT_FALSE(caller.reserve({10, 0, 10}, kDollarAToken));
  }
  EXPECT_EQ(key().tokens->state().remaining, 6000);
  Caller next(snapshot_, key());
  EXPECT_FALSE(next.reserve({1, 0, 1}, kDollarAToken));
}

TEST_F(Callers, pay_nothing_for_a_hit) {
  limit(0, 6000, 5);
  Caller caller(snapshot_, key());
  EXPECT_EQ(caller.settle({1000, 0, 1000}), 0);
  EXPECT_EQ(key().tokens->state().remaining, 6000);
  EXPECT_EQ(key().budget->spent(), 0);
}

TEST_F(Callers, are_out_of_quota_once_the_budget_is_spent) {
  limit(0, 0, 5);
  Caller first(snapshot_, key());
  EXPECT_FALSE(first.reserve({1, 0, 3}, kDollarAToken));
  EXPECT_EQ(first.settle({1, 0, 4}), 5 * kNanoPerUsd);
  Caller second(snapshot_, key());
  const auto refused = second.reserve({1, 0, 1}, kDollarAToken);
  ASSERT_TRUE(refused);
  EXPECT_EQ(refused->status, 429);
  EXPECT_EQ(refused->code, "insufficient_quota");
  EXPECT_GT(refused->retry_after_seconds, 0);
  EXPECT_LE(refused->retry_after_seconds, 24 * 3600);
  EXPECT_EQ(second.refused_by(), LimitKind::budget);
  EXPECT_FALSE(second.reserve({1, 0, 1}, Price{})) << "what costs nothing needs no money";
}

TEST_F(Callers, see_their_limits_as_openai_writes_them) {
  limit(10, 6000);
  Caller caller(snapshot_, key());
  EXPECT_FALSE(caller.take_request());
  std::string headers;
  caller.append_limit_headers(headers);
  EXPECT_THAT(headers, HasSubstr("x-ratelimit-limit-requests: 10\r\n"));
  EXPECT_THAT(headers, HasSubstr("x-ratelimit-remaining-requests: 9\r\n"));
  EXPECT_THAT(headers, testing::ContainsRegex("x-ratelimit-reset-requests: (6|5\\.[0-9]+)s\r\n"));
  EXPECT_THAT(headers, HasSubstr("x-ratelimit-limit-tokens: 6000\r\n"));
  EXPECT_THAT(headers, HasSubstr("x-ratelimit-reset-tokens: 0ms\r\n"));
}

TEST_F(Callers, without_limits_have_no_limit_headers) {
  limit(0, 0);
  Caller caller(snapshot_, key());
  std::string headers;
  caller.append_limit_headers(headers);
  EXPECT_EQ(headers, "");
}

}  // namespace
}  // namespace kvasir::gateway
