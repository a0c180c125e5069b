#include "gateway/chat_endpoint.hpp"

#include "gateway/chat_writer.hpp"
#include "gateway/json_text.hpp"
#include "gateway/openai_request.hpp"
#include "gateway/token_estimate.hpp"

#include <cmath>

namespace kvasir::gateway {
namespace {

using SteadyClock = std::chrono::steady_clock;

// An answer's end waits for its entry to be durable, but not for ever: a disk that hangs must not hang clients.
constexpr auto kStorePatience = std::chrono::seconds(2);
// The headers have named an entry that is to survive; without it this is not the answer that they announced.
const ApiError kNotStored{500, "The answer could not be stored.", "server_error", "", "not_stored", 0};
// How long an answer's id names its prompt, unless its KV is pinned for longer.
constexpr std::chrono::seconds kPromptLife = std::chrono::minutes(5);
// What a slow reader has in front of it is no larger than this, beside what all readers of the flight share.
constexpr std::size_t kStreamWrite = 64 << 10;  // bytes
constexpr std::string_view kKeepAlive = ": keep-alive\n\n";

void append_cache_headers(std::string& headers, const ChatOutcome& outcome, bool with_entry) {
  if (outcome.reason.empty()) return;  // refused before the cache was asked
  append_header(headers, "x-kvasir-cache", to_string(outcome.tier));
  if (outcome.similarity) {
    std::string similarity;
    append_number(similarity, static_cast<double>(std::round(*outcome.similarity * 1e4F)) / 1e4);
    append_header(headers, "x-kvasir-similarity", similarity);
  }
  if (with_entry && !outcome.entry_id.empty()) append_header(headers, "x-kvasir-cache-entry", outcome.entry_id);
  append_header(headers, "x-kvasir-cache-reason", outcome.reason);
}

ShownAnswer shown_of(const FlightResult& result) {
  return {&result.answer, result.engine ? &*result.engine : nullptr, result.raw_body, false, result.tool_calls};
}

}  // namespace

// One request on its way through the endpoint.
struct ChatEndpoint::Turn {
  HttpExchange* exchange = nullptr;
  Caller* caller = nullptr;
  RequestRecord* record = nullptr;
  AnswerWriter* writer = nullptr;
  SteadyClock::time_point begin = SteadyClock::now();
  std::shared_ptr<ChatRequest> request;
  ChatOutcome outcome;

  std::size_t pieces = 0;  // deltas seen: about a token each

