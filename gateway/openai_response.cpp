#include "gateway/openai_response.hpp"

#include "gateway/http_message.hpp"
#include "gateway/json_text.hpp"

#include <chrono>

namespace kvasir::gateway {
namespace {

void append_milliseconds(std::string& out, std::chrono::microseconds duration) {
  append_number(out, static_cast<double>(duration.count()) / 1000.0);
}

// One of a message's or a delta's tool_calls, but for the brace before it.
void append_call(std::string& out, const ToolCallPiece& call) {
  if (!call.id.empty()) {
    out += R"("id":)";
    append_json_string(out, call.id);
    out += R"(,"type":"function",)";
  }
  out += R"("function":{)";
  if (!call.name.empty()) {
    out += R"("name":)";
    append_json_string(out, call.name);
    out += ',';
  }
  out += R"("arguments":)";
  append_json_string(out, call.arguments);
  out += "}}";
}

// As the upstream told it, as a member behind others or the first of an object.
void append_reasoning(std::string& out, const cache::AnswerChoice& choice, bool behind_others) {
  if (choice.reasoning.empty()) return;
  if (behind_others) out += ',';
  append_json_string(out, choice.reasoning_field);
  out += ':';
  append_json_string(out, choice.reasoning);
}

void append_choice(std::string& out, std::size_t index, const cache::AnswerChoice& choice, bool logprobs,
                   std::span<const ToolCallPiece> calls) {
  out += R"({"index":)";
  append_number(out, index);
  out += R"(,"message":{"role":"assistant","content":)";
  if (choice.content.empty() && (!choice.refusal.empty() || !calls.empty())) {
    out += "null";
  } else {
    append_json_string(out, choice.content);
  }
  out += R"(,"refusal":)";
  append_string_or_null(out, choice.refusal);
  append_reasoning(out, choice, true);
  out += R"(,"annotations":[])";
  if (!calls.empty()) {
    out += R"(,"tool_calls":[)";
    for (const ToolCallPiece& call : calls) {
      out += out.back() == '[' ? "{" : ",{";
      append_call(out, call);
    }
    out += ']';
  }
  out += R"(},"logprobs":)";
  out += choice.logprobs.empty() || !logprobs ? "null" : choice.logprobs;
  out += R"(,"finish_reason":)";
  append_json_string(out, choice.finish_reason);
  out += '}';
}

std::span<const ToolCallPiece> calls_of(CallsByChoice calls, std::size_t choice) {
  return choice < calls.size() ? std::span<const ToolCallPiece>(calls[choice]) : std::span<const ToolCallPiece>();
}

// Length of the valid UTF-8 character at the front (RFC 3629), or 0.
std::size_t utf8_length(std::string_view text) {
  const auto at = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char lead = at(0);
  if (lead < 0x80) return 1;
  const std::size_t length = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : 2;
  if (lead < 0xC2 || lead > 0xF4 || text.size() < length) return 0;
  for (std::size_t i = 1; i < length; ++i) {
    if ((at(i) & 0xC0) != 0x80) return 0;
  }
  if (lead == 0xE0 && at(1) < 0xA0) return 0;
  if (lead == 0xED && at(1) > 0x9F) return 0;
  if (lead == 0xF0 && at(1) < 0x90) return 0;
  if (lead == 0xF4 && at(1) > 0x8F) return 0;
  return length;
}

std::string as_utf8(std::string_view bytes) {
  std::string text;
  while (!bytes.empty()) {
    const std::size_t length = utf8_length(bytes);
    if (length == 0) {
      text += "\xEF\xBF\xBD";
      bytes.remove_prefix(1);
    } else {
      text += bytes.substr(0, length);
      bytes.remove_prefix(length);
    }
  }
  return text;
}

void append_token(std::string& out, std::string_view bytes, float logprob) {
  out += R"({"token":)";
  append_json_string(out, as_utf8(bytes));
  out += R"(,"logprob":)";
  // OpenAI's floor: JSON has no minus infinity.
  append_number(out, static_cast<double>(logprob > -9999.0F ? logprob : -9999.0F));
  out += R"(,"bytes":[)";
  for (const char byte : bytes) {
    if (out.back() != '[') out += ',';
    append_number(out, static_cast<int>(static_cast<unsigned char>(byte)));
  }
  out += ']';
}

}  // namespace

void append_usage(std::string& out, const cache::Answer& answer, const engine::GenerateSummary* engine) {
  out += R"("usage":{"prompt_tokens":)";
  append_number(out, answer.prompt_tokens);
  out += R"(,"completion_tokens":)";
  append_number(out, answer.completion_tokens);
  out += R"(,"total_tokens":)";
  append_number(out, answer.prompt_tokens + answer.completion_tokens);
  out += R"(,"prompt_tokens_details":{"cached_tokens":)";
  append_number(out, engine != nullptr ? engine->reused_tokens : 0);
  out += R"(,"audio_tokens":0},"completion_tokens_details":{"reasoning_tokens":0,"audio_tokens":0,)"
         R"("accepted_prediction_tokens":)";
  append_number(out, engine != nullptr ? engine->accepted_tokens : 0);
  out += R"(,"rejected_prediction_tokens":)";
  append_number(out, engine != nullptr ? engine->rejected_tokens : 0);
  out += "}}";
}

void append_kvasir(std::string& out, const engine::GenerateSummary& summary) {
  out += R"("kvasir":{"prefix":{"reused_tokens":)";
  append_number(out, summary.reused_tokens);
  out += R"(,"repaired_tokens":0,"computed_tokens":)";
  append_number(out, summary.computed_tokens);
  out += R"(,"exactness":"exact"},"queue_ms":)";
  append_milliseconds(out, summary.queued);
  out += R"(,"prefill_ms":)";
  append_milliseconds(out, summary.prefill);
  out += R"(,"decode_ms":)";
  append_milliseconds(out, summary.decode);
  if (summary.truncated.any()) {
    out += R"(,"truncated":{"messages":)";
    append_number(out, summary.truncated.messages);
    out += R"(,"documents":)";
    append_number(out, summary.truncated.documents);
    out += '}';
  }
  out += '}';
}

void append_fingerprint(std::string& out, std::string_view fingerprint) {
  out += R"(,"system_fingerprint":)";
  append_string_or_null(out, fingerprint);
}

std::string_view logprob_items(std::string_view logprobs) {
  for (const RawField& field : top_level_fields(logprobs)) {
    if (field.key == "content" && field.value.size() >= 2 && field.value.front() == '[') {
      return field.value.substr(1, field.value.size() - 2);
    }
  }
  return {};
}

Delivery new_delivery(bool cached, std::string_view id_prefix) {
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  return {random_id(id_prefix), std::chrono::duration_cast<std::chrono::seconds>(now).count(), cached, nullptr};
}

void append_completion(std::string& out, const Delivery& delivery, const cache::Answer& answer, CallsByChoice calls) {
  out += R"({"id":")";
  out += delivery.id;
  out += R"(","object":"chat.completion","created":)";
  append_number(out, delivery.created);
  out += R"(,"model":)";
  append_json_string(out, answer.model);
  out += R"(,"choices":[)";
  for (std::size_t i = 0; i < answer.choices.size(); ++i) {
    if (i > 0) out += ',';
    append_choice(out, i, answer.choices[i], delivery.logprobs, calls_of(calls, i));
  }
  out += "],";
  append_usage(out, answer, delivery.engine);
  append_fingerprint(out, answer.system_fingerprint);
  out += delivery.cached ? R"(,"cached":true)" : R"(,"cached":false)";
  if (delivery.engine != nullptr) {
    out += ',';
    append_kvasir(out, *delivery.engine);
  }
  out += '}';
}

