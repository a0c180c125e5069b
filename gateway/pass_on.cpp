#include "gateway/pass_on.hpp"

#include "gateway/error_response.hpp"
#include "gateway/field_reader.hpp"
#include "gateway/openai_response.hpp"
#include "gateway/sse_parser.hpp"
#include "gateway/upstream_answer.hpp"
#include "gateway/upstream_backend.hpp"
#include "gateway/upstream_fault.hpp"

#include <algorithm>
#include <map>

namespace kvasir::gateway {
namespace {

using SteadyClock = std::chrono::steady_clock;
using simdjson::SUCCESS;

const ApiError kBrokenOff{
    502, "The upstream server sent a stream that broke off.", "upstream_error", "", "upstream_bad_answer", 0};

// An answer on its way to the client.
struct Passage {
  HttpExchange* exchange;
  RequestRecord* record;
  std::string headers{};
  SteadyClock::time_point started = SteadyClock::now();
  SseParser events{};
  simdjson::dom::parser parser{};
  std::size_t pieces = 0;
  bool begun = false;
  bool ended = false;                      // whole, and [DONE] came
  bool gone = false;                       // the client
  std::map<std::int64_t, bool> choices{};  // of a stream, by index: has a finish reason
  std::optional<ApiError> error{};

  std::chrono::microseconds elapsed() const {
    return std::chrono::duration_cast<std::chrono::microseconds>(SteadyClock::now() - started);
  }

  // What an answer, or the event of a stream, says of itself.
  void note(Json root) {
    if (const auto usage = read_usage(root)) {
      record->prompt_tokens = usage->prompt;
      record->cached_tokens = usage->cached;
      record->completion_tokens = usage->completion;
    }
    simdjson::dom::array list;
    if (root["choices"].get(list) != SUCCESS || list.size() == 0) return;
    for (const Json choice : list) {
      std::int64_t index = 0;
      if (choice["index"].get(index) != SUCCESS) index = 0;
      std::string_view reason;
      const bool finished = choice["finish_reason"].get(reason) == SUCCESS && !reason.empty();
      choices[index] = choices[index] || finished;
      if (finished) record->stop_reason = reason;
    }
  }

  bool whole() const {
    return !choices.empty() && std::all_of(choices.begin(), choices.end(), [](auto& choice) { return choice.second; });
  }

  // Appends the event as the client gets it. False: the stream breaks here.
  bool take(std::string data, std::string& out) {
    if (data == "[DONE]") {
      ended = whole();
      if (!ended) error = bad_answer("a stream without a finish reason").error;
      if (ended) out += kStreamEnd;
      return ended;
    }
    Json root;
    if (parser.parse(data).get(root) != SUCCESS || !root.is_object()) {
      error = bad_answer("a chunk that is not JSON").error;
      return false;
    }
    Json problem;
    if (root["error"].get(problem) == SUCCESS && !problem.is_null()) {
      error = refused_with(502, data, 0).error;
      return false;
    }
    ++pieces;
    note(root);
    std::replace(data.begin(), data.end(), '\n', ' ');  // in JSON a line's end is a blank
    out.append("data: ").append(with_cached_false(data)).append("\n\n");
    return true;
  }

  Task<bool> pass(std::string_view bytes) {
    std::string out;
    bool more = true;
    events.push(bytes);
    while (more && !ended) {
      auto data = events.next();
      if (!data) break;
      more = take(std::move(*data), out);
    }
    if (events.overflowed()) error = bad_answer("an event without end").error;
    if (out.empty()) co_return !error;
    if (!std::exchange(begun, true)) {
      record->first_byte = elapsed();
      gone = !co_await exchange->begin_stream(std::move(headers), kEventStream);
    }
    if (!gone) gone = !co_await exchange->write(std::move(out));
    co_return !gone && !ended && !error;
  }

  Task<void> send(std::string body) {
    Json root;
    if (parser.parse(body).get(root) == SUCCESS) note(root);
    record->first_byte = elapsed();
    HttpResponse response;
    response.headers = std::move(headers);
    // What a cache could have answered says that it did not.
    response.body = record->reason.empty() ? std::move(body) : with_cached_false(body);
    co_await respond(*exchange, *record, std::move(response));
  }

  Task<void> end() {
    const bool sent = co_await exchange->end_stream();
    record->status = sent ? 200 : 499;
  }

  Task<void> break_off(const ApiError& error) {
    record->status = error.status;
    record->error = error.code;
    co_await exchange->write(error_event(error));
    co_await exchange->abort();
  }
};

ForwardCall call_of(PassOn request, const Caller& caller, const RequestRecord& record) {
  ForwardCall call;
  call.path = std::move(request.path);
  call.body = std::move(request.body);
  call.tenant = caller.tenant();
  call.prefix = std::move(request.prefix);
  call.request_id = record.id;
  call.traceparent = record.trace.traceparent();
  call.stream = request.stream;
  call.keep_alive = caller.snapshot();
  return call;
}

Task<void> forward(UpstreamBackend& upstream, ForwardCall call, Passage& passage) {
  HttpExchange& exchange = *passage.exchange;
  const std::shared_ptr<UpstreamCall> control = call.control;
  exchange.watch([&passage, control] {
    passage.gone = true;
    control->cancel();
  });
  ForwardSink sink;
  if (call.stream) sink = [&passage](std::string_view bytes) { return passage.pass(bytes); };
  auto reply = co_await upstream.forward(std::move(call), exchange.executor(), std::move(sink));
  exchange.stop_watching();
  if (!control->server.empty()) passage.record->upstream = control->server;
  if (passage.gone) {
    passage.record->status = 499;
  } else if (!passage.begun && reply && !reply->streamed) {
    co_await passage.send(std::move(reply->body));
  } else if (passage.ended) {
    co_await passage.end();
  } else {
    const ApiError error = passage.error ? *passage.error : reply ? kBrokenOff : reply.error();
    if (passage.begun) {
      co_await passage.break_off(error);
    } else {
      co_await refuse(exchange, *passage.record, error);
    }
  }
}

std::optional<ApiError> refusal_of(const PassOn& request, HttpExchange& exchange, Caller& caller, const Price& price) {
  const bool cached_only = CacheDirectives::parse(exchange.request().cache_control).only_if_cached;
  if (cached_only && !request.cache_reason.empty()) return ApiError::not_cached();
  return caller.reserve(request.most, price);
}

}  // namespace

Task<void> pass_on(const ModelTable::Model& model, PassOn request, HttpExchange& exchange, Caller& caller,
                   RequestRecord& record) {
  Passage passage{&exchange, &record};
  record.model = model.name;
  record.known_model = true;
  record.stream = request.stream;
  record.reason = request.cache_reason;
  if (!record.reason.empty()) {
    append_header(passage.headers, "x-kvasir-cache", to_string(record.tier));
    append_header(passage.headers, "x-kvasir-cache-reason", record.reason);
  }
  const int asked = request.most.prompt;
  if (const auto refusal = refusal_of(request, exchange, caller, model.price)) {
    co_await refuse(exchange, record, *refusal);
  } else {
    ForwardCall call = call_of(std::move(request), caller, record);
    co_await forward(*model.backend->upstream(), std::move(call), passage);
    if (record.upstream.empty()) record.upstream = model.backend->place();
  }
  settle(caller, record, {asked, 0, static_cast<int>(passage.pieces)}, model.price);
  record.total = passage.elapsed();
}

}  // namespace kvasir::gateway
