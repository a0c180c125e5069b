// Blocks on disk: what comes back is what was written, or nothing.
#include "engine/kv_disk.hpp"

#include "tests/temporary_folder.hpp"
#include "tests/test_files.hpp"

#include <fstream>
#include <set>
#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace kvasir::engine {
namespace {

namespace fs = std::filesystem;
using Tokens = std::vector<TokenId>;
using Values = std::vector<std::byte>;

Tokens block_of(TokenId token) {
  return Tokens(16, token);
}

Values values_of(int seed) {
  Values values(2000);
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = static_cast<std::byte>((i * i + i / 7) * 31 + seed);
  return values;
}

class KvDiskTest : public testing::Test {
 protected:
  KvDisk open(std::uint64_t size = 1 << 20) const { return std::move(*KvDisk::open(folder_, size)); }
  std::vector<fs::path> records() const {
    std::vector<fs::path> found;
    for (const auto& file : fs::directory_iterator(folder_))
      if (file.path().extension() == ".kv") found.push_back(file.path());
    return found;
  }
  bool put(KvDisk& disk, TokenId token, const std::vector<std::string>& documents = {}) const {
    return disk.put(root_, block_of(token), documents, values_of(token));
  }
  // Whether the block is there. It is as it was written then.
  bool get(KvDisk& disk, TokenId token) const {
    Values values(2000);
    if (disk.get(root_, block_of(token), values) == nullptr) return false;
    EXPECT_EQ(values, values_of(token));
    return true;
  }

