// The store: what it keeps over restarts, crashes and damage.
#include "cache/sqlite_store.hpp"
#include "cache/stored_cache.hpp"
#include "tests/cache/support.hpp"

#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <utility>

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sqlite3.h>
#include <sys/wait.h>
#include <unistd.h>

namespace kvasir::cache::test {
namespace {

class Durability : public testing::Test {
 protected:
  Durability() { settings_.path = folder_.store(); }

  std::filesystem::path file() const { return std::filesystem::path(settings_.path) / "cache.sqlite"; }

  // Runs SQL on the closed store's file and returns the first column of the last row.
  std::string sql(const std::string& statements) const {
    sqlite3* database = nullptr;
    EXPECT_EQ(sqlite3_open(file().c_str(), &database), SQLITE_OK);
    std::string last;
    const auto keep = [](void* text, int, char** columns, char**) {
      *static_cast<std::string*>(text) = columns[0] == nullptr ? "" : columns[0];
      return 0;
    };
    EXPECT_EQ(sqlite3_exec(database, statements.c_str(), keep, &last, nullptr), SQLITE_OK) << sqlite3_errmsg(database);
    sqlite3_close(database);
    return last;
  }

  // The sentence with which opening fails.
  std::string refusal() const {
    std::string error;
    EXPECT_FALSE(ResponseCache::open(settings_, embedder, dimension, error));
    return error;
  }

