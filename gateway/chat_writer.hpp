// A chat completion, plain or streamed. An upstream's bytes pass as they came, with `cached` added.
#pragma once

#include "gateway/answer_writer.hpp"
#include "gateway/chat_request.hpp"
#include "gateway/openai_response.hpp"

#include <memory>
#include <optional>
#include <vector>

namespace kvasir::gateway {

class ChatWriter final : public AnswerWriter {
 public:
  explicit ChatWriter(std::shared_ptr<const ChatRequest> request)
      : request_(std::move(request)), delivery_(new_delivery(false)) {
    delivery_.logprobs = request_->logprobs;
  }

  std::string_view id() const override { return delivery_.id; }
  void body(std::string& out, const ShownAnswer& shown) override;
  void delta(std::string& out, const FlightDelta& delta) override;
  void end(std::string& out, const ShownAnswer& shown) override;

 private:
  void role(std::string& out, int index);

  std::shared_ptr<const ChatRequest> request_;
  Delivery delivery_;
  std::optional<ChunkWriter> chunks_;
  std::vector<bool> begun_;  // by choice: its role chunk is out
  bool raw_ = false;
};

}  // namespace kvasir::gateway