  TemporaryFolder temporary_;
  fs::path folder_ = temporary_.path();
  KvKey root_ = kv_root("model");
};

TEST_F(KvDiskTest, GivesBackWhatWasWrittenAlsoAfterARestart) {
  {
    KvDisk disk = open();
    EXPECT_TRUE(put(disk, 1));
    EXPECT_TRUE(get(disk, 1));
  }
  KvDisk disk = open();
  EXPECT_EQ(disk.blocks(), 1U);
  EXPECT_TRUE(get(disk, 1));
  EXPECT_FALSE(get(disk, 2));
}

TEST_F(KvDiskTest, KeepsNamespacesAndParentsApart) {
  KvDisk disk = open();
  EXPECT_TRUE(put(disk, 1));
  Values values(2000);
  EXPECT_EQ(disk.get(kv_root("another model"), block_of(1), values), nullptr);
  EXPECT_EQ(disk.get(kv_key(root_, block_of(1)), block_of(1), values), nullptr);
}

TEST_F(KvDiskTest, DropsAFileWithAnyByteChangedOrCutAnywhere) {
  {
    KvDisk disk = open();
    EXPECT_TRUE(put(disk, 1, {"document"}));
  }
  const fs::path file = records().at(0);
  const std::string whole = read_bytes(file);
  for (std::size_t at = 0; at < whole.size(); at += at < 256 ? 1 : 7) {
    for (const bool cut : {false, true}) {
      for (const bool running : {false, true}) {
        std::ofstream(file, std::ios::binary) << whole;
        std::string damaged = cut ? whole.substr(0, at) : whole;
        if (!cut) damaged[at] = static_cast<char>(damaged[at] ^ 1);
        if (!running) std::ofstream(file, std::ios::binary) << damaged;
        KvDisk disk = open();
        if (running) std::ofstream(file, std::ios::binary) << damaged;
        ASSERT_FALSE(get(disk, 1)) << at;
        ASSERT_EQ(disk.damaged(), 1U) << at;
        ASSERT_EQ(disk.bytes(), 0U);
        ASSERT_FALSE(fs::exists(file));
      }
    }
  }
}

TEST_F(KvDiskTest, RemovesWhatACrashLeft) {
  std::ofstream(folder_ / "0123.tmp") << "half a block";
  KvDisk disk = open();
  EXPECT_FALSE(fs::exists(folder_ / "0123.tmp"));
  EXPECT_EQ(disk.damaged(), 0U);
}

TEST_F(KvDiskTest, StaysInItsBoundByDroppingWhatWasUnusedForLongest) {
  std::uint64_t one = 0;
  {
    KvDisk disk = open();
    EXPECT_TRUE(put(disk, 1));
    one = disk.bytes();
  }
  KvDisk disk = open(3 * one + 100);
  EXPECT_TRUE(put(disk, 2));
  EXPECT_TRUE(put(disk, 3));
  disk.touch(kv_key(root_, block_of(1)));
  EXPECT_TRUE(put(disk, 4));
  EXPECT_LE(disk.bytes(), 3 * one + 100);
  EXPECT_TRUE(get(disk, 1));
  EXPECT_FALSE(get(disk, 2));
  EXPECT_EQ(records().size(), disk.blocks());
}

TEST_F(KvDiskTest, DropsNoBlockBeforeThoseThatFollowIt) {
  std::vector<KvKey> keys = {root_};
  std::uint64_t six = 0;
  const auto there = [&](KvDisk& disk, std::size_t i) {
    Values values(2000);
    return disk.get(keys[i], block_of(1), values) != nullptr;
  };
  for (int i = 0; i < 6; ++i) keys.push_back(kv_key(keys.back(), block_of(1)));
  {
    KvDisk disk = open();
    // As memory evicts them: the last ones first. They were not found before those that lead to them came.
    for (std::size_t i = 6; i-- > 0;) EXPECT_TRUE(disk.put(keys[i], block_of(1), {}, values_of(1)));
    six = disk.bytes();
  }
  {
    KvDisk disk = open(six - six / 6);
    EXPECT_EQ(disk.blocks(), 5U);
    EXPECT_TRUE(there(disk, 0));
    EXPECT_FALSE(there(disk, 5));
  }
  // Used since, but the first block is of no less use than those behind it.
  KvDisk disk = open(six - six / 6);
  disk.touch(keys[5]);
  EXPECT_TRUE(put(disk, 9));
  EXPECT_TRUE(there(disk, 3));
  EXPECT_FALSE(there(disk, 4));
  EXPECT_TRUE(get(disk, 9));
}

TEST_F(KvDiskTest, IsForItsUserAlone) {
  const KvDisk disk = open();
  EXPECT_EQ(fs::status(folder_).permissions() & (fs::perms::group_all | fs::perms::others_all), fs::perms::none);
}

TEST_F(KvDiskTest, SaysWhereItCannotWrite) {
  std::ofstream(folder_ / "file") << "x";
  const auto disk = KvDisk::open(folder_ / "file", 1 << 20);
  ASSERT_FALSE(disk);
  EXPECT_NE(disk.error().message.find("cannot write in"), std::string::npos);
}

TEST_F(KvDiskTest, RemovesADocumentThatAnEarlierProcessWrote) {
  {
    KvDisk disk = open();
    EXPECT_TRUE(put(disk, 1, {"a", "b"}));
    EXPECT_TRUE(put(disk, 2, {"b"}));
    EXPECT_TRUE(put(disk, 3));
  }
  KvDisk disk = open();
  EXPECT_EQ(disk.invalidate(std::vector<std::string>{"a"}), 1U);
  EXPECT_FALSE(get(disk, 1));
  EXPECT_TRUE(get(disk, 2));
  EXPECT_TRUE(get(disk, 3));
  EXPECT_EQ(records().size(), 2U);
}

TEST_F(KvDiskTest, KnowsABlockByAllDocumentsThatItCameAs) {
  {
    KvDisk disk = open();
    EXPECT_TRUE(put(disk, 1, {"a"}));
    EXPECT_TRUE(put(disk, 1, {"b"}));
    EXPECT_TRUE(put(disk, 1));
    EXPECT_EQ(disk.blocks(), 1U);
    Values values(2000);
    const auto* documents = disk.get(root_, block_of(1), values);
    ASSERT_NE(documents, nullptr);
    EXPECT_EQ(std::set<std::string>(documents->begin(), documents->end()), (std::set<std::string>{"a", "b"}));
  }
  KvDisk disk = open();
  EXPECT_EQ(disk.invalidate(std::vector<std::string>{"b"}), 1U);
  EXPECT_FALSE(get(disk, 1));
}

TEST_F(KvDiskTest, IsRefusedWhileAnotherHasTheFolder) {
  const KvDisk disk = open();
  const auto second = KvDisk::open(folder_, 1 << 20);
  ASSERT_FALSE(second);
  EXPECT_NE(second.error().message.find("another engine"), std::string::npos);
}

}  // namespace
}  // namespace kvasir::engine
