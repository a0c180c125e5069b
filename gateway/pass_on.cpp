#include "gateway/pass_on.hpp"

#include "gateway/error_response.hpp"
#include "gateway/field_reader.hpp"
#include "gateway/sse_parser.hpp"

#include <algorithm>

namespace kvasir::gateway {
namespace {

using simdjson::SUCCESS;

constexpr std::size_t kBytesPerToken = 4;
const ApiError kBrokenOff{
    502, "The upstream server sent a stream that broke off.", "upstream_error", "", "upstream_bad_answer", 0};

// What an answer, or the event of a stream, tells of its usage.
void read_usage(std::string_view json, RequestRecord& record) {
  thread_local simdjson::dom::parser parser;
  Json root;
  Json usage;
  if (json.find("\"usage\"") == std::string_view::npos) return;
  if (parser.parse(json.data(), json.size()).get(root) != SUCCESS || root["usage"].get(usage) != SUCCESS) return;
  const auto number = [&](std::string_view name, int& target) {
    std::int64_t value = 0;
    if (usage[name].get(value) == SUCCESS) target = static_cast<int>(std::clamp<std::int64_t>(value, 0, INT32_MAX));
  };
  number("prompt_tokens", record.prompt_tokens);
  number("completion_tokens", record.completion_tokens);
}

// The client's side of a stream that passes by.
struct Passage {
  HttpExchange* exchange;
  RequestRecord* record;
  std::string headers;
  std::chrono::steady_clock::time_point begin;
  SseParser events{};
  std::size_t pieces = 0;
  bool begun = false;
  bool ended = false;  // [DONE] came
  bool gone = false;   // the client

  Task<bool> pass(std::string_view bytes) {
    if (!std::exchange(begun, true)) {
      record->first_byte =
          std::chrono::duration_cast<std::chrono::microseconds>(std::chrono::steady_clock::now() - begin);
      gone = !co_await exchange->begin_stream(std::move(headers), "text/event-stream; charset=utf-8");
    }
    if (!gone) gone = !co_await exchange->write(std::string(bytes));
    events.push(bytes);
    while (const auto data = events.next()) {
      ended = ended || *data == "[DONE]";
      ++pieces;
      read_usage(*data, *record);
    }
    co_return !gone && !events.overflowed();
  }
};

}  // namespace

Task<void> pass_on(UpstreamBackend& upstream, PassOn request, HttpExchange& exchange, Caller& caller,
                   RequestRecord& record) {
  Passage passage{&exchange, &record, std::move(request.headers), std::chrono::steady_clock::now()};
  ForwardCall call;
  call.path = std::move(request.path);
  call.body = std::move(request.body);
  call.tenant = caller.tenant;
  call.prefix = std::move(request.prefix);
  call.request_id = record.id;
  call.stream = record.stream = request.stream;
  const std::size_t asked = call.body.size() / kBytesPerToken;
  exchange.watch([&passage, control = call.control] {
    passage.gone = true;
    control->cancel();
  });
  ForwardSink sink;
  if (request.stream) sink = [&passage](std::string_view bytes) { return passage.pass(bytes); };
  auto reply = co_await upstream.forward(std::move(call), exchange.executor(), std::move(sink));
  exchange.stop_watching();
  if (!reply && !passage.begun && !passage.gone) {
    co_await refuse(exchange, record, reply.error());
  } else if (passage.gone) {
    record.status = 499;
  } else if (!passage.begun) {
    read_usage(reply->body, record);
    HttpResponse response;
    response.headers = std::move(passage.headers);
    response.body = std::move(reply->body);
    record.status = 200;
    const bool sent = co_await exchange.send(std::move(response));
    if (!sent) record.status = 499;
  } else if (reply && passage.ended) {
    record.status = 200;
    const bool ended = co_await exchange.end_stream();
    if (!ended) record.status = 499;
  } else {
    const ApiError error = reply ? kBrokenOff : reply.error();
    record.status = error.status;
    record.error = error.code;
    co_await exchange.write("data: " + error.body() + "\n\n");
    co_await exchange.abort();
  }
  if (passage.begun && record.completion_tokens == 0) {
    record.prompt_tokens = static_cast<int>(asked);
    record.completion_tokens = static_cast<int>(passage.pieces);
  }
  caller.tokens.charge(record.prompt_tokens + record.completion_tokens);
  record.total =
      std::chrono::duration_cast<std::chrono::microseconds>(std::chrono::steady_clock::now() - passage.begin);
}

}  // namespace kvasir::gateway
