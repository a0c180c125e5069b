#include "gateway/connection_limit.hpp"

#include "gateway/cors.hpp"
#include "gateway/transport.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace kvasir::gateway {
namespace {

using asio::ip::make_address;
using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::HasSubstr;
using testing::Not;

TEST(ConnectionLimit, gives_places_back) {
  ConnectionCounters counters;
  ConnectionLimit limit(2, 0, counters);
  const auto client = make_address("10.0.0.1");
  {
    const auto first = limit.enter(client);
    const auto second = limit.enter(client);
    EXPECT_TRUE(first && second);
    EXPECT_FALSE(limit.enter(client));
    EXPECT_EQ(counters.open.load(), 2);
  }
  EXPECT_TRUE(limit.enter(client));
  EXPECT_EQ(counters.open.load(), 0);
  EXPECT_EQ(counters.opened.load(), 3U);
  EXPECT_EQ(counters.refused.load(), 1U);
}

TEST(ConnectionLimit, lets_no_address_take_all_places) {
  ConnectionCounters counters;
  ConnectionLimit limit(100, 1, counters);
  const auto one = limit.enter(make_address("10.0.0.1"));
  EXPECT_FALSE(limit.enter(make_address("10.0.0.1")));
  EXPECT_FALSE(limit.enter(make_address("::ffff:10.0.0.1")));  // the same client on a listener of both kinds
  EXPECT_TRUE(limit.enter(make_address("10.0.0.2")));
  EXPECT_EQ(counters.refused_by_address.load(), 2U);
}

TEST(ConnectionLimit, knows_an_ipv6_client_by_its_network) {
  ConnectionCounters counters;
  ConnectionLimit limit(100, 1, counters);
  const auto one = limit.enter(make_address("2001:db8:1:2::1"));
  EXPECT_FALSE(limit.enter(make_address("2001:db8:1:2:ffff::9")));
  EXPECT_TRUE(limit.enter(make_address("2001:db8:1:3::1")));
}

TEST(TransferDeadline, moves_with_progress_only) {
  const SteadyTime begin{};
  EXPECT_EQ(transfer_deadline(begin, milliseconds(500), 0), begin + milliseconds(500));
  EXPECT_EQ(transfer_deadline(begin, milliseconds(500), 60), begin + milliseconds(500));
  EXPECT_EQ(transfer_deadline(begin, seconds(60), 32 << 20), begin + seconds(60 + 512));
}

HttpRequest from_page(std::string origin) {
  HttpRequest request;
  request.origin = std::move(origin);
  request.fields.add({"Access-Control-Request-Method", "POST"});
  request.fields.add({"Access-Control-Request-Headers", "authorization,content-type"});
  return request;
}

TEST(Cors, says_nothing_unless_origins_are_configured) {
  const CorsPolicy policy({});
  EXPECT_EQ(policy.headers(from_page("https://a.example")), "");
  EXPECT_EQ(policy.preflight_headers(from_page("https://a.example"), "POST"), "");
}

TEST(Cors, answers_the_pages_of_the_origins_that_it_knows) {
  const CorsPolicy policy({"https://a.example", "http://localhost:3000"});
  const std::string known = policy.headers(from_page("http://localhost:3000"));
  EXPECT_THAT(known, HasSubstr("access-control-allow-origin: http://localhost:3000\r\n"));
  EXPECT_THAT(known, HasSubstr("access-control-expose-headers: x-request-id, x-kvasir-cache,"));
  EXPECT_THAT(policy.preflight_headers(from_page("https://a.example"), "POST, OPTIONS"),
              HasSubstr("access-control-allow-methods: POST, OPTIONS\r\n"
                        "access-control-allow-headers: authorization,content-type\r\n"));
  for (const char* other : {"https://a.example.evil", "https://a.exampl", "http://a.example", "null", ""}) {
    EXPECT_EQ(policy.headers(from_page(other)), "vary: Origin\r\n") << other;
    EXPECT_EQ(policy.preflight_headers(from_page(other), "POST"), "") << other;
  }
}

TEST(Cors, answers_every_page_if_told_so) {
  const CorsPolicy policy({"*"});
  EXPECT_THAT(policy.headers(from_page("https://a.example")), HasSubstr("access-control-allow-origin: *\r\n"));
  EXPECT_THAT(policy.headers(from_page("")), Not(HasSubstr("access-control")));
}

TEST(Cors, knows_an_origin_from_a_url) {
  EXPECT_TRUE(is_cors_origin("*"));
  EXPECT_TRUE(is_cors_origin("https://a.example"));
  EXPECT_TRUE(is_cors_origin("http://[::1]:3000"));
  for (const char* other :
       {"", "a.example", "https://", "https://a.example/", "https://*.example", "HTTPS://A", "null"}) {
    EXPECT_FALSE(is_cors_origin(other)) << other;
  }
}

}  // namespace
}  // namespace kvasir::gateway
