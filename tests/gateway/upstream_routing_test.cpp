// Which upstream, when again, and when not: the parts of the choice one by one, with clocks that the tests turn.
#include "gateway/circuit_breaker.hpp"
#include "gateway/retry_after.hpp"
#include "gateway/retry_budget.hpp"
#include "gateway/upstream_router.hpp"

#include <cmath>
#include <map>

#include <gtest/gtest.h>

namespace kvasir::gateway {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using State = UpstreamRouter::State;

UpstreamRouter router(std::vector<UpstreamRouter::Upstream> upstreams,
                      UpstreamRouting routing = UpstreamRouting::affinity) {
  return {std::move(upstreams), routing};
}

std::map<std::size_t, int> picks(const UpstreamRouter& router, const std::vector<State>& states, int count = 3000) {
  std::map<std::size_t, int> chosen;
  for (int i = 0; i < count; ++i) {
    ++chosen[*router.pick(static_cast<std::uint64_t>(i), states, static_cast<double>(i) / count)];
  }
  return chosen;
}

TEST(UpstreamRouter, sends_equal_prefixes_to_the_same_upstream_and_spreads_the_others) {
  const auto three = router({{"a"}, {"b"}, {"c"}});
  const std::vector<State> states(3);
  for (std::uint64_t key = 0; key < 100; ++key) {
    EXPECT_EQ(three.pick(key, states, 0.1), three.pick(key, states, 0.9));
  }
  for (const auto& [index, count] : picks(three, states)) EXPECT_NEAR(count, 1000, 150) << index;
}

TEST(UpstreamRouter, gives_by_weight_in_both_ways) {
  for (const auto routing : {UpstreamRouting::affinity, UpstreamRouting::weighted}) {
    const auto chosen = picks(router({{"a", 3}, {"b", 1}}, routing), std::vector<State>(2), 4000);
    EXPECT_NEAR(chosen.at(0), 3000, 200);
  }
}

TEST(UpstreamRouter, moves_only_the_keys_of_an_upstream_that_goes) {
  const auto three = router({{"a"}, {"b"}, {"c"}});
  for (std::uint64_t key = 0; key < 500; ++key) {
    const auto before = *three.pick(key, std::vector<State>(3), 0);
    const auto after = *three.pick(key, std::vector<State>{{true}, {false}, {true}}, 0);
    EXPECT_TRUE(before == 1 || after == before);
    EXPECT_NE(after, 1U);
  }
}

TEST(UpstreamRouter, keeps_keys_when_the_list_is_written_in_another_order) {
  const std::vector<std::string> names{"a", "b", "c"};
  const std::vector<std::string> turned{"c", "a", "b"};
  const auto one = router({{"a"}, {"b"}, {"c"}});
  const auto other = router({{"c"}, {"a"}, {"b"}});
  for (std::uint64_t key = 0; key < 100; ++key) {
    EXPECT_EQ(names[*one.pick(key, std::vector<State>(3), 0)], turned[*other.pick(key, std::vector<State>(3), 0)]);
  }
}

// Mirrokni et al.: nobody has more than ceil(c * (m + 1) / n), even if all requests bring one key.
TEST(UpstreamRouter, bounds_the_load_of_a_key_that_everybody_asks_for) {
  const auto four = router({{"a"}, {"b"}, {"c"}, {"d"}});
  std::vector<State> states(4);
  for (int running = 0; running < 400; ++running) {
    const auto chosen = *four.pick(42, states, 0);
    ++states[chosen].running;
    EXPECT_LE(states[chosen].running, std::ceil(1.25 * (running + 1) / 4));
  }
}

TEST(UpstreamRouter, asks_the_next_priority_only_when_nobody_of_the_first_is_there) {
  const auto two = router({{"spare", 1, 1}, {"first", 1, 0}, {"second", 1, 0}});
  EXPECT_FALSE(picks(two, std::vector<State>(3)).contains(0));
  EXPECT_EQ(two.pick(1, std::vector<State>{{true}, {false}, {false}}, 0), 0U);
  EXPECT_EQ(two.pick(1, std::vector<State>{{false}, {false}, {false}}, 0), std::nullopt);
}

TEST(AffinityKey, tells_parts_and_their_boundaries_apart) {
  const auto key = [](std::vector<std::string_view> parts) { return affinity_key(parts); };
  EXPECT_EQ(key({"t", "system"}), key({"t", "system"}));
  EXPECT_NE(key({"t", "system"}), key({"u", "system"}));
  EXPECT_NE(key({"ab", "c"}), key({"a", "bc"}));
  EXPECT_NE(key({"", "a"}), key({"a", ""}));
}

class Breaker : public testing::Test {
 protected:
  void fail(int times) {
    for (int i = 0; i < times; ++i) {
      breaker.failed(breaker.start(now), now);
    }
  }
  void succeed(int times) {
    for (int i = 0; i < times; ++i) {
      breaker.succeeded(breaker.start(now), now);
    }
  }

