// A request's head and body must come out the same however their bytes arrive. The input's first byte says how: so many
// at a time.
#include "gateway/chunked_body.hpp"
#include "gateway/content_coding.hpp"
#include "gateway/http_head.hpp"
#include "tests/fuzz/fuzz.hpp"

#include <string>

namespace kvasir::gateway {
namespace {

constexpr std::size_t kBound = 4096;

struct Outcome {
  int status = 0;  // of the error; 0: none
  HttpHead head;
  std::string body;
  std::string rest;  // what the next request would be read from
};

// Gives `bytes` to put(buffer), `step` at a time, while it wants more. Returns what it left.
template <typename Put, typename Wants>
std::string feed(std::string bytes, std::size_t step, const Put& put, const Wants& wants) {
  std::string buffer;
  while (wants() && !bytes.empty()) {
    buffer += bytes.substr(0, step);
    bytes.erase(0, step);
    const std::size_t taken = put(buffer);
    must(taken <= buffer.size());
    buffer.erase(0, taken);
    must(!wants() || buffer.size() <= kBound);
  }
  return buffer + bytes;
}

Outcome read(std::string_view bytes, std::size_t step) {
  Outcome outcome;
  HttpHeadParser parser(kBound);
  outcome.rest = feed(
      std::string(bytes), step, [&](std::string_view buffer) { return parser.put(buffer); },
      [&] { return parser.state() == HttpHeadParser::State::reading; });
  if (parser.state() == HttpHeadParser::State::failed) outcome.status = parser.error().status;
  if (parser.state() != HttpHeadParser::State::done) return outcome;
  outcome.head = parser.release();
  if (!outcome.head.chunked) return outcome;
  ChunkedBody chunks(kBound, kBound / 4);
  outcome.rest = feed(
      std::move(outcome.rest), step, [&](std::string_view buffer) { return chunks.put(buffer, outcome.body); },
      [&] { return chunks.reading(); });
  must(outcome.body.size() <= kBound);
  if (chunks.state() == ChunkedBody::State::failed) outcome.status = chunks.error().status;
  return outcome;
}

void use(std::string_view data) {
  if (data.empty()) return;
  const std::size_t step = 1 + static_cast<unsigned char>(data[0]) % 64;
  data.remove_prefix(1);
  const Outcome whole = read(data, data.size() + 1);
  const Outcome pieces = read(data, step);
  // Too long and malformed at once: which is seen first depends on what has come.
  must((whole.status == 0) == (pieces.status == 0));
  if (whole.status != 0) return;
  must(whole.head.method == pieces.head.method && whole.head.path == pieces.head.path);
  must(whole.head.query == pieces.head.query && whole.head.host == pieces.head.host);
  must(whole.head.fields.size() == pieces.head.fields.size());
  must(whole.head.content_length == pieces.head.content_length && whole.head.chunked == pieces.head.chunked);
  must(!whole.head.chunked || whole.head.content_length == 0);
  must(whole.body == pieces.body && whole.rest == pieces.rest);
  const auto unpacked = gunzip(whole.body, kBound);
  must(!unpacked || unpacked->size() <= kBound);
}

}  // namespace
}  // namespace kvasir::gateway

KVASIR_FUZZ(kvasir::gateway::use)
