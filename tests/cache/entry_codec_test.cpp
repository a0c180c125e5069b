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
  entry.key.document_ids = {rag::ContentId::of("d1"), rag::ContentId::of("")};
  entry.key.document_versions = {"7", ""};
  entry.key.document_set = rag::ContentId::of("both");
  entry.key.document_mode = DocumentMode::superset;
  entry.answer.choices.push_back({std::string("\0x", 2), "no", "stop", "{}", "hm", "reasoning"});
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

TEST(EntryCodec, ReadsWhatTheFirstVersionWrote) {
  Entry entry{"kve-1", Asked().key(), answer("a"), {}, Clock::time_point{}, Clock::time_point{}};
  std::string bytes = encode(entry);
  // Behind version, id, two content ids, two texts and an empty list it had none of two empty lists, an id, a byte.
  const std::size_t at =
      1 + 4 + entry.id.size() + 32 + 4 + entry.key.canonical.size() + 4 + entry.key.question.size() + 4;
  bytes.erase(at, 4 + 4 + 16 + 1);
  // Nor two empty texts behind the only choice's four.
  const std::string choice = std::string("a") + std::string(4, '\0') + std::string("\4\0\0\0stop", 8);
  bytes.erase(bytes.find(choice) + choice.size() + 4, 8);
  bytes[0] = 1;
  const auto decoded = decode(bytes);
  ASSERT_TRUE(decoded);
  EXPECT_EQ(decoded->key.question, entry.key.question);
  EXPECT_EQ(decoded->key.tenant, entry.key.tenant);
  EXPECT_EQ(decoded->answer.choices.front().content, "a");
  EXPECT_EQ(decoded->key.document_mode, DocumentMode::same);
}

TEST(EntryCodec, AnotherVersionIsRefused) {
  std::string bytes = encode(example());
  bytes[0] = 3;
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
