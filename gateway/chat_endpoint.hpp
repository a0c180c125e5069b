// POST /v1/chat/completions: HTTP and JSON in front of ChatService.
#pragma once

#include "gateway/chat_service.hpp"
#include "gateway/http_connection.hpp"
#include "gateway/metrics.hpp"
#include "gateway/openai_response.hpp"

namespace kvasir::gateway {

class ChatEndpoint {
 public:
  // Both must outlive the endpoint.
  // `keepalive`: a stream on which nothing comes for so long gets a comment, so that nobody on the way ends it.
  ChatEndpoint(ChatService& service, Metrics& metrics, std::chrono::milliseconds keepalive)
      : service_(&service), metrics_(&metrics), keepalive_(keepalive) {}

  // Answers the exchange and fills `record`; `caller` pays for the tokens.
  Task<void> handle(HttpExchange& exchange, Caller& caller, RequestRecord& record);

 private:
  struct Turn;

  Task<void> replay(Turn& turn);
  Task<void> wait_plain(Turn& turn);
  Task<void> wait_stream(Turn& turn);
  Task<void> fail(Turn& turn, const ApiError& error);
  void note_result(Turn& turn, const FlightResult& result);
  void note_usage(Turn& turn, const cache::Answer& answer, const engine::GenerateSummary* engine);

  ChatService* service_;
  Metrics* metrics_;
  std::chrono::milliseconds keepalive_;
};

}  // namespace kvasir::gateway