  double jitter = 0.0;
  CircuitBreaker breaker{[this] { return jitter; }};
  CircuitBreaker::Clock::time_point now = CircuitBreaker::Clock::time_point(seconds(100'000));
};

TEST_F(Breaker, opens_after_five_failures_in_a_row) {
  fail(4);
  succeed(1);
  fail(4);
  EXPECT_TRUE(breaker.allows(now));
  fail(1);
  EXPECT_FALSE(breaker.allows(now));
  EXPECT_EQ(breaker.state(now), BreakerState::open);
}

TEST_F(Breaker, opens_when_half_of_many_requests_fail) {
  for (int i = 0; i < 9; ++i) {
    succeed(1);
    fail(1);
  }
  succeed(1);
  EXPECT_TRUE(breaker.allows(now));
  fail(1);
  EXPECT_FALSE(breaker.allows(now));
}

TEST_F(Breaker, forgets_failures_of_long_ago) {
  for (int i = 0; i < 9; ++i) {
    succeed(1);
    fail(1);
  }
  now += seconds(40);
  succeed(1);
  fail(1);
  EXPECT_TRUE(breaker.allows(now));
}

TEST_F(Breaker, lets_one_probe_through_after_a_jittered_time) {
  jitter = 0.5;
  fail(5);
  now += milliseconds(3749);  // half of five seconds, and half of the other half
  EXPECT_FALSE(breaker.allows(now));
  now += milliseconds(1);
  EXPECT_TRUE(breaker.allows(now));
  EXPECT_EQ(breaker.state(now), BreakerState::half_open);
  const auto probe = breaker.start(now);
  EXPECT_FALSE(breaker.allows(now));
  EXPECT_TRUE(breaker.succeeded(probe, now));
  EXPECT_TRUE(breaker.allows(now));
  EXPECT_EQ(breaker.state(now), BreakerState::closed);
}

TEST_F(Breaker, stays_open_longer_when_the_probe_fails) {
  fail(5);
  now += milliseconds(2500);
  fail(1);
  now += milliseconds(2500);
  EXPECT_FALSE(breaker.allows(now));
  now += milliseconds(2500);
  EXPECT_TRUE(breaker.allows(now));
}

TEST_F(Breaker, takes_a_probe_that_nobody_waited_for_as_none) {
  fail(5);
  now += seconds(5);
  breaker.abandoned(breaker.start(now));
  EXPECT_TRUE(breaker.allows(now));
}

//   two requests begin ─▶ it opens ─▶ the probe begins ─▶ both end
TEST_F(Breaker, does_not_take_what_began_before_it_opened_for_its_probe) {
  const auto late_failure = breaker.start(now);
  const auto late_success = breaker.start(now);
  const auto left = breaker.start(now);
  fail(5);
  now += seconds(5);
  const auto probe = breaker.start(now);
  EXPECT_FALSE(breaker.failed(late_failure, now));
  EXPECT_FALSE(breaker.succeeded(late_success, now));
  breaker.abandoned(left);
  EXPECT_EQ(breaker.state(now), BreakerState::half_open);
  EXPECT_FALSE(breaker.allows(now)) << "the probe is still on its way";
  EXPECT_TRUE(breaker.succeeded(probe, now));
  EXPECT_EQ(breaker.state(now), BreakerState::closed);
}

TEST_F(Breaker, is_not_opened_by_what_began_before_it_closed) {
  fail(5);
  now += seconds(5);
  const auto probe = breaker.start(now);
  std::vector<CircuitBreaker::Ticket> meanwhile;
  for (int i = 0; i < 5; ++i) meanwhile.push_back(breaker.start(now));
  breaker.succeeded(probe, now);
  for (const auto ticket : meanwhile) EXPECT_FALSE(breaker.failed(ticket, now));
  EXPECT_TRUE(breaker.allows(now));
}

TEST_F(Breaker, closes_for_whoever_is_served_while_it_is_open) {
  fail(5);
  EXPECT_TRUE(breaker.succeeded(breaker.start(now), now));
  EXPECT_TRUE(breaker.allows(now));
}

TEST(RetryBudget, is_a_fifth_of_the_requests_and_a_few) {
  RetryBudget budget;
  int retries = 0;
  for (int i = 0; i < 1000; ++i) {
    budget.count_request();
    while (budget.take()) ++retries;
  }
  EXPECT_GE(retries, 200);
  EXPECT_LE(retries, 211);
}

TEST(Backoff, is_jittered_over_a_bound_that_doubles) {
  EXPECT_EQ(backoff(0, 0.0), milliseconds(0));
  EXPECT_EQ(backoff(0, 0.5), milliseconds(25));
  EXPECT_EQ(backoff(2, 0.5), milliseconds(100));
  EXPECT_LE(backoff(60, 0.999), seconds(1));
}

TEST(RetryAfter, is_read_as_seconds_or_as_a_date) {
  // Sun, 06 Nov 1994 08:49:37 GMT, RFC 9110's example
  const auto now = std::chrono::system_clock::from_time_t(784111777) - seconds(30);
  EXPECT_EQ(parse_retry_after("7", now), seconds(7));
  EXPECT_EQ(parse_retry_after(" 120 ", now), seconds(120));
  EXPECT_EQ(parse_retry_after("Sun, 06 Nov 1994 08:49:37 GMT", now), seconds(30));
  EXPECT_EQ(parse_retry_after("Sunday, 06-Nov-94 08:49:37 GMT", now), seconds(30));
  EXPECT_EQ(parse_retry_after("Sun Nov  6 08:49:37 1994", now), seconds(30));
}

TEST(RetryAfter, that_makes_no_sense_is_none_and_a_huge_one_is_a_day) {
  const auto now = std::chrono::system_clock::from_time_t(784111777);
  for (const char* value : {"", "soon", "-5", "1.5", "Sun, 06 Nov 1994 08:49:30 GMT", "Sun, 06 Nov 1994"}) {
    EXPECT_EQ(parse_retry_after(value, now), seconds(0)) << value;
  }
  EXPECT_EQ(parse_retry_after("99999999999999999999999", now), std::chrono::hours(24));
  EXPECT_EQ(parse_retry_after("1000000", now), std::chrono::hours(24));
}

}  // namespace
}  // namespace kvasir::gateway
