// The parsers of the HTTP edge alone. What they accept and refuse is in tests/clients/test_http_wire.py; here, that it
// does not matter how the bytes arrive, and what becomes of them.
#include "gateway/http_head.hpp"

#include "gateway/chunked_body.hpp"
#include "gateway/content_coding.hpp"

#include <gtest/gtest.h>
#include <zlib.h>

namespace kvasir::gateway {
namespace {

// Gives `bytes` to the parser `step` at a time, as a connection would.
template <typename Put>
void feed(std::string_view bytes, std::size_t step, const Put& put) {
  std::string buffer;
  while (!bytes.empty()) {
    buffer += bytes.substr(0, step);
    bytes.remove_prefix(std::min(step, bytes.size()));
    buffer.erase(0, put(buffer));
  }
}

HttpHead parsed(std::string_view bytes, std::size_t step = 1 << 20) {
  HttpHeadParser parser(1 << 20);
  feed(bytes, step, [&](std::string_view buffer) { return parser.put(buffer); });
  EXPECT_EQ(parser.state(), HttpHeadParser::State::done) << parser.error().message;
  return parser.release();
}

int refused(std::string_view bytes, std::size_t step) {
  HttpHeadParser parser(1 << 20);
  feed(bytes, step, [&](std::string_view buffer) { return parser.put(buffer); });
  return parser.state() == HttpHeadParser::State::failed ? parser.error().status : 0;
}

TEST(HttpHead, is_the_same_however_its_bytes_arrive) {
  const std::string bytes =
      "\r\nPOST http://h:1/v1/a%20b?c=%20d HTTP/1.1\r\nHost: other\r\nX-One: 1\r\nConnection: close\r\nx-one: 2\r\n"
      "Content-Length: 12\r\n\r\n";
  for (const std::size_t step : {1U, 2U, 3U, 7U, 1000U}) {
    const HttpHead head = parsed(bytes, step);
    EXPECT_EQ(head.method, "POST");
    EXPECT_EQ(head.path, "/v1/a b");
    EXPECT_EQ(head.query, "c=%20d");
    EXPECT_EQ(head.host, "h:1");
    EXPECT_EQ(head.fields.size(), 5U);
    EXPECT_EQ(head.fields.joined("X-ONE"), "1, 2");
    EXPECT_EQ(head.content_length, 12U);
    EXPECT_FALSE(head.keep_alive);
  }
  for (const std::size_t step : {1U, 2U, 3U, 7U, 1000U}) {
    EXPECT_EQ(refused("GET / HTTP/1.1\r\nHost: x\r\nA: b\n\r\n", step), 400);
    EXPECT_EQ(refused("GET / HTTP/1.1\r\nHost: x\r\n A: b\r\n\r\n", step), 400);
    EXPECT_EQ(refused("GET / HTTP/9.1\r\nHost: x\r\n\r\n", step), 505);
  }
}

TEST(HttpHead, ends_where_the_next_request_begins) {
  const std::string_view two = "GET /a HTTP/1.1\r\nHost: x\r\n\r\nGET /b HTTP/1.1\r\n";
  HttpHeadParser parser(1000);
  EXPECT_EQ(two.substr(parser.put(two)), "GET /b HTTP/1.1\r\n");
  EXPECT_EQ(parser.release().path, "/a");
}

TEST(HttpHead, keeps_its_fields_when_it_moves) {
  HttpHead head = parsed("GET / HTTP/1.1\r\nHost: x\r\nA: b\r\n\r\n");
  const HttpHead moved = std::move(head);
  EXPECT_EQ(moved.fields.first("a"), "b");
  EXPECT_EQ(moved.fields.first("missing"), "");
}

TEST(ChunkedBody, is_the_same_however_its_bytes_arrive) {
  const std::string bytes = "5;a=b\r\nhello\r\nA\r\n, \r\nworld\n\r\n0\r\nTrailer: x\r\n\r\nnext";
  for (const std::size_t step : {1U, 2U, 3U, 5U, 1000U}) {
    ChunkedBody chunks(15, 1000);
    std::string body;
    std::string buffer;
    for (std::size_t at = 0; at < bytes.size(); at += step) {
      buffer += bytes.substr(at, step);
      buffer.erase(0, chunks.put(buffer, body));
    }
    EXPECT_EQ(chunks.state(), ChunkedBody::State::done) << chunks.error().message;
    EXPECT_EQ(body, "hello, \r\nworld\n");
    EXPECT_EQ(buffer, "next");
  }
}

TEST(ChunkedBody, takes_as_much_as_its_bound_and_not_a_byte_more) {
  const auto status = [](std::uint64_t bound) {
    ChunkedBody chunks(bound, 1000);
    std::string body;
    chunks.put("3\r\nabc\r\n3\r\ndef\r\n0\r\n\r\n", body);
    return chunks.state() == ChunkedBody::State::failed ? chunks.error().status : 0;
  };
  EXPECT_EQ(status(6), 0);
  EXPECT_EQ(status(5), 413);
  EXPECT_EQ(status(0), 413);
}

TEST(ChunkedBody, bounds_its_extensions_together) {
  ChunkedBody chunks(1 << 20, 100);
  std::string body;
  for (int i = 0; i < 1000 && chunks.reading(); ++i) chunks.put("1;abcdefghijklmnopqrstuvwxyz\r\nx\r\n", body);
  ASSERT_EQ(chunks.state(), ChunkedBody::State::failed);
  EXPECT_EQ(chunks.error().status, 431);
}

std::string gzip(std::string_view plain) {
  z_stream stream{};
  EXPECT_EQ(deflateInit2(&stream, 9, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY), Z_OK);
  std::string packed(plain.size() + 1000, '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(plain.data()));
  stream.avail_in = static_cast<uInt>(plain.size());
  stream.next_out = reinterpret_cast<Bytef*>(packed.data());
  stream.avail_out = static_cast<uInt>(packed.size());
  EXPECT_EQ(deflate(&stream, Z_FINISH), Z_STREAM_END);
  packed.resize(packed.size() - stream.avail_out);
  deflateEnd(&stream);
  return packed;
}

TEST(Gunzip, gives_back_what_was_packed_up_to_its_bound) {
  for (const std::size_t size : {0U, 1U, 65'535U, 65'536U, 65'537U, 1'000'000U}) {
    const std::string plain(size, 'x');
    const auto whole = gunzip(gzip(plain), size);
    ASSERT_TRUE(whole) << size;
    EXPECT_EQ(*whole, plain);
    if (size > 0) {
      EXPECT_EQ(gunzip(gzip(plain), size - 1).error().status, 413);
    }
  }
  EXPECT_EQ(*gunzip(gzip("a") + gzip("") + gzip("b"), 2), "ab");
}

TEST(Gunzip, refuses_every_beginning_of_a_whole) {
  const std::string packed = gzip("some text that is long enough to be packed, packed, packed");
  for (std::size_t size = 0; size < packed.size(); ++size) {
    EXPECT_EQ(gunzip(packed.substr(0, size), 1000).error().status, 400) << size;
  }
}

}  // namespace
}  // namespace kvasir::gateway