  TemporaryFolder folder_;
  CacheSettings settings_;
};

TEST_F(Durability, EverythingAboutAnEntrySurvivesARestart) {
  Asked asked("Câu hỏi 问题?");
  asked.documents = {{"d1", "text", "title", "v", "g"}};
  asked.request.max_tokens = 77;
  asked.request.top_logprobs = 2;
  Answer given = answer("Trả lời");
  given.choices.push_back({"", "I must refuse", "stop", R"({"content":[]})"});
  given.system_fingerprint = "fp";
  auto cache = open_cache(settings_);
  ASSERT_TRUE(store(*cache, asked.key(), given, {.vector = at_angle(0), .tags = {"t1", "t2"}, .id = "kve-1"}));
  const Entry before = *cache->entry("kve-1");

  cache.reset();
  cache = open_cache(settings_);
  ASSERT_TRUE(cache->entry("kve-1"));
  const Entry after = *cache->entry("kve-1");
  EXPECT_EQ(after.key.canonical, before.key.canonical);
  EXPECT_EQ(after.key.partition, before.key.partition);
  EXPECT_EQ(after.key.exact, before.key.exact);
  EXPECT_EQ(after.key.question, "Câu hỏi 问题?");
  EXPECT_EQ(after.key.documents, std::vector<std::string>{"d1"});
  EXPECT_EQ(after.key.tenant, "a");
  EXPECT_EQ(after.key.model, "smollm2");
  EXPECT_EQ(after.key.max_tokens, 77);
  EXPECT_EQ(after.key.top_logprobs, 2);
  EXPECT_EQ(after.tags, before.tags);
  EXPECT_EQ(after.answer.model, "smollm2");
  ASSERT_EQ(after.answer.choices.size(), 2U);
  EXPECT_EQ(after.answer.choices[0].content, "Trả lời");
  EXPECT_EQ(after.answer.choices[1].refusal, "I must refuse");
  EXPECT_EQ(after.answer.choices[1].finish_reason, "stop");
  EXPECT_EQ(after.answer.choices[1].logprobs, R"({"content":[]})");
  EXPECT_EQ(after.answer.prompt_tokens, 5);
  EXPECT_EQ(after.answer.completion_tokens, 10);
  EXPECT_EQ(after.answer.system_fingerprint, "fp");
  EXPECT_LT(before.created - after.created, std::chrono::milliseconds(1));
  EXPECT_LT(before.expires - after.expires, std::chrono::milliseconds(1));
  EXPECT_EQ(cache->find_exact(asked.key(), {}).reason, "hit");
  EXPECT_EQ(cache->find_semantic(asked.key(), at_angle(5), {}).reason, "hit");
}

TEST_F(Durability, WhatExpiredWhileTheProgramWasDownIsGoneFromTheFileToo) {
  auto cache = open_cache(settings_);
  ASSERT_TRUE(store(*cache, Asked("short").key(), answer("a"), {.ttl = std::chrono::hours(1)}));
  ASSERT_TRUE(store(*cache, Asked("long").key(), answer("a"), {.ttl = std::chrono::hours(48)}));
  cache.reset();

  std::string error;
  std::unique_ptr<Store> file_store = open_sqlite_store(settings_.path, error);
  ASSERT_TRUE(file_store) << error;
  const auto tomorrow = [] { return Clock::now() + std::chrono::hours(24); };
  cache = StoredCache::open(settings_, embedder, dimension, std::move(file_store), tomorrow, error);
  EXPECT_FALSE(cache->find_exact(Asked("short").key(), {}).entry);
  EXPECT_TRUE(cache->find_exact(Asked("long").key(), {}).entry);
  cache.reset();
  EXPECT_EQ(sql("SELECT count(*) FROM entries"), "1");
}

TEST_F(Durability, AMemoryStoreKeepsNothingAndMakesNoFile) {
  settings_.path = ":memory:";
  auto cache = open_cache(settings_);
  ASSERT_TRUE(store(*cache, Asked().key(), answer("a")));
  cache.reset();
  cache = open_cache(settings_);
  EXPECT_EQ(cache->stats().entries, 0U);
  EXPECT_FALSE(std::filesystem::exists(":memory:"));
}

TEST_F(Durability, AnotherEmbedderLosesTheVectorsAndKeepsTheAnswers) {
  auto cache = open_cache(settings_);
  ASSERT_TRUE(store(*cache, Asked().key(), answer("a"), {.vector = at_angle(0)}));
  cache.reset();
  std::string error;
  cache = ResponseCache::open(settings_, "another-embedder", dimension, error);
  ASSERT_TRUE(cache) << error;
  EXPECT_EQ(cache->find_exact(Asked().key(), {}).reason, "hit");
  EXPECT_EQ(cache->find_semantic(Asked("other").key(), at_angle(0), {}).reason, "empty");
  EXPECT_EQ(cache->stats().vectors, 0U);
}

TEST_F(Durability, ADamagedRowIsDroppedCountedAndNeverServed) {
  auto cache = open_cache(settings_);
  for (const char* name : {"1", "2", "3", "4"}) {
    ASSERT_TRUE(store(*cache, Asked(name).key(), answer(name), {.vector = at_angle(0)}));
  }
  cache.reset();
  sql("UPDATE entries SET body = substr(body, 1, 40) || x'00' || substr(body, 42) WHERE number = 1;"
      "UPDATE entries SET vector = zeroblob(32) WHERE number = 2;"
      "UPDATE entries SET body = x'' WHERE number = 3;");

  cache = open_cache(settings_);
  EXPECT_EQ(cache->stats().corrupt, 3U);
  EXPECT_EQ(cache->stats().entries, 1U);
  EXPECT_FALSE(cache->find_exact(Asked("1").key(), {}).entry);
  EXPECT_TRUE(cache->find_exact(Asked("4").key(), {}).entry);
  cache.reset();
  EXPECT_EQ(sql("SELECT count(*) FROM entries"), "1");
}

TEST_F(Durability, MoreEntriesThanAllowedAreCutToTheNewest) {
  auto cache = open_cache(settings_);
  for (int i = 0; i < 20; ++i) ASSERT_TRUE(store(*cache, Asked(std::to_string(i)).key(), answer("a")));
  cache.reset();
  settings_.max_entries = 5;
  cache = open_cache(settings_);
  EXPECT_EQ(cache->stats().entries, 5U);
  EXPECT_TRUE(cache->find_exact(Asked("19").key(), {}).entry);
  cache.reset();
  EXPECT_EQ(sql("SELECT count(*) FROM entries"), "5");
}

TEST_F(Durability, AStoreOfANewerProgramIsRefusedAndLeftAlone) {
  open_cache(settings_).reset();
  sql("PRAGMA user_version = 99");
  EXPECT_EQ(refusal(), "the cache store " + settings_.path +
                           " cannot be opened: it was written by a newer version of kvasir (its schema is 99, this "
                           "program knows 2)");
  EXPECT_EQ(sql("PRAGMA user_version"), "99");
}

TEST_F(Durability, AStoreOfAnOlderProgramIsBroughtUpToDate) {
  Asked asked;
  asked.documents = {{"d1", "text", "", "7", ""}};
  ASSERT_TRUE(store(*open_cache(settings_), asked.key(), answer("old")));
  sql("ALTER TABLE entry_documents DROP COLUMN version; PRAGMA user_version = 1");
  for (int opened = 0; opened < 2; ++opened) {
    const auto cache = open_cache(settings_);
    ASSERT_TRUE(cache);
    EXPECT_EQ(text_of(cache->find_exact(asked.key(), {})), "old");
  }
  EXPECT_EQ(sql("PRAGMA user_version"), "2");
}

TEST_F(Durability, AFolderInUseIsRefused) {
  const auto owner = open_cache(settings_);
  EXPECT_EQ(refusal(), "the cache store " + settings_.path + " cannot be opened: another process is using it");
}

TEST_F(Durability, AFileThatIsNoDatabaseIsRefusedAndLeftAlone) {
  std::filesystem::create_directories(settings_.path);
  std::ofstream(file()) << std::string(5000, 'x');
  EXPECT_EQ(refusal(), "the cache store " + settings_.path + " cannot be opened: file is not a database");
  EXPECT_EQ(std::filesystem::file_size(file()), 5000U);
}

TEST_F(Durability, APathThatIsAFileIsRefused) {
  std::ofstream(settings_.path) << "x";
  EXPECT_NE(refusal().find("cannot be opened: "), std::string::npos);
}

TEST_F(Durability, ANewFolderIsItsOwnersAlone) {
  open_cache(settings_).reset();
  EXPECT_EQ(std::filesystem::status(settings_.path).permissions(), std::filesystem::perms::owner_all);
}

// Stores numbered questions as fast as it can and writes each number into `acknowledged` once it is durable.
[[noreturn]] void store_forever(const CacheSettings& settings, int from, int acknowledged) {
  const auto cache = open_cache(settings);
  for (std::int32_t number = from;; ++number) {
    const auto told = [number, acknowledged](bool stored) {
      if (stored && write(acknowledged, &number, sizeof number) != sizeof number) _exit(1);
    };
    cache->store(cache->new_entry_id(), Asked(std::to_string(number)).key(), answer("answer " + std::to_string(number)),
                 at_angle(number), std::chrono::hours(1), {"t"}, cache->generation(), told);
    if (number % 64 == 0) usleep(500);
  }
}

struct Killed {
  std::int32_t acknowledged = 0;  // numbers below this one were reported durable
};

// Lets a child store for `life`, kills it without warning and reads what it had reported.
Killed kill_while_storing(const CacheSettings& settings, std::int32_t from, std::chrono::milliseconds life) {
  int channel[2];
  EXPECT_EQ(pipe(channel), 0);
  const pid_t child = fork();
  if (child == 0) {
    close(channel[0]);
    store_forever(settings, from, channel[1]);
  }
  close(channel[1]);
  Killed result{from};
  const auto end = std::chrono::steady_clock::now() + life;
  bool alive = true;
  for (std::int32_t number = 0; read(channel[0], &number, sizeof number) == sizeof number;) {
    EXPECT_EQ(number, result.acknowledged) << "acknowledgements came out of order";
    result.acknowledged = number + 1;
    if (alive && std::chrono::steady_clock::now() >= end) {
      kill(child, SIGKILL);
      alive = false;
    }
  }
  close(channel[0]);
  int status = 0;
  EXPECT_EQ(waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
  return result;
}

TEST_F(Durability, EveryAcknowledgedAnswerSurvivesKillMinusNine) {
  std::int32_t stored = 0;
  for (const int life_ms : {5, 40, 90, 150}) {
    const std::int32_t before = stored;
    stored = kill_while_storing(settings_, before, std::chrono::milliseconds(life_ms)).acknowledged;
    ASSERT_GT(stored, before) << "the child never got to store anything";
    EXPECT_EQ(sql("PRAGMA integrity_check"), "ok");
    const auto cache = open_cache(settings_);
    EXPECT_EQ(cache->stats().corrupt, 0U);
    for (std::int32_t number = 0; number < stored; ++number) {
      const std::string name = std::to_string(number);
      ASSERT_EQ(text_of(cache->find_exact(Asked(name).key(), {})), "answer " + name);
    }
  }
}

TEST_F(Durability, AProcessKilledWhileItMakesTheStoreLeavesOneThatOpens) {
  for (const int life_ms : {0, 1, 2, 4, 8, 16}) {
    settings_.path = folder_.store() + std::to_string(life_ms);
    const pid_t child = fork();
    if (child == 0) {
      const int nowhere = open("/dev/null", O_WRONLY);
      store_forever(settings_, 0, nowhere);
    }
    usleep(static_cast<useconds_t>(life_ms) * 1000);
    kill(child, SIGKILL);
    ASSERT_EQ(waitpid(child, nullptr, 0), child);
    const auto cache = open_cache(settings_);
    ASSERT_TRUE(cache);
    EXPECT_EQ(cache->stats().corrupt, 0U);
    EXPECT_TRUE(store(*cache, Asked("afterwards").key(), answer("a")));
  }
}

}  // namespace
}  // namespace kvasir::cache::test
