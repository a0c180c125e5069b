#include "cache/entry_codec.hpp"

#include "tests/cache/support.hpp"

#include <cstddef>
#include <string>

#include <gtest/gtest.h>

namespace kvasir::cache::test {
namespace {

Entry example() {
  Entry entry{"kve-1", Asked().key(), answer("a"), {"t1", "t2"}, Clock::time_point{}, Clock::time_point{}};
  entry.key.documents = {"d1", ""};
  entry.answer.choices.push_back({std::string("\0x", 2), "no", "stop", "{}"});
  return entry;
}

TEST(EntryCodec, WhatIsReadIsWhatWasWritten) {
  const std::string bytes = encode(example());
  const auto decoded = decode(bytes);
  ASSERT_TRUE(decoded);
  EXPECT_EQ(decoded->id, "kve-1");
  EXPECT_EQ(decoded->answer.choices.back().content, std::string("\0x", 2));
  EXPECT_EQ(encode(*decoded), bytes);
}

TEST(EntryCodec, CutOrLengthenedBytesAreRefused) {
  const std::string bytes = encode(example());
  for (std::size_t size = 0; size < bytes.size(); ++size) EXPECT_FALSE(decode(bytes.substr(0, size))) << size;
  EXPECT_FALSE(decode(bytes + '\0'));
}

TEST(EntryCodec, AnotherVersionIsRefused) {
  std::string bytes = encode(example());
  bytes[0] = 2;
  EXPECT_FALSE(decode(bytes));
}

// The checksum keeps such bytes away; should one pass, it must do no harm.
TEST(EntryCodec, FlippedBytesAreRefusedOrReadAsTheyStand) {
  const std::string bytes = encode(example());
  for (std::size_t at = 0; at < bytes.size(); ++at) {
    std::string damaged = bytes;
    damaged[at] = static_cast<char>(damaged[at] ^ '\xff');
    const auto decoded = decode(damaged);
    if (decoded) {
      EXPECT_TRUE(encode(*decoded) == damaged) << at;
    }
  }
}

}  // namespace
}  // namespace kvasir::cache::test
