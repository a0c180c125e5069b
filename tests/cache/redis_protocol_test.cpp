// What needs no server: replies, slots, redirections, changes.
#include "cache/redis_change.hpp"
#include "cache/redis_cluster.hpp"
#include "cache/redis_reply.hpp"
#include "cache/redis_scripts.hpp"

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

namespace kvasir::cache::test {
namespace {

RedisReply error(std::string text) {
  RedisReply reply;
  reply.kind = RedisReply::Kind::error;
  reply.text = std::move(text);
  return reply;
}

RedisReply parsed(std::string_view bytes) {
  RedisParser parser;
  EXPECT_TRUE(parser.feed(bytes));
  std::optional<RedisReply> reply;
  EXPECT_TRUE(parser.next(reply));
  return reply.value_or(error("nothing"));
}

TEST(RedisProtocol, CommandsAreBinarySafe) {
  RedisCommands commands;
  commands.add({"SET", std::string_view("a\r\n\0b", 5), ""});
  EXPECT_EQ(commands.bytes(), std::string("*3\r\n$3\r\nSET\r\n$5\r\na\r\n\0b\r\n$0\r\n\r\n", 30));
  EXPECT_EQ(commands.replies(), 1U);
}

TEST(RedisProtocol, RepliesComeInWhateverPieces) {
  const std::string_view bytes = "*2\r\n$3\r\nabc\r\n*2\r\n:7\r\n$-1\r\n-ERR no\r\n";
  RedisParser parser;
  std::vector<RedisReply> replies;
  for (const char byte : bytes) {
    ASSERT_TRUE(parser.feed({&byte, 1}));
    std::optional<RedisReply> reply;
    ASSERT_TRUE(parser.next(reply));
    if (reply) replies.push_back(*reply);
  }
  ASSERT_EQ(replies.size(), 2U);
  ASSERT_TRUE(replies[0].is_list());
  EXPECT_EQ(replies[0].list[0].text, "abc");
  EXPECT_EQ(replies[0].list[1].list[0].integer, 7);
  EXPECT_EQ(replies[0].list[1].list[1].kind, RedisReply::Kind::nothing);
  EXPECT_TRUE(replies[1].is_error("ERR"));
}

TEST(RedisProtocol, WhatIsNotRedisIsNoticed) {
  RedisParser parser;
  std::optional<RedisReply> reply;
  parser.feed("HTTP/1.1 400 Bad Request\r\n\r\n");
  EXPECT_FALSE(parser.next(reply));
}

TEST(RedisProtocol, SlotsAreThoseOfTheSpecification) {
  EXPECT_EQ(cluster_slot("123456789"), 0x31C3U % 16384);
  EXPECT_EQ(cluster_slot("foo"), 12182);
  EXPECT_EQ(cluster_slot("{user1000}.following"), cluster_slot("{user1000}.followers"));
  EXPECT_NE(cluster_slot("foo{}{bar}"), cluster_slot("bar")) << "empty braces are no tag";
  EXPECT_EQ(cluster_slot("foo{bar}{zap}"), cluster_slot("bar"));
}

TEST(RedisProtocol, AllKeysOfAShardAreInOneSlot) {
  const RedisKeys keys("kvasir", "7");
  for (const std::string& key : {keys.entry("kve-1"), keys.entries(), keys.names(), keys.changes(), keys.removed(),
                                 keys.index("document", "a{b}c"), keys.index("tag", "{x}")}) {
    EXPECT_EQ(cluster_slot(key), cluster_slot("7")) << key;
  }
}

TEST(RedisProtocol, TheMasterOfASlotIsFound) {
  const RedisReply slots = parsed(
      "*2\r\n"
      "*3\r\n:0\r\n:5460\r\n*2\r\n$9\r\n127.0.0.1\r\n:30001\r\n"
      "*4\r\n:5461\r\n:16383\r\n*2\r\n$0\r\n\r\n:30002\r\n*2\r\n$1\r\nx\r\n:1\r\n");
  const RedisNode asked{"10.0.0.1", 1};
  EXPECT_EQ(master_of(5460, slots, asked), (RedisNode{"127.0.0.1", 30001}));
  EXPECT_EQ(master_of(5461, slots, asked), (RedisNode{"10.0.0.1", 30002})) << "no address: where one asked";
  EXPECT_EQ(master_of(1, parsed("*0\r\n"), asked), std::nullopt);
  EXPECT_EQ(master_of(1, parsed("*1\r\n*1\r\n:0\r\n"), asked), std::nullopt);
}

TEST(RedisProtocol, RedirectionsAreUnderstood) {
  const RedisNode asked{"h", 1};
  const auto moved = redirection(error("MOVED 3999 127.0.0.1:6381"), asked);
  ASSERT_TRUE(moved);
  EXPECT_EQ(moved->node, (RedisNode{"127.0.0.1", 6381}));
  EXPECT_FALSE(moved->asking);
  const auto ask = redirection(error("ASK 3999 ::1:6381"), asked);
  ASSERT_TRUE(ask);
  EXPECT_EQ(ask->node, (RedisNode{"::1", 6381}));
  EXPECT_TRUE(ask->asking);
  EXPECT_EQ(redirection(error("MOVED 3999 :6381"), asked)->node, (RedisNode{"h", 6381}));
  EXPECT_FALSE(redirection(error("MOVED 3999 nowhere"), asked));
  EXPECT_FALSE(redirection(error("CROSSSLOT Keys"), asked));
}

TEST(RedisProtocol, ARemovalGoesThroughTheStreamUnchanged) {
  const StoredRemoval removal{{{"d1", "d 2"}, {"t"}, "tenant", "model", true}, {"kve-1"}};
  RedisReply element;
  element.kind = RedisReply::Kind::list;
  element.list.resize(2);
  element.list[0].text = "12-3";
  element.list[1].kind = RedisReply::Kind::list;
  for (const std::string& field : fields_of(removal, "me", "me-1")) element.list[1].list.emplace_back().text = field;
  const auto change = change_from(element);
  ASSERT_TRUE(change);
  EXPECT_EQ(change->id, (StreamId{12, 3}));
  EXPECT_EQ(change->origin, "me");
  EXPECT_EQ(change->token, "me-1");
  EXPECT_EQ(change->removed.ids, removal.ids);
  EXPECT_EQ(change->removed.what.documents, removal.what.documents);
  EXPECT_EQ(change->removed.what.tags, removal.what.tags);
  EXPECT_EQ(change->removed.what.tenant, "tenant");
  EXPECT_EQ(change->removed.what.model, "model");
  EXPECT_TRUE(change->removed.what.all);
}

TEST(RedisProtocol, AHugeRemovalIsTakenInPieces) {
  StoredRemoval removal;
  for (int i = 0; i < 450; ++i) removal.what.documents.push_back(std::to_string(i));
  removal.what.tags = {"t"};
  removal.what.tenant = "a";
  std::size_t names = 0;
  const auto pieces = pieces_of(removal, 200);
  EXPECT_EQ(pieces.size(), 4U);
  for (const StoredRemoval& piece : pieces) {
    EXPECT_LE(piece.what.documents.size(), 200U);
    EXPECT_EQ(piece.what.tenant, "a");
    names += piece.what.documents.size() + piece.what.tags.size();
  }
  EXPECT_EQ(names, 451U);
  EXPECT_TRUE(pieces_of({}, 200).empty());
}

TEST(RedisProtocol, IdsOfAStreamAreOrderedAsNumbers) {
  EXPECT_LT(*StreamId::parse("9-10"), *StreamId::parse("10-2"));
  EXPECT_LT(*StreamId::parse("10-9"), *StreamId::parse("10-10"));
  EXPECT_FALSE(StreamId::parse("10"));
  EXPECT_FALSE(StreamId::parse("x-1"));
}

}  // namespace
}  // namespace kvasir::cache::test