  void first_byte() {
    if (record->first_byte.count() == 0) record->first_byte = elapsed();
  }
  std::chrono::microseconds elapsed() const {
    return std::chrono::duration_cast<std::chrono::microseconds>(SteadyClock::now() - begin);
  }
};

Task<void> ChatEndpoint::handle(HttpExchange& exchange, Caller& caller, RequestRecord& record) {
  auto parsed = parse_chat_request(std::move(exchange.request().body));
  if (!parsed) {
    co_await refuse(exchange, record, parsed.error());
    co_return;
  }
  auto request = std::make_shared<ChatRequest>(std::move(*parsed));
  ChatWriter writer(request);
  co_await answer(exchange, caller, record, std::move(request), writer);
}

Task<void> ChatEndpoint::answer(HttpExchange& exchange, Caller& caller, RequestRecord& record,
                                std::shared_ptr<ChatRequest> request, AnswerWriter& writer) {
  Turn turn;
  turn.exchange = &exchange;
  turn.caller = &caller;
  turn.record = &record;
  turn.writer = &writer;
  turn.request = std::move(request);
  record.model = turn.request->model;
  record.stream = turn.request->stream;
  ChatCall call{turn.request, CacheDirectives::parse(exchange.request().cache_control), record.id,
                record.trace.traceparent(), &caller};
  turn.outcome = co_await service_->answer(std::move(call), exchange.executor());
  record.tier = turn.outcome.tier;
  record.reason = turn.outcome.reason;
  record.model = turn.request->model;
  record.similarity = turn.outcome.similarity;
  record.known_model = turn.outcome.model != nullptr;
  if (turn.outcome.error) {
    co_await fail(turn, *turn.outcome.error);
  } else if (turn.outcome.entry) {
    co_await replay(turn);
  } else if (turn.request->stream) {
    co_await wait_stream(turn);
  } else {
    co_await wait_plain(turn);
  }
  if (turn.outcome.client && record.upstream.empty()) record.upstream = turn.outcome.model->backend->place();
  TokenUsage estimate{estimated_prompt_tokens(*turn.request), 0, static_cast<int>(turn.pieces)};
  // What this key has begun is computed to its end for others who wait for it.
  if (record.status == 499 && turn.outcome.client && turn.outcome.client->shared()) {
    estimate = most_tokens(*turn.request);
  }
  settle(caller, record, estimate, turn.outcome.model == nullptr ? Price{} : turn.outcome.model->price);
  record.total = turn.elapsed();
}

Task<void> ChatEndpoint::fail(Turn& turn, ApiError error) {
  turn.writer->rename(error);
  HttpResponse response = error_response(error);
  append_cache_headers(response.headers, turn.outcome, false);
  turn.record->status = error.status;
  turn.record->error = error.code.empty() ? error.type : error.code;
  turn.record->total = turn.elapsed();
  co_await turn.exchange->send(std::move(response));
}

void ChatEndpoint::note_usage(Turn& turn, const cache::Answer& answer, const engine::GenerateSummary* engine) {
  turn.record->prompt_tokens = answer.prompt_tokens;
  turn.record->completion_tokens = answer.completion_tokens;
  if (!answer.choices.empty()) turn.record->stop_reason = answer.choices[0].finish_reason;
  std::size_t bytes = 0;
  for (const cache::AnswerChoice& choice : answer.choices) bytes += choice.content.size();
  turn.pieces = std::max(turn.pieces, static_cast<std::size_t>(estimated_tokens(bytes)));
  if (engine == nullptr) return;
  turn.record->cached_tokens = engine->reused_tokens;
  turn.record->queued = engine->queued;
}

void ChatEndpoint::note_result(Turn& turn, const FlightResult& result) {
  turn.record->cached_tokens = result.cached_tokens;
  if (!result.upstream.empty()) turn.record->upstream = result.upstream;
  note_usage(turn, result.answer, result.engine ? &*result.engine : nullptr);
}

void ChatEndpoint::remember(const Turn& turn) {
  const std::chrono::seconds ttl = std::max(turn.request->pin, kPromptLife);
  turn.outcome.model->backend->remember(turn.caller->tenant(), turn.writer->id(), turn.outcome.client->result(), ttl);
}

// A hit is there as a whole, so that even a stream is one write.
Task<void> ChatEndpoint::replay(Turn& turn) {
  const cache::Answer& answer = turn.outcome.entry->answer;
  HttpResponse response;
  response.headers.reserve(256);
  append_cache_headers(response.headers, turn.outcome, true);
  turn.record->entry = turn.outcome.entry_id;
  const ShownAnswer shown{&answer, nullptr, "", true};
  if (turn.request->stream) turn.writer->begin(response.body);
  co_await turn.writer->complete(shown);
  if (turn.request->stream) {
    turn.writer->end(response.body, shown);
    response.content_type = kEventStream;
    append_header(response.headers, "cache-control", "no-cache");
  } else {
    turn.writer->body(response.body, shown);
  }
  note_usage(turn, answer, nullptr);
  turn.first_byte();
  turn.record->status = 200;
  const bool sent = co_await turn.exchange->send(std::move(response));
  if (!sent) turn.record->status = 499;
}

Task<void> ChatEndpoint::wait_plain(Turn& turn) {
  FlightClient& client = *turn.outcome.client;
  turn.exchange->watch([&client] { client.hang_up(); });
  auto deadline = SteadyClock::time_point::max();
  FlightNews news;
  while (news.phase != FlightPhase::settled) {
    news = co_await client.next(deadline);
    turn.pieces += news.deltas.size();
    if (news.hung_up) {
      turn.record->status = 499;
      co_return;
    }
    if (news.phase == FlightPhase::failed) {
      turn.exchange->stop_watching();
      co_await fail(turn, client.error());
      co_return;
    }
    if (news.timed_out) {
      metrics_->store_timed_out();
      break;
    }
    if (news.phase == FlightPhase::finished) deadline = SteadyClock::now() + kStorePatience;
  }
  turn.exchange->stop_watching();
  const FlightResult& result = client.result();
  const ShownAnswer shown = shown_of(result);
  remember(turn);
  HttpResponse response;
  append_cache_headers(response.headers, turn.outcome, news.kept == Kept::yes);
  if (news.kept == Kept::yes) turn.record->entry = turn.outcome.entry_id;
  co_await turn.writer->complete(shown);
  turn.writer->body(response.body, shown);
  note_result(turn, result);
  turn.first_byte();
  turn.record->status = 200;
  const bool sent = co_await turn.exchange->send(std::move(response));
  if (!sent) turn.record->status = 499;
}

Task<void> ChatEndpoint::wait_stream(Turn& turn) {
  FlightClient& client = *turn.outcome.client;
  HttpExchange& exchange = *turn.exchange;
  AnswerWriter& writer = *turn.writer;
  exchange.watch([&client] { client.hang_up(); });
  auto store_deadline = SteadyClock::time_point::max();
  bool begun = false;
  bool promised = false;
  bool given_up = false;      // on the store
  turn.record->status = 499;  // unless the end is reached
  FlightNews news;
  while (news.phase != FlightPhase::settled && !given_up) {
    const auto silent_until = SteadyClock::now() + keepalive_;
    news = co_await client.next(std::min(store_deadline, silent_until));
    given_up = news.timed_out && SteadyClock::now() >= store_deadline;
    turn.pieces += news.deltas.size();
    if (news.hung_up) co_return;
    if (news.phase == FlightPhase::failed && !begun) {
      exchange.stop_watching();
      co_await fail(turn, client.error());
      co_return;
    }
    std::string out;
    if (!begun) {
      std::string headers;
      promised = !turn.outcome.entry_id.empty() && (news.phase != FlightPhase::settled || news.kept == Kept::yes);
      append_cache_headers(headers, turn.outcome, promised);
      append_header(headers, "cache-control", "no-cache");
      begun = true;
      if (!co_await exchange.begin_stream(std::move(headers), kEventStream)) co_return;
      writer.begin(out);
    }
    if (news.timed_out && !given_up) {
      out += kKeepAlive;
    } else {
      turn.first_byte();
    }
    for (const FlightDelta* delta : news.deltas) {
      writer.delta(out, *delta);
      if (out.size() < kStreamWrite) continue;
      if (!co_await exchange.write(std::exchange(out, {}))) co_return;
    }
    const bool broken_promise = promised && news.kept == Kept::failed;
    if (news.phase == FlightPhase::failed || broken_promise) {
      ApiError error = broken_promise ? kNotStored : client.error();
      writer.rename(error);
      turn.record->status = error.status;
      turn.record->error = error.code;
      writer.fail(out, error);
      out += error_event(error);
      if (broken_promise) note_result(turn, client.result());
      co_await exchange.write(std::move(out));
      co_await exchange.abort();
      co_return;
    }
    if (news.phase == FlightPhase::settled || given_up) {
      const ShownAnswer shown = shown_of(client.result());
      remember(turn);
      co_await writer.complete(shown);
      writer.end(out, shown);
    }
    if (!co_await exchange.write(std::move(out))) co_return;
    if (news.phase == FlightPhase::finished && store_deadline == SteadyClock::time_point::max()) {
      store_deadline = SteadyClock::now() + kStorePatience;
    }
  }
  exchange.stop_watching();
  if (given_up) metrics_->store_timed_out();
  if (news.kept == Kept::yes) turn.record->entry = turn.outcome.entry_id;
  note_result(turn, client.result());
  const bool ended = co_await exchange.end_stream();
  if (ended) turn.record->status = 200;
}

}  // namespace kvasir::gateway
