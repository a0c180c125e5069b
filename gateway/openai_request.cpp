#include "gateway/openai_request.hpp"

#include "gateway/json_body.hpp"
#include "gateway/json_text.hpp"
#include "gateway/request_reader.hpp"

#include <algorithm>
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

std::string_view upstream_body(const ChatRequest& request, const rag::Prompt& prompt, const std::string& model,
                               std::string& written) {
  const bool rewrite_messages = !prompt.documents.empty() && !prompt.documents_in_text && request.text_only;
  std::string model_text;
  append_json_string(model_text, model);
  const std::vector<RawField> fields = top_level_fields(request.body);
  const auto stays = [&](const RawField& field) {
    return field.key == "model" ? field.value == model_text : field.key != "stream_options" && !ours(field.key);
  };
  const bool names_model = std::any_of(fields.begin(), fields.end(), [](auto& field) { return field.key == "model"; });
  const bool as_it_came = names_model && !rewrite_messages && !request.stream;
  if (as_it_came && std::all_of(fields.begin(), fields.end(), stays)) return request.body;

  written.reserve(request.body.size() + 256);
  written.append(R"({"model":)").append(model_text);
  for (const RawField& field : fields) {
    if (field.key == "model" || !stays(field)) continue;
    written.append(",\"").append(field.key).append("\":");
    if (field.key == "messages" && rewrite_messages) {
      append_messages(written, rag::messages_with_context(prompt));
    } else {
      written += field.value;
    }
  }
  if (request.stream) written += R"(,"stream_options":{"include_usage":true})";
  return written += '}';
}

}  // namespace kvasir::gateway
