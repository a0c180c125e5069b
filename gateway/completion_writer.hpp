// OpenAI's legacy completions, plain or streamed.
#pragma once

#include "gateway/answer_writer.hpp"
#include "gateway/chat_request.hpp"
#include "gateway/openai_response.hpp"

#include <memory>
#include <vector>

namespace kvasir::gateway {

class CompletionWriter final : public AnswerWriter {
 public:
  explicit CompletionWriter(std::shared_ptr<const ChatRequest> request)
      : request_(std::move(request)), delivery_(new_delivery(false, "cmpl-")) {}

  std::string_view id() const override { return delivery_.id; }
  void body(std::string& out, const ShownAnswer& shown) override;
  void delta(std::string& out, const FlightDelta& delta) override;
  void end(std::string& out, const ShownAnswer& shown) override;

 private:
  // Everything before the choices, for an answer of `model`.
  void head(std::string& out, std::string_view model) const;
  // `logprobs`: items of chat logprobs; the choice's place in its text moves on by their tokens.
  void choice(std::string& out, std::size_t index, std::string_view text, std::string_view logprobs,
              std::string_view finish_reason);
  void tail(std::string& out, const ShownAnswer& shown) const;
  void chunk(std::string& out, std::string_view model, std::size_t index, std::string_view text,
             std::string_view logprobs, std::string_view finish_reason, const engine::GenerateSummary* engine);

  std::shared_ptr<const ChatRequest> request_;
  Delivery delivery_;
  std::vector<std::size_t> offsets_;  // by choice: characters of the tokens shown so far
  bool begun_ = false;
  bool cached_ = false;
};

}  // namespace kvasir::gateway
