#include "gateway/openai_request.hpp"

#include "gateway/json_text.hpp"
#include "gateway/request_keys.hpp"
#include "gateway/request_reader.hpp"

#include <charconv>
#include <set>

namespace kvasir::gateway {
namespace {

constexpr std::size_t kMaxDepth = 64;
constexpr std::size_t kKeptCapacity = 1 << 20;  // larger bodies get a parser of their own, so that no thread keeps it

ApiError broken_json(simdjson::error_code error) {
  if (error == simdjson::UTF8_ERROR) return ApiError::invalid("The body is not valid UTF-8.");
  if (error == simdjson::DEPTH_ERROR) return ApiError::invalid("The body's JSON is nested too deeply.");
  if (error == simdjson::EMPTY) return ApiError::invalid("The body is empty; expected a JSON object.");
  return ApiError::invalid("The body is not valid JSON: " + std::string(simdjson::error_message(error)));
}

Result<ChatRequest> parse_with(simdjson::dom::parser& parser, std::string body) {
  ChatRequest request;
  simdjson::dom::element root;
  body.reserve(body.size() + simdjson::SIMDJSON_PADDING);
  if (const auto error = parser.parse(body).get(root)) return broken_json(error);
  simdjson::dom::object object;
  if (root.get(object) != simdjson::SUCCESS) return ApiError::invalid("The body must be a JSON object.");
  if (auto error = check_keys(object, body)) return std::move(*error);
  if (auto error = RequestReader(request).read(object)) return std::move(*error);
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
  if (body.size() > kKeptCapacity) {
    simdjson::dom::parser parser;
    if (parser.allocate(body.size(), kMaxDepth) != simdjson::SUCCESS) return ApiError::internal();
    return parse_with(parser, std::move(body));
  }
  thread_local simdjson::dom::parser parser;
  if (parser.max_depth() != kMaxDepth && parser.allocate(kKeptCapacity, kMaxDepth) != simdjson::SUCCESS) {
    return ApiError::internal();
  }
  return parse_with(parser, std::move(body));
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
