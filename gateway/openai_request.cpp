#include "gateway/openai_request.hpp"

#include "gateway/json_body.hpp"
#include "gateway/json_text.hpp"
#include "gateway/request_reader.hpp"

#include <set>

namespace kvasir::gateway {
namespace {

Result<ChatRequest> parse(std::string body, RequestReader::Kind kind) {
  ChatRequest request;
  auto error =
      read_json_object(body, [&](simdjson::dom::object object) { return RequestReader(request, kind).read(object); });
  if (error) return std::move(*error);
  request.body = std::move(body);
  return request;
}

void append_messages(std::string& out, const std::vector<rag::Message>& messages) {
  out += '[';
  for (const rag::Message& message : messages) {
    if (out.back() != '[') out += ',';
    out += R"({"role":)";
    append_json_string(out, rag::to_string(message.role));
    if (!message.name.empty()) {
      out += R"(,"name":)";
      append_json_string(out, message.name);
    }
    out += R"(,"content":)";
    append_json_string(out, message.text);
    out += '}';
  }
  out += ']';
}

bool ours(std::string_view key) {
  static const std::set<std::string_view> names{
      "documents",       "prompt_cache",    "cache_control", "cached_prompt_id",
      "cache_checksum",  "cache_ttl",       "cache_tags",    "context_window_strategy",
      "priority_tokens", "predict_options", "cache_scope"};
  return names.contains(key);
}

}  // namespace

Result<ChatRequest> parse_chat_request(std::string body) {
  return parse(std::move(body), RequestReader::Kind::chat);
}

Result<ChatRequest> parse_completion_request(std::string body) {
  return parse(std::move(body), RequestReader::Kind::completion);
}

std::string upstream_body(const ChatRequest& request, const rag::Prompt& prompt, const std::string& model) {
  const bool rewrite_messages = !prompt.documents.empty() && !prompt.documents_in_text && request.text_only;
  std::string out = R"({"model":)";
  out.reserve(request.body.size() + 256);
  append_json_string(out, model);
  for (const RawField& field : top_level_fields(request.body)) {
    if (field.key == "model" || field.key == "stream_options" || ours(field.key)) continue;
    out += ",\"";
    out += field.key;
    out += "\":";
    if (field.key == "messages" && rewrite_messages) {
      append_messages(out, rag::messages_with_context(prompt));
    } else {
      out += field.value;
    }
  }
  if (request.stream) out += R"(,"stream_options":{"include_usage":true})";
  out += '}';
  return out;
}

}  // namespace kvasir::gateway
