// What an upstream said, made sense of: whole completions and the chunks of a stream.
#pragma once

#include "gateway/api_error.hpp"
#include "gateway/in_flight.hpp"
#include "gateway/money.hpp"

#include <optional>
#include <string>
#include <vector>

#include <simdjson.h>

namespace kvasir::gateway {

// What an answer, or the chunk of a stream, tells of its tokens.
std::optional<TokenUsage> read_usage(simdjson::dom::element root);

// A chat.completion body. Anything else (HTML, half a JSON, nothing): 502.
Result<FlightResult> read_completion(std::string body);

// Puts a stream's chunks together again.
class StreamAssembler {
 public:
  // `data`: one event's. On success the delta to pass on.
  Result<FlightDelta> push(std::string data);
  // Every choice has had its finish reason.
  bool finished() const;
  FlightResult take();

 private:
  struct Choice {
    cache::AnswerChoice answer;
    std::string logprobs;  // items
  };

  FlightResult result_;
  std::vector<Choice> choices_;
};

}  // namespace kvasir::gateway
