// An answer as a response: the object, or the ladder of events; and its way into the store.
#pragma once

#include "gateway/answer_writer.hpp"
#include "gateway/chat_request.hpp"
#include "gateway/response_events.hpp"
#include "gateway/response_store.hpp"
#include "gateway/responses_request.hpp"

#include <memory>
#include <string>

namespace kvasir::gateway {

class ResponseWriter final : public AnswerWriter {
 public:
  // `chat`: the request as the service knows it, model resolved. `store` must outlive the writer.
  ResponseWriter(ResponsesRequest request, std::shared_ptr<const ChatRequest> chat, std::string tenant,
                 ResponseStore& store);

  std::string_view id() const override { return id_; }
  // Keeps the response, if that was asked for: who has read it to the end can go on from it.
  Task<void> complete(const ShownAnswer& shown) override;
  void body(std::string& out, const ShownAnswer& shown) override;
  void begin(std::string& out) override;
  void delta(std::string& out, const FlightDelta& delta) override;
  void end(std::string& out, const ShownAnswer& shown) override;
  void fail(std::string& out, const ApiError& error) override;
  void rename(ApiError& error) const override { rename_to_response(error); }

 private:
  void take(std::string& out, const ChatPiece& piece);
  nlohmann::json object(std::string_view status) const;
  nlohmann::json usage(const ShownAnswer& shown) const;

  ResponsesRequest request_;
  std::shared_ptr<const ChatRequest> chat_;
  std::string tenant_;
  ResponseStore* store_;
  std::string id_;
  std::int64_t created_;
  ResponseEvents events_;
  int cached_tokens_ = 0;
  int reasoning_tokens_ = 0;
  bool begun_ = false;    // deltas came
  std::string last_;      // events that an answer's end adds
  nlohmann::json final_;  // the response, once it is complete
};

}  // namespace kvasir::gateway