ChunkWriter::ChunkWriter(const Delivery& delivery, std::string_view model, std::string_view fingerprint,
                         bool include_usage)
    : include_usage_(include_usage), cached_(delivery.cached), logprobs_(delivery.logprobs) {
  head_ = R"(data: {"id":")";
  head_ += delivery.id;
  head_ += R"(","object":"chat.completion.chunk","created":)";
  append_number(head_, delivery.created);
  head_ += R"(,"model":)";
  append_json_string(head_, model);
  append_fingerprint(head_, fingerprint);
  head_ += cached_ ? R"(,"cached":true)" : R"(,"cached":false)";
}

void ChunkWriter::begin(std::string& out) const {
  out += head_;
}

void ChunkWriter::begin_choice(std::string& out, int index) const {
  begin(out);
  out += R"(,"choices":[{"index":)";
  append_number(out, index);
  out += R"(,"delta":{)";
}

void ChunkWriter::end_choice(std::string& out, std::string_view logprobs, std::string_view reason) const {
  out += R"(},"logprobs":)";
  if (logprobs.empty()) {
    out += "null";
  } else {
    out.append(R"({"content":[)").append(logprobs).append(R"(],"refusal":null})");
  }
  out += R"(,"finish_reason":)";
  append_string_or_null(out, reason);
  out += "}]";
  // OpenAI's way: with usage asked for, every other chunk says null.
  if (include_usage_) out += R"(,"usage":null)";
}

