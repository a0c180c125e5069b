// POST /v1/chat/completions: HTTP and JSON in front of ChatService; and the delivery of answers that all endpoints of
// completions share.
#pragma once

#include "gateway/answer_writer.hpp"
#include "gateway/chat_service.hpp"
#include "gateway/error_response.hpp"
#include "gateway/http_connection.hpp"
#include "gateway/metrics.hpp"

namespace kvasir::gateway {

class ChatEndpoint {
 public:
  // Both must outlive the endpoint.
  // `keepalive`: a stream on which nothing comes for so long gets a comment, so that nobody on the way ends it.
  ChatEndpoint(ChatService& service, Metrics& metrics, std::chrono::milliseconds keepalive)
      : service_(&service), metrics_(&metrics), keepalive_(keepalive) {}

  // Answers the exchange and fills `record`; `caller` pays for the tokens.
  Task<void> handle(HttpExchange& exchange, Caller& caller, RequestRecord& record);
  // The same for a request that is read already and an answer that `writer` shows.
  Task<void> answer(HttpExchange& exchange, Caller& caller, RequestRecord& record, std::shared_ptr<ChatRequest> request,
                    AnswerWriter& writer);

 private:
  struct Turn;

  Task<void> replay(Turn& turn);
  Task<void> wait_plain(Turn& turn);
  Task<void> wait_stream(Turn& turn);
  Task<void> fail(Turn& turn, ApiError error);
  // The answer's id names its prompt from before the client has read it to its end.
  static void remember(const Turn& turn);
  void note_result(Turn& turn, const FlightResult& result);
  void note_usage(Turn& turn, const cache::Answer& answer, const engine::GenerateSummary* engine);

  ChatService* service_;
  Metrics* metrics_;
  std::chrono::milliseconds keepalive_;
};

}  // namespace kvasir::gateway
