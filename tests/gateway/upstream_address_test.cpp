// Where an upstream is, and where its name may lead.
#include "gateway/network.hpp"
#include "gateway/upstream_url.hpp"
#include "tests/gateway/played_upstream.hpp"
#include "tests/gateway/upstream_line.hpp"

#include <atomic>
#include <mutex>

#include <gmock/gmock.h>
#include <pthread.h>

namespace kvasir::gateway {
namespace {

using asio::ip::make_address;
using Reply = PlayedUpstream::Reply;

Reply well(const std::string&) {
  return Reply{PlayedUpstream::plain("{}")};
}

TEST(Network, holds_addresses_by_prefix) {
  EXPECT_TRUE(Network::parse("10.0.0.0/8")->contains(make_address("10.255.1.2")));
  EXPECT_FALSE(Network::parse("10.0.0.0/8")->contains(make_address("11.0.0.1")));
  EXPECT_TRUE(Network::parse("10.0.0.0/8")->contains(make_address("::ffff:10.1.2.3")));
  EXPECT_TRUE(Network::parse("172.16.0.0/12")->contains(make_address("172.31.0.1")));
  EXPECT_FALSE(Network::parse("172.16.0.0/12")->contains(make_address("172.32.0.1")));
  EXPECT_TRUE(Network::parse("fd00::/8")->contains(make_address("fd12::1")));
  EXPECT_FALSE(Network::parse("fd00::/8")->contains(make_address("10.0.0.1")));
  EXPECT_TRUE(Network::parse("192.168.1.7")->contains(make_address("192.168.1.7")));
  EXPECT_FALSE(Network::parse("192.168.1.7")->contains(make_address("192.168.1.8")));
  EXPECT_TRUE(Network::parse("0.0.0.0/0")->contains(make_address("8.8.8.8")));
  for (const char* text : {"", "10.0.0.0/33", "10.0.0.0/", "10.0.0/8", "::/129", "x/8", "10.0.0.0/8x", "10.0.0.0/-1"}) {
    EXPECT_FALSE(Network::parse(text)) << text;
  }
}

TEST(PrivateAddress, is_whatever_is_not_of_the_open_internet) {
  for (const char* text :
       {"127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.0.1", "169.254.169.254", "100.64.0.1", "0.0.0.0", "224.0.0.1",
        "255.255.255.255", "::1", "::", "fc00::1", "fe80::1", "ff02::1", "::ffff:127.0.0.1", "::ffff:169.254.169.254",
        "::127.0.0.1", "64:ff9b::10.0.0.1", "2002:7f00:1::"}) {
    EXPECT_TRUE(is_private(make_address(text))) << text;
  }
  for (const char* text :
       {"8.8.8.8", "172.32.0.1", "100.128.0.1", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::8.8.8.8"}) {
    EXPECT_FALSE(is_private(make_address(text))) << text;
  }
}

TEST(ProxyUrl, is_taken_apart_and_shown_without_its_credentials) {
  const auto proxy = ProxyUrl::parse("http://Aladdin:open%20sesame@proxy:3128");
  ASSERT_TRUE(proxy);
  EXPECT_EQ(proxy->host, "proxy");
  EXPECT_EQ(proxy->port, "3128");
  EXPECT_EQ(proxy->authorization, "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==");  // RFC 7617's example
  EXPECT_EQ(ProxyUrl::parse("http://10.0.0.1:80/")->authorization, "");
  EXPECT_EQ(without_credentials("http://Aladdin:open@proxy:3128"), "http://********:********@proxy:3128");
  EXPECT_EQ(without_credentials("http://proxy:3128"), "http://proxy:3128");
  for (const char* text :
       {"https://proxy:1", "proxy:1", "http://p:1/path", "http://a%2@p:1", "http://a/b@p:1", "http://@"}) {
    EXPECT_FALSE(ProxyUrl::parse(text)) << text;
  }
}

// Names, as a test says where they lead.
struct Names {
  std::vector<Address> operator()(const std::string&, ErrorCode& error) {
    const std::lock_guard lock(mutex);
    ++count;
    if (addresses.empty()) error = asio::error::host_not_found;
    return addresses;
  }
  void lead_to(std::vector<std::string> texts) {
    const std::lock_guard lock(mutex);
    addresses.clear();
    for (const auto& text : texts) addresses.push_back(make_address(text));
  }
  int look_ups() {
    const std::lock_guard lock(mutex);
    return count;
  }

  std::mutex mutex;
  std::vector<Address> addresses;
  int count = 0;
};

class UpstreamNames : public testing::Test {
 protected:
  UpstreamSettings settings() const {
    UpstreamSettings settings = upstream_at("http://up.example:" + std::to_string(upstream.port()) + "/v1");
    settings.private_networks = {"127.0.0.0/8"};
    return settings;
  }
  UpstreamHooks hooks() {
    UpstreamHooks hooks;
    hooks.look_up = [names = names](const std::string& host, ErrorCode& error) { return (*names)(host, error); };
    hooks.log = [this](std::string_view message) {
      const std::lock_guard lock(names->mutex);
      log += message;
    };
    return hooks;
  }

  PlayedUpstream upstream{well};
  std::shared_ptr<Names> names = std::make_shared<Names>();  // a look-up may outlive the test
  std::string log;
};

TEST_F(UpstreamNames, are_looked_up_once_while_they_are_fresh) {
  names->lead_to({"127.0.0.1"});
  UpstreamLine line({settings()}, hooks());
  EXPECT_EQ(line.ask(), 200);
  EXPECT_EQ(line.ask(), 200);
  EXPECT_EQ(names->look_ups(), 1);
}

TEST_F(UpstreamNames, are_tried_with_all_their_addresses) {
  names->lead_to({"127.0.0.2", "127.0.0.3", "127.0.0.1"});
  UpstreamLine line({settings()}, hooks());
  EXPECT_EQ(line.ask(), 200);
  EXPECT_EQ(line.stats().requests, 1U);
}

TEST_F(UpstreamNames, are_looked_up_again_when_nobody_is_there) {
  names->lead_to({"127.0.0.2"});
  UpstreamLine line({settings()}, hooks());
  EXPECT_EQ(line.ask(), 502);
  names->lead_to({"127.0.0.1"});
  EXPECT_EQ(line.ask(), 200);
}

TEST_F(UpstreamNames, that_are_unknown_are_a_bad_gateway) {
  UpstreamLine line({settings()}, hooks());
  EXPECT_EQ(line.ask(), 502);
}

//   name ▶ 127.0.0.1, a connection is kept;  name ▶ 127.0.0.2: the kept connection is of no use any more
TEST_F(UpstreamNames, that_lead_elsewhere_take_their_connections_with_them) {
  PlayedUpstream moved(well, "127.0.0.2", upstream.port());
  names->lead_to({"127.0.0.1"});
  UpstreamHooks quick = hooks();
  quick.address_lifetime = std::chrono::milliseconds(0);
  UpstreamLine line({settings()}, quick);
  EXPECT_EQ(line.ask(), 200);
  EXPECT_EQ(moved.requests(), 0);
  names->lead_to({"127.0.0.2"});
  for (int i = 0; i < 1000 && moved.requests() == 0; ++i) EXPECT_EQ(line.ask(), 200);
  EXPECT_GT(moved.requests(), 0);
}

TEST_F(UpstreamNames, lead_to_private_addresses_only_where_the_settings_say_so) {
  for (const std::string address : {"127.0.0.1", "::ffff:127.0.0.1", "169.254.169.254", "10.0.0.1"}) {
    names->lead_to({address});
    UpstreamSettings strict = settings();
    strict.private_networks = {"192.168.0.0/16"};
    UpstreamLine line({strict}, hooks());
    const auto reply = line.forward(UpstreamLine::call());
    ASSERT_TRUE(reply.has_error()) << address;
    EXPECT_EQ(reply.error().status, 502);
    EXPECT_EQ(reply.error().code, "upstream_private_address");
    EXPECT_THAT(log, testing::HasSubstr("up.example"));
  }
  EXPECT_EQ(upstream.connections(), 0);
}

TEST_F(UpstreamNames, lose_their_private_addresses_and_keep_the_others) {
  names->lead_to({"10.0.0.1", "127.0.0.1"});
  UpstreamLine line({settings()}, hooks());
  EXPECT_EQ(line.ask(), 200);
}

TEST_F(UpstreamNames, do_not_hold_up_the_thread_while_they_are_looked_up) {
  std::promise<void> known;
  auto wait = known.get_future().share();
  UpstreamHooks slow = hooks();
  slow.look_up = [&](const std::string&, ErrorCode&) {
    wait.wait();
    return std::vector<Address>{make_address("127.0.0.1")};
  };
  UpstreamLine line({settings()}, slow);
  auto waiting = line.begin(UpstreamLine::call());
  std::promise<void> alive;
  asio::post(line.executor(), [&] { asio::post(line.executor(), [&] { alive.set_value(); }); });
  alive.get_future().wait();
  known.set_value();
  EXPECT_TRUE(waiting.get().has_value());
}

TEST_F(UpstreamNames, are_not_waited_for_by_who_leaves) {
  std::promise<void> known;
  auto looking = std::make_shared<std::promise<void>>();
  UpstreamHooks slow = hooks();
  slow.look_up = [looking, wait = known.get_future().share()](const std::string&, ErrorCode&) {
    looking->set_value();
    wait.wait();
    return std::vector<Address>{make_address("10.0.0.1")};
  };
  {
    HostAddresses addresses("up.example", {}, slow);
    EXPECT_FALSE(addresses.holds(make_address("127.0.0.1")));
    looking->get_future().wait();
  }
  known.set_value();
}

// Threads whose stacks fit nowhere cannot be made.
class NoThreads {
 public:
  NoThreads() {
    ::pthread_getattr_default_np(&before_);
    pthread_attr_t huge;
    ::pthread_attr_init(&huge);
    ::pthread_attr_setstacksize(&huge, std::size_t{1} << 50);
    EXPECT_EQ(::pthread_setattr_default_np(&huge), 0);
    ::pthread_attr_destroy(&huge);
  }
  ~NoThreads() {
    ::pthread_setattr_default_np(&before_);
    ::pthread_attr_destroy(&before_);
  }

 private:
  pthread_attr_t before_;
};

TEST_F(UpstreamNames, are_looked_up_by_the_next_request_if_there_was_no_thread_for_it) {
  names->lead_to({"127.0.0.1"});
  UpstreamLine line({settings()}, hooks());
  {
    const NoThreads none;
    EXPECT_EQ(line.ask(), 502);
  }
  EXPECT_EQ(line.ask(), 200);
}

TEST(UpstreamAddress, of_loopback_may_be_named_by_itself) {
  PlayedUpstream upstream(well);
  const std::string port = std::to_string(upstream.port());
  for (const std::string host : {"127.0.0.1", "localhost", "[::ffff:127.0.0.1]"}) {
    UpstreamLine line({upstream_at("http://" + host + ":" + port + "/v1")});
    EXPECT_EQ(line.ask(), 200) << host;
  }
}

}  // namespace
}  // namespace kvasir::gateway
