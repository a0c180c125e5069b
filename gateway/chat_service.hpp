// The path of a chat request, cheapest first: exact tier, semantic tier, an equal request in flight, the backend.
// Knows nothing of HTTP or JSON.
#pragma once

#include "cache/response_cache.hpp"
#include "gateway/caller.hpp"
#include "gateway/chat_request.hpp"
#include "gateway/in_flight.hpp"
#include "gateway/question_embedder.hpp"

#include <memory>
#include <optional>
#include <string>

namespace kvasir::gateway {

struct ChatCall {
  std::shared_ptr<ChatRequest> request;
  CacheDirectives directives;
  std::string request_id;
  std::string traceparent;   // for the backend's call
  Caller* caller = nullptr;  // who pays; outlives answer()
};

// Exactly one of `entry`, `client` and `error` is set.
struct ChatOutcome {
  CacheTier tier = CacheTier::miss;
  std::string reason;
  std::optional<float> similarity;
  std::string entry_id;                  // of the entry served, or of the one that will be stored
  cache::EntryPtr entry;                 // a hit
  std::unique_ptr<FlightClient> client;  // an answer in the making
  std::optional<ApiError> error;
  const ModelTable::Model* model = nullptr;  // of the caller's snapshot; null: there is no such model for it
};

// Any thread; an answer's coroutine stays on the thread of its executor.
class ChatService {
 public:
  // All must outlive the service.
  ChatService(cache::ResponseCache& cache, QuestionEmbedder& embedder) : cache_(&cache), embedder_(&embedder) {}

  Task<ChatOutcome> answer(ChatCall call, Executor executor);

 private:
  struct Lookup;

  static std::shared_ptr<Lookup> prepare(ChatCall call, const ModelTable::Model& model);
  void bypass(std::shared_ptr<Lookup> lookup, std::string_view reason, ChatOutcome& outcome, Executor executor);
  bool serve(cache::Decision decision, CacheTier tier, ChatOutcome& outcome) const;
  void compute(std::shared_ptr<Lookup> lookup, const std::shared_ptr<Flight>& flight, Executor executor) const;
  void start_alone(std::shared_ptr<Lookup> lookup, ChatOutcome& outcome, Executor executor, bool store);
  void join_or_start(std::shared_ptr<Lookup> lookup, ChatOutcome& outcome, Executor executor);
  std::function<void(Flight&)> storing(const std::shared_ptr<Lookup>& lookup) const;

  cache::ResponseCache* cache_;
  QuestionEmbedder* embedder_;
  FlightTable flights_;
};

}  // namespace kvasir::gateway
