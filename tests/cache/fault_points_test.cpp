// The store when its disk fails it: a process killed in every step of its writes, and a disk that is full.
#include "cache/response_cache.hpp"
#include "tests/cache/support.hpp"

#include <array>
#include <atomic>
#include <csignal>
#include <cstdint>
#include <memory>
#include <set>
#include <string>

#include <gtest/gtest.h>
#include <sqlite3.h>
#include <sys/wait.h>
#include <unistd.h>

namespace kvasir::cache::test {
namespace {

struct Methods {
  const sqlite3_io_methods* real = nullptr;
  sqlite3_io_methods faulty{};
};

// SQLite's own files with a fault in between. One at a time in a process.
class FaultyDisk {
 public:
  enum class Fault { none, killed_before, killed_halfway, full };

  FaultyDisk() : vfs_(*sqlite3_vfs_find(nullptr)) {
    real_vfs = sqlite3_vfs_find(nullptr);
    vfs_.zName = "faulty";
    vfs_.pNext = nullptr;
    vfs_.xOpen = open;
    fault = Fault::none;
    left = 0;
    sqlite3_vfs_register(&vfs_, 1);
  }
  ~FaultyDisk() {
    sqlite3_vfs_register(real_vfs, 1);
    sqlite3_vfs_unregister(&vfs_);
  }
  FaultyDisk(const FaultyDisk&) = delete;
  FaultyDisk& operator=(const FaultyDisk&) = delete;

  // From the `step`-th change of a file on, counted from 0.
  static void begin(Fault what, int step = 0) {
    left = step;
    fault = what;
  }

 private:
  static int open(sqlite3_vfs* /*vfs*/, sqlite3_filename name, sqlite3_file* file, int flags, int* got) {
    const int code = real_vfs->xOpen(real_vfs, name, file, flags, got);
    if (code != SQLITE_OK || file->pMethods == nullptr) return code;
    // The database and its journals have methods of their own.
    Methods* known = &methods[0];
    while (known->real != nullptr && known->real != file->pMethods) ++known;
    if (known->real == nullptr) {
      known->real = file->pMethods;
      known->faulty = *known->real;
      known->faulty.xWrite = write;
      known->faulty.xSync = sync;
      known->faulty.xTruncate = truncate;
    }
    file->pMethods = &known->faulty;
    return code;
  }
  static const sqlite3_io_methods* real(sqlite3_file* file) {
    const Methods* known = &methods[0];
    while (&known->faulty != file->pMethods) ++known;
    return known->real;
  }
  static bool strikes() { return fault != Fault::none && left-- <= 0; }
  static int write(sqlite3_file* file, const void* bytes, int size, sqlite3_int64 at) {
    if (strikes()) {
      if (fault == Fault::full) return SQLITE_FULL;
      if (fault == Fault::killed_halfway) real(file)->xWrite(file, bytes, size / 2, at);
      kill(getpid(), SIGKILL);
    }
    return real(file)->xWrite(file, bytes, size, at);
  }
  static int sync(sqlite3_file* file, int flags) {
    if (fault != Fault::full && strikes()) kill(getpid(), SIGKILL);
    return real(file)->xSync(file, flags);
  }
  static int truncate(sqlite3_file* file, sqlite3_int64 size) {
    if (fault != Fault::full && strikes()) kill(getpid(), SIGKILL);
    return real(file)->xTruncate(file, size);
  }

  inline static sqlite3_vfs* real_vfs = nullptr;
  inline static std::array<Methods, 8> methods{};
  inline static std::atomic<Fault> fault{Fault::none};
  inline static std::atomic<int> left{0};
  sqlite3_vfs vfs_;
};

Asked about(const std::string& document) {
  Asked asked(std::string("What of ").append(document).append("?"));
  asked.documents = {{document, "text", "", "", ""}};
  return asked;
}

// What the child had been told was done when it was killed.
enum Step : char { stored_a = 'a', stored_b = 'b', removed_a = 'r', replaced_b = 'R', stored_c = 'c', whole_way = 'w' };

[[noreturn]] void go_the_whole_way(const CacheSettings& settings, FaultyDisk::Fault fault, int step, int told) {
  const FaultyDisk disk;
  const auto tell = [told](char what) {
    if (write(told, &what, 1) != 1) _exit(1);
  };
  {
    FaultyDisk::begin(fault, step);
    const auto cache = open_cache(settings);
    const auto keep = [&](const std::string& document, const char* text) {
      return store(*cache, about(document).key(), answer(text),
                   {.vector = at_angle(0), .generation = cache->generation()});
    };
    if (keep("a", "1")) tell(stored_a);
    if (keep("b", "1")) tell(stored_b);
    if (cache->invalidate({.documents = {"a"}}) == 1) tell(removed_a);
    if (keep("b", "2")) tell(replaced_b);
    if (keep("c", "1")) tell(stored_c);
  }
  FaultyDisk::begin(FaultyDisk::Fault::none);
  tell(whole_way);
  _exit(0);
}

class FaultPoints : public testing::TestWithParam<FaultyDisk::Fault> {
 protected:
  // The steps that the child was told of before it was killed at `step`.
  std::set<char> killed_at(int step) {
    settings_.path = folder_.store() + std::to_string(step);
    int channel[2];
    EXPECT_EQ(pipe(channel), 0);
    const pid_t child = fork();
    if (child == 0) {
      close(channel[0]);
      go_the_whole_way(settings_, GetParam(), step, channel[1]);
    }
    close(channel[1]);
    std::set<char> told;
    for (char what = 0; read(channel[0], &what, 1) == 1;) told.insert(what);
    close(channel[0]);
    int status = 0;
    EXPECT_EQ(waitpid(child, &status, 0), child);
    EXPECT_TRUE(told.contains(whole_way) || (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL));
    return told;
  }

