#include "gateway/response_store.hpp"

#include <chrono>
#include <filesystem>
#include <fstream>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/use_future.hpp>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

namespace kvasir::gateway {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;

std::int64_t now_seconds() {
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  return std::chrono::duration_cast<std::chrono::seconds>(now).count();
}

template <typename T>
T result_of(Task<T> task) {
  asio::io_context context;
  auto future = asio::co_spawn(context, std::move(task), asio::use_future);
  context.run();
  return future.get();
}

StoredResponse response(const std::string& id, const std::string& previous = "", std::size_t bytes = 100) {
  return {id, "ann", previous, now_seconds(), R"({"output":[]})", std::string(bytes, 'x')};
}

class ResponseStoreTest : public testing::Test {
 protected:
  ResponseStoreTest() { std::filesystem::create_directories(folder_); }
  ~ResponseStoreTest() override { std::filesystem::remove_all(folder_); }

  std::unique_ptr<ResponseStore> open(const ResponseStoreSettings& settings = {}) {
    auto store = ResponseStore::open(folder_.string(), settings, error_);
    EXPECT_TRUE(store) << error_;
    return store;
  }
  static bool has(ResponseStore& store, const std::string& id) { return result_of(store.get("ann", id)).has_value(); }

  const std::filesystem::path folder_ =
      std::filesystem::temp_directory_path() / ("kvasir-responses-" + std::to_string(::getpid()));
  std::string error_;
};

TEST_F(ResponseStoreTest, gives_back_what_was_put_after_it_was_opened_anew_too) {
  StoredResponse one = response("resp_1");
  one.body = std::string("{\"a\":\"\0\"}", 9);
  EXPECT_TRUE(result_of(open()->put(one)));
  const auto store = open();
  const auto found = result_of(store->get("ann", "resp_1"));
  ASSERT_TRUE(found);
  EXPECT_EQ(found->body, one.body);
  EXPECT_EQ(found->input, one.input);
  EXPECT_EQ(found->created, one.created);
  EXPECT_FALSE(result_of(store->get("ann", "resp_2")));
}

TEST_F(ResponseStoreTest, follows_a_conversation_from_its_beginning) {
  const auto store = open();
  for (const auto& one : {response("a"), response("b", "a"), response("c", "b")})
    EXPECT_TRUE(result_of(store->put(one)));
  const auto chain = result_of(store->chain("ann", "c"));
  ASSERT_EQ(chain.size(), 3U);
  EXPECT_EQ(chain.front().id, "a");
  EXPECT_EQ(chain.back().id, "c");
  EXPECT_TRUE(result_of(store->remove("ann", "a")));
  EXPECT_THAT(result_of(store->chain("ann", "c")), IsEmpty()) << "its beginning is missing";
}

TEST_F(ResponseStoreTest, shows_a_tenant_its_own_only) {
  const auto store = open();
  EXPECT_TRUE(result_of(store->put(response("a"))));
  StoredResponse foreign = response("b", "a");
  foreign.tenant = "bob";
  EXPECT_TRUE(result_of(store->put(foreign)));
  EXPECT_FALSE(result_of(store->get("bob", "a")));
  EXPECT_FALSE(result_of(store->remove("bob", "a")));
  EXPECT_THAT(result_of(store->chain("bob", "a")), IsEmpty());
  EXPECT_THAT(result_of(store->chain("bob", "b")), IsEmpty()) << "it goes on from another tenant's";
  EXPECT_TRUE(has(*store, "a"));
}

TEST_F(ResponseStoreTest, takes_an_id_once) {
  const auto store = open();
  EXPECT_TRUE(result_of(store->put(response("a"))));
  StoredResponse other = response("a");
  other.tenant = "bob";
  EXPECT_FALSE(result_of(store->put(other)));
  EXPECT_TRUE(has(*store, "a"));
}

TEST_F(ResponseStoreTest, forgets_what_is_too_old) {
  ResponseStoreSettings settings;
  settings.ttl = std::chrono::seconds(60);
  const auto store = open(settings);
  StoredResponse old = response("old");
  old.created -= 61;
  result_of(store->put(old));
  EXPECT_TRUE(result_of(store->put(response("young"))));
  EXPECT_FALSE(has(*store, "old"));
  EXPECT_TRUE(has(*store, "young"));
  EXPECT_FALSE(result_of(store->remove("ann", "old"))) << "its row is gone";
}

TEST_F(ResponseStoreTest, drops_the_oldest_while_there_are_too_many_bytes) {
  ResponseStoreSettings settings;
  settings.max_bytes = 1000;
  auto store = open(settings);
  for (const std::string id : {"a", "b", "c"}) EXPECT_TRUE(result_of(store->put(response(id, "", 400))));
  EXPECT_FALSE(has(*store, "a"));
  EXPECT_TRUE(has(*store, "b"));
  EXPECT_TRUE(has(*store, "c"));
  store = open(settings);  // the bytes are counted anew
  EXPECT_TRUE(result_of(store->put(response("d", "", 400))));
  EXPECT_FALSE(has(*store, "b"));
  EXPECT_TRUE(result_of(store->remove("ann", "c")));
  EXPECT_TRUE(result_of(store->put(response("e", "", 400))));
  EXPECT_TRUE(has(*store, "d")) << "what was removed has left its place";
}

TEST_F(ResponseStoreTest, keeps_no_response_of_more_than_8_MiB) {
  const auto store = open();
  EXPECT_FALSE(result_of(store->put(response("a", "", 9 << 20))));
  EXPECT_FALSE(has(*store, "a"));
}

TEST_F(ResponseStoreTest, names_a_file_that_it_cannot_read) {
  std::ofstream(folder_ / "responses.sqlite") << std::string(4096, '?');
  EXPECT_FALSE(ResponseStore::open(folder_.string(), {}, error_));
  EXPECT_THAT(error_, HasSubstr("responses.sqlite cannot be opened: file is not a database"));
  EXPECT_FALSE(ResponseStore::open((folder_ / "nowhere").string(), {}, error_));
  EXPECT_THAT(error_, HasSubstr("cannot be opened"));
}

}  // namespace
}  // namespace kvasir::gateway
