// The public listener: finds the endpoint, checks the key, keeps the record of every request.
#pragma once

#include "gateway/chat_endpoint.hpp"
#include "gateway/cors.hpp"
#include "gateway/http_connection.hpp"
#include "gateway/metered_exchange.hpp"
#include "gateway/metrics.hpp"
#include "gateway/request_log.hpp"
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
};

class ApiHandler final : public HttpHandler {
 public:
  explicit ApiHandler(const Services& services)
      : services_(services),
        chat_(*services.chat, *services.metrics, services.stream_keepalive),
        cors_(services.cors_origins),
        created_(new_delivery(false).created) {}

  Task<void> handle(HttpExchange& exchange) override;
  std::optional<HttpResponse> refuse_early(const HttpRequest& head) override;
  std::string common_headers(const HttpRequest& head) override { return cors_.headers(head); }

 private:
  Task<void> answer(MeteredExchange& exchange, const SnapshotPtr& snapshot, RequestRecord& record);
  std::optional<HttpResponse> admit(const HttpRequest& request, Caller& caller, RequestRecord& record) const;
  HttpResponse options(const HttpRequest& request) const;
  HttpResponse health(const HttpRequest& request) const;
  HttpResponse models(const HttpRequest& request, const Caller& caller) const;
  HttpResponse model(std::string_view name, const Caller& caller) const;
  void append_model(std::string& out, std::string_view name) const;

  Services services_;
  ChatEndpoint chat_;
  CorsPolicy cors_;
  std::int64_t created_;
};

// Shared by the listeners.
HttpResponse error_response(const ApiError& error);
HttpResponse method_not_allowed(std::string_view allowed);

}  // namespace kvasir::gateway