  TemporaryFolder folder_;
  CacheSettings settings_;
};

TEST_P(FaultPoints, NothingThatWasToldIsLostAndNothingRemovedComesBack) {
  int step = 0;
  for (;; ++step) {
    SCOPED_TRACE("killed at step " + std::to_string(step));
    const std::set<char> told = killed_at(step);
    const auto cache = open_cache(settings_);
    ASSERT_TRUE(cache);
    EXPECT_EQ(cache->stats().corrupt, 0U);
    const auto text = [&](const char* document) { return text_of(cache->find_exact(about(document).key(), {})); };
    if (told.contains(removed_a)) {
      EXPECT_EQ(text("a"), "");
    } else if (told.contains(stored_a)) {
      // Its removal may have happened, though nobody was told.
      EXPECT_TRUE(text("a") == "1" || told.contains(stored_b));
    }
    if (told.contains(replaced_b)) {
      EXPECT_EQ(text("b"), "2");
    } else if (told.contains(stored_b)) {
      EXPECT_TRUE(text("b") == "1" || text("b") == "2");
    }
    if (told.contains(stored_c)) {
      EXPECT_EQ(text("c"), "1");
    }
    EXPECT_TRUE(store(*cache, Asked("afterwards").key(), answer("a")));
    if (told.contains(whole_way)) break;
    ASSERT_LT(step, 1000);
  }
  EXPECT_GT(step, 20) << "the disk was hardly written to: the faults were not in its way";
}

INSTANTIATE_TEST_SUITE_P(Kill, FaultPoints,
                         testing::Values(FaultyDisk::Fault::killed_before, FaultyDisk::Fault::killed_halfway),
                         [](const auto& info) {
                           return info.param == FaultyDisk::Fault::killed_before ? "BeforeAWrite"
                                                                                 : "HalfwayThroughAWrite";
                         });

TEST(FullDisk, StopsWritesAndIsCountedWhileServingGoesOn) {
  const TemporaryFolder folder;
  CacheSettings settings;
  settings.path = folder.store();
  {
    const FaultyDisk disk;
    const auto cache = open_cache(settings);
    const auto keep = [&](const std::string& document) {
      return store(*cache, about(document).key(), answer("1"),
                   {.vector = at_angle(0), .generation = cache->generation()});
    };
    ASSERT_TRUE(keep("a"));
    ASSERT_TRUE(keep("b"));
    FaultyDisk::begin(FaultyDisk::Fault::full);
    EXPECT_FALSE(keep("c"));
    EXPECT_EQ(cache->stats().store_failures, 1U);
    EXPECT_TRUE(cache->find_exact(about("a").key(), {}).entry);
    EXPECT_FALSE(cache->find_exact(about("c").key(), {}).entry) << "what is served is stored";
    EXPECT_EQ(cache->invalidate({.documents = {"a"}}), 1U);
    EXPECT_FALSE(cache->find_exact(about("a").key(), {}).entry) << "a removal is in force at once";
    EXPECT_EQ(cache->stats().removals_owed, 1U);
    FaultyDisk::begin(FaultyDisk::Fault::none);
    EXPECT_TRUE(keep("d"));
    EXPECT_EQ(cache->stats().removals_owed, 0U);
  }
  const auto cache = open_cache(settings);
  EXPECT_EQ(cache->stats().corrupt, 0U);
  const auto has = [&](const char* document) { return cache->find_exact(about(document).key(), {}).entry != nullptr; };
  EXPECT_FALSE(has("a"));
  EXPECT_TRUE(has("b"));
  EXPECT_FALSE(has("c"));
  EXPECT_TRUE(has("d"));
}

}  // namespace
}  // namespace kvasir::cache::test