void ChunkWriter::end(std::string& out) const {
  out += "}\n\n";
}

void ChunkWriter::role(std::string& out, int index) const {
  begin_choice(out, index);
  out += R"("role":"assistant","content":"","refusal":null)";
  end_choice(out, "", "");
  end(out);
}

void ChunkWriter::delta(std::string& out, int index, std::string_view content, std::string_view logprobs) const {
  if (content.empty() && logprobs.empty()) return;
  begin_choice(out, index);
  out += R"("content":)";
  append_json_string(out, content);
  end_choice(out, logprobs, "");
  end(out);
}

void ChunkWriter::reasoning(std::string& out, int index, const cache::AnswerChoice& choice) const {
  if (choice.reasoning.empty()) return;
  begin_choice(out, index);
  append_reasoning(out, choice, false);
  end_choice(out, "", "");
  end(out);
}

void ChunkWriter::refusal(std::string& out, int index, std::string_view refusal) const {
  if (refusal.empty()) return;
  begin_choice(out, index);
  out += R"("refusal":)";
  append_json_string(out, refusal);
  end_choice(out, "", "");
  end(out);
}

void ChunkWriter::tool_calls(std::string& out, int index, std::span<const ToolCallPiece> pieces) const {
  if (pieces.empty()) return;
  begin_choice(out, index);
  out += R"("tool_calls":[)";
  for (const ToolCallPiece& piece : pieces) {
    out += out.back() == '[' ? R"({"index":)" : R"(,{"index":)";
    append_number(out, piece.index);
    out += ',';
    append_call(out, piece);
  }
  out += ']';
  end_choice(out, "", "");
  end(out);
}

void ChunkWriter::finish(std::string& out, int index, std::string_view reason,
                         const engine::GenerateSummary* engine) const {
  begin_choice(out, index);
  end_choice(out, "", reason);
  if (engine != nullptr) {
    out += ',';
    append_kvasir(out, *engine);
  }
  end(out);
}

void ChunkWriter::usage(std::string& out, const cache::Answer& answer, const engine::GenerateSummary* engine) const {
  if (!include_usage_) return;
  begin(out);
  out += R"(,"choices":[],)";
  append_usage(out, answer, engine);
  end(out);
}

void ChunkWriter::replay(std::string& out, const cache::Answer& answer, const engine::GenerateSummary* engine,
                         CallsByChoice calls) const {
  for (std::size_t i = 0; i < answer.choices.size(); ++i) role(out, static_cast<int>(i));
  for (std::size_t i = 0; i < answer.choices.size(); ++i) {
    const cache::AnswerChoice& choice = answer.choices[i];
    const int index = static_cast<int>(i);
    const bool items = logprobs_ && !choice.logprobs.empty();
    reasoning(out, index, choice);
    delta(out, index, choice.content, items ? logprob_items(choice.logprobs) : std::string_view{});
    refusal(out, index, choice.refusal);
    tool_calls(out, index, calls_of(calls, i));
  }
  for (std::size_t i = 0; i < answer.choices.size(); ++i) {
    finish(out, static_cast<int>(i), answer.choices[i].finish_reason, engine);
  }
  usage(out, answer, engine);
}

void append_logprob(std::string& out, const engine::TokenLogprob& logprob) {
  append_token(out, logprob.bytes, logprob.logprob);
  out += R"(,"top_logprobs":[)";
  for (const auto& [bytes, value] : logprob.top) {
    if (out.back() != '[') out += ',';
    append_token(out, bytes, value);
    out += '}';
  }
  out += "]}";
}

std::string with_cached_false(std::string_view object) {
  std::string out = R"({"cached":false)";
  out.reserve(object.size() + 16);
  // Almost always there is nothing to leave out, and the fields need no second look.
  if (object.size() > 2 && object.starts_with("{\"") && object.find(R"("cached")") == std::string_view::npos) {
    return out.append(",").append(object.substr(1));
  }
  for (const RawField& field : top_level_fields(object)) {
    if (field.key == "cached") continue;
    out.append(",\"").append(field.key).append("\":").append(field.value);
  }
  return out + "}";
}

}  // namespace kvasir::gateway
