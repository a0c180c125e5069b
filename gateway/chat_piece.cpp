#include "gateway/chat_piece.hpp"

#include "gateway/field_reader.hpp"
#include "gateway/openai_response.hpp"

#include <algorithm>

namespace kvasir::gateway {
namespace {

using simdjson::SUCCESS;

std::string text_of(Json object, std::string_view key) {
  std::string_view text;
  return object[key].get(text) == SUCCESS ? std::string(text) : std::string();
}

int number_of(Json object, std::string_view key) {
  std::int64_t number = 0;
  return object[key].get(number) == SUCCESS ? static_cast<int>(std::clamp<std::int64_t>(number, 0, INT32_MAX)) : 0;
}

void read_tool_calls(Json message, ChatPiece& piece) {
  simdjson::dom::array calls;
  if (message["tool_calls"].get(calls) != SUCCESS) return;
  int place = 0;
  for (const Json call : calls) {
    ToolCallPiece& one = piece.tool_calls.emplace_back();
    std::int64_t index = place++;
    if (call["index"].get(index) == SUCCESS) index = std::clamp<std::int64_t>(index, 0, INT32_MAX);
    one.index = static_cast<int>(index);
    one.id = text_of(call, "id");
    Json function;
    if (call["function"].get(function) != SUCCESS) continue;
    one.name = text_of(function, "name");
    one.arguments = text_of(function, "arguments");
  }
}

// `part`: "delta" of a chunk, "message" of a completion.
ChatPiece piece_of_upstream(std::string_view json, std::string_view part) {
  thread_local simdjson::dom::parser parser;
  ChatPiece piece;
  Json root;
  if (parser.parse(json.data(), json.size()).get(root) != SUCCESS) return piece;
  Json usage;
  if (root["usage"].get(usage) == SUCCESS && usage.is_object()) {
    Json details;
    if (usage["prompt_tokens_details"].get(details) == SUCCESS)
      piece.cached_tokens = number_of(details, "cached_tokens");
    if (usage["completion_tokens_details"].get(details) == SUCCESS) {
      piece.reasoning_tokens = number_of(details, "reasoning_tokens");
    }
  }
  simdjson::dom::array choices;
  if (root["choices"].get(choices) != SUCCESS) return piece;
  for (const Json choice : choices) {
    if (number_of(choice, "index") != 0) continue;
    Json message;
    if (choice[part].get(message) != SUCCESS || !message.is_object()) continue;
    piece.text += text_of(message, "content");
    piece.refusal += text_of(message, "refusal");
    read_tool_calls(message, piece);
    simdjson::dom::array items;
    if (choice["logprobs"]["content"].get(items) != SUCCESS) continue;
    for (const Json item : items) {
      if (!piece.logprobs.empty()) piece.logprobs += ',';
      piece.logprobs += simdjson::minify(item);
    }
  }
  return piece;
}

}  // namespace

ChatPiece piece_of(const FlightDelta& delta) {
  if (!delta.raw.empty()) return piece_of_upstream(delta.raw, "delta");
  ChatPiece piece;
  if (delta.index != 0) return piece;
  piece.text = delta.content;
  piece.logprobs = delta.logprobs;
  piece.tool_calls = delta.tool_calls;
  return piece;
}

ChatPiece piece_of(const ShownAnswer& shown) {
  if (!shown.raw_body.empty()) return piece_of_upstream(shown.raw_body, "message");
  ChatPiece piece;
  if (shown.answer->choices.empty()) return piece;
  const cache::AnswerChoice& choice = shown.answer->choices[0];
  piece.text = choice.content;
  piece.refusal = choice.refusal;
  piece.logprobs = logprob_items(choice.logprobs);
  if (!shown.tool_calls.empty()) piece.tool_calls = shown.tool_calls[0];
  return piece;
}

}  // namespace kvasir::gateway
