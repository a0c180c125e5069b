// What a delta, or a whole answer, says of its first choice, whoever computed it.
#pragma once

#include "gateway/answer_writer.hpp"

#include <string>
#include <vector>

namespace kvasir::gateway {

struct ChatPiece {
  std::string text;
  std::string refusal;
  std::string logprobs;  // items, as in FlightDelta
  std::vector<ToolCallPiece> tool_calls;
  int cached_tokens = 0;  // of usage, where an upstream tells it
  int reasoning_tokens = 0;
};

ChatPiece piece_of(const FlightDelta& delta);
ChatPiece piece_of(const ShownAnswer& shown);

}  // namespace kvasir::gateway
