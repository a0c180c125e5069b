// What an upstream said, made sense of: whole bodies, chunks of a stream, and its errors (interface.md, error table).
#pragma once

#include "gateway/api_error.hpp"
#include "gateway/in_flight.hpp"

#include <string>
#include <string_view>
#include <vector>

namespace kvasir::gateway {

// A chat.completion body. Anything else (HTML, half a JSON, nothing): 502.
Result<FlightResult> read_completion(std::string body);

// The error for the client when an upstream answered with `status` >= 300.
ApiError upstream_error(int status, std::string_view body, int retry_after_seconds);
ApiError bad_upstream_answer(std::string_view what);
// Refused, reset or timed out.
ApiError upstream_unreachable(bool timed_out, std::string_view why);

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
