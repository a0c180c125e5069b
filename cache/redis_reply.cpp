#include "cache/redis_reply.hpp"

#include <iterator>

#include <fmt/format.h>
#include <hiredis/hiredis.h>

namespace kvasir::cache {
namespace {

struct FreeReply {
  void operator()(redisReply* reply) const { freeReplyObject(reply); }
};

RedisReply converted(const redisReply& from) {
  RedisReply reply;
  switch (from.type) {
    case REDIS_REPLY_INTEGER:
      reply.kind = RedisReply::Kind::integer;
      reply.integer = from.integer;
      break;
    case REDIS_REPLY_STRING:
    case REDIS_REPLY_STATUS:
      reply.kind = RedisReply::Kind::text;
      reply.text.assign(from.str, from.len);
      break;
    case REDIS_REPLY_ERROR:
      reply.kind = RedisReply::Kind::error;
      reply.text.assign(from.str, from.len);
      break;
    case REDIS_REPLY_ARRAY:
      reply.kind = RedisReply::Kind::list;
      reply.list.reserve(from.elements);
      for (std::size_t i = 0; i < from.elements; ++i) reply.list.push_back(converted(*from.element[i]));
      break;
    default:
      break;
  }
  return reply;
}

}  // namespace

void RedisCommands::add(const std::vector<std::string_view>& words) {
  if (asking_) append({"ASKING"});
  append(words);
  ++count_;
}

void RedisCommands::append(const std::vector<std::string_view>& words) {
  fmt::format_to(std::back_inserter(bytes_), "*{}\r\n", words.size());
  for (const std::string_view word : words) {
    fmt::format_to(std::back_inserter(bytes_), "${}\r\n", word.size());
    bytes_ += word;
    bytes_ += "\r\n";
  }
}

struct RedisParser::Reader {
  struct Free {
    void operator()(redisReader* reader) const { redisReaderFree(reader); }
  };
  std::unique_ptr<redisReader, Free> handle{redisReaderCreate()};
};

RedisParser::RedisParser() : reader_(std::make_unique<Reader>()) {}
RedisParser::~RedisParser() = default;

bool RedisParser::feed(std::string_view bytes) {
  return redisReaderFeed(reader_->handle.get(), bytes.data(), bytes.size()) == REDIS_OK;
}

bool RedisParser::next(std::optional<RedisReply>& reply) {
  reply.reset();
  void* parsed = nullptr;
  if (redisReaderGetReply(reader_->handle.get(), &parsed) != REDIS_OK) return false;
  if (parsed == nullptr) return true;
  const std::unique_ptr<redisReply, FreeReply> whole(static_cast<redisReply*>(parsed));
  reply = converted(*whole);
  return true;
}

}  // namespace kvasir::cache
