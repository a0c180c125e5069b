#include "rag/content_id.hpp"

#include <string>
#include <thread>
#include <unordered_set>
#include <vector>

#include <gtest/gtest.h>

namespace kvasir::rag {
namespace {

TEST(ContentId, IsTheFirstHalfOfSha256) {
  // FIPS 180-4 examples: SHA-256 of "", "abc" and the 448-bit message.
  EXPECT_EQ(ContentId::of("").hex(), "e3b0c44298fc1c149afbf4c8996fb924");
  EXPECT_EQ(ContentId::of("abc").hex(), "ba7816bf8f01cfea414140de5dae2223");
  EXPECT_EQ(ContentId::of("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq").hex(),
            "248d6a61d20638b8e5c026930c3e6039");
}

TEST(ContentId, SurvivesTheWayThroughHexadecimal) {
  const ContentId id = ContentId::of("some document");
  EXPECT_EQ(ContentId::from_hex(id.hex()), id);
}

TEST(ContentId, ReadsNothingButThirtyTwoLowerCaseDigits) {
  const std::string good = ContentId::of("x").hex();
  EXPECT_FALSE(ContentId::from_hex(""));
  EXPECT_FALSE(ContentId::from_hex(good.substr(1)));
  EXPECT_FALSE(ContentId::from_hex(good + "0"));
  EXPECT_FALSE(ContentId::from_hex("E3B0C44298FC1C149AFBF4C8996FB924"));
  EXPECT_FALSE(ContentId::from_hex("e3b0c44298fc1c149afbf4c8996fb92g"));
}

TEST(ContentId, IsEmptyOnlyWhenNothingWasHashed) {
  EXPECT_TRUE(ContentId{}.empty());
  EXPECT_FALSE(ContentId::of("").empty());
}

TEST(ContentId, IsTheSameOnEveryThread) {
  const ContentId expected = ContentId::of("shared");
  std::vector<ContentId> seen(4);
  std::vector<std::thread> threads;
  for (ContentId& id : seen) {
    threads.emplace_back([&id] {
      for (int i = 0; i < 100; ++i) id = ContentId::of("shared");
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (const ContentId& id : seen) EXPECT_EQ(id, expected);
}

TEST(ContentHasher, TellsFieldsApartThatJoinToTheSameBytes) {
  const ContentId ab_c = ContentHasher().field("ab").field("c").finish();
  const ContentId a_bc = ContentHasher().field("a").field("bc").finish();
  const ContentId abc = ContentHasher().field("abc").finish();
  const ContentId abc_and_empty = ContentHasher().field("abc").field("").finish();
  EXPECT_EQ((std::unordered_set<ContentId>{ab_c, a_bc, abc, abc_and_empty}.size()), 4U);
}

TEST(ContentHasher, GivesEqualIdsForEqualFields) {
  const ContentId part = ContentId::of("part");
  const auto hash = [&](std::uint64_t number) { return ContentHasher().field(part).field(number).finish(); };
  EXPECT_EQ(hash(7), hash(7));
  EXPECT_NE(hash(7), hash(7ULL << 32));
}

TEST(ContentHasher, KeepsWhatItHashedWhenMoved) {
  ContentHasher first;
  first.field("a");
  ContentHasher second = std::move(first);
  EXPECT_EQ(second.field("b").finish(), ContentHasher().field("a").field("b").finish());
}

}  // namespace
}  // namespace kvasir::rag
