// The public listener: finds the endpoint, checks the key, keeps the record of every request.
#pragma once

#include "gateway/chat_endpoint.hpp"
#include "gateway/cors.hpp"
#include "gateway/embeddings_endpoint.hpp"
#include "gateway/http_connection.hpp"
#include "gateway/metered_exchange.hpp"
#include "gateway/metrics.hpp"
#include "gateway/request_log.hpp"
#include "gateway/responses_endpoint.hpp"
#include "gateway/server_state.hpp"
#include "gateway/snapshot.hpp"

namespace kvasir::gateway {

// What handlers share. All must outlive them.
struct Services {
  ServerState* state = nullptr;
  LiveSnapshot* live = nullptr;
  ChatService* chat = nullptr;
  cache::ResponseCache* cache = nullptr;
  Metrics* metrics = nullptr;
  RequestLog* log = nullptr;
  const ConnectionCounters* connections = nullptr;  // of the API's listener
  std::chrono::milliseconds stream_keepalive{15'000};
  std::vector<std::string> cors_origins{};
  QuestionEmbedder* embedder = nullptr;
  std::string embedding_name = {};  // the embedder's, as clients call it; empty: it serves no clients
  ResponseStore* responses = nullptr;
};

class ApiHandler final : public HttpHandler {
 public:
  explicit ApiHandler(const Services& services);

  Task<void> handle(HttpExchange& exchange) override;
  std::optional<HttpResponse> refuse_early(const HttpRequest& head) override;
  std::string common_headers(const HttpRequest& head) override { return cors_.headers(head); }

 private:
  struct Route;
  static const Route* find_route(std::string_view path);

  Task<void> answer(MeteredExchange& exchange, const SnapshotPtr& snapshot, RequestRecord& record);
  std::optional<HttpResponse> admit(const Route* route, const HttpRequest& request, Caller& caller,
                                    RequestRecord& record) const;
  Task<void> chat(HttpExchange& exchange, Caller& caller, RequestRecord& record);
  Task<void> completions(HttpExchange& exchange, Caller& caller, RequestRecord& record);
  Task<void> embeddings(HttpExchange& exchange, Caller& caller, RequestRecord& record);
  Task<void> responses(HttpExchange& exchange, Caller& caller, RequestRecord& record);
  Task<void> models(HttpExchange& exchange, Caller& caller, RequestRecord& record);
  HttpResponse options(const HttpRequest& request) const;
  static std::string_view methods_of(std::string_view path);
  HttpResponse health(const HttpRequest& request) const;
  HttpResponse list_models(const Caller& caller) const;
  HttpResponse model(std::string_view name, const Caller& caller) const;
  void append_model(std::string& out, std::string_view name) const;

  Services services_;
  ChatEndpoint chat_;
  EmbeddingsEndpoint embeddings_;
  ResponsesEndpoint responses_;
  CorsPolicy cors_;
  std::int64_t created_;
};

}  // namespace kvasir::gateway
