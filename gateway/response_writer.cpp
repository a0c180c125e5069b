#include "gateway/response_writer.hpp"

#include "gateway/http_message.hpp"
#include "gateway/openai_response.hpp"

#include <chrono>

namespace kvasir::gateway {
namespace {

using json = nlohmann::json;

std::int64_t now_seconds() {
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  return std::chrono::duration_cast<std::chrono::seconds>(now).count();
}

// Why the answer is not whole, in the words of responses; null: it is.
json incomplete_reason(const cache::Answer& answer) {
  const std::string reason = answer.choices.empty() ? "" : answer.choices[0].finish_reason;
  if (reason == "length") return {{"reason", "max_output_tokens"}};
  if (reason == "content_filter") return {{"reason", "content_filter"}};
  return nullptr;
}

}  // namespace

ResponseWriter::ResponseWriter(ResponsesRequest request, std::shared_ptr<const ChatRequest> chat, std::string tenant,
                               ResponseStore& store)
    : request_(std::move(request)),
      chat_(std::move(chat)),
      tenant_(std::move(tenant)),
      store_(&store),
      id_(random_id("resp_")),
      created_(now_seconds()) {}

json ResponseWriter::object(std::string_view status) const {
  json response = request_.shown;
  response["id"] = id_;
  response["object"] = "response";
  response["created_at"] = created_;
  response["model"] = chat_->model;
  response["status"] = status;
  response["error"] = nullptr;
  response["incomplete_details"] = nullptr;
  response["output"] = json::array();
  response["store"] = request_.store;
  response["usage"] = nullptr;
  return response;
}

json ResponseWriter::usage(const ShownAnswer& shown) const {
  const cache::Answer& answer = *shown.answer;
  const bool recorded = shown.engine != nullptr && chat_->prompt_cache;
  return {{"input_tokens", answer.prompt_tokens},
          {"input_tokens_details",
           {{"cached_tokens", shown.engine != nullptr ? shown.engine->reused_tokens : cached_tokens_},
            {"cache_write_tokens", recorded ? shown.engine->computed_tokens : 0}}},
          {"output_tokens", answer.completion_tokens},
          {"output_tokens_details", {{"reasoning_tokens", reasoning_tokens_}}},
          {"total_tokens", answer.prompt_tokens + answer.completion_tokens}};
}

void ResponseWriter::take(std::string& out, const ChatPiece& piece) {
  if (piece.cached_tokens > 0) cached_tokens_ = piece.cached_tokens;
  if (piece.reasoning_tokens > 0) reasoning_tokens_ = piece.reasoning_tokens;
  events_.piece(out, piece);
}

Task<void> ResponseWriter::complete(const ShownAnswer& shown) {
  if (!begun_) take(last_, piece_of(shown));
  const json incomplete = incomplete_reason(*shown.answer);
  const std::string_view status = incomplete.is_null() ? "completed" : "incomplete";
  events_.close(last_, status);
  final_ = object(status);
  final_["incomplete_details"] = incomplete;
  final_["output"] = events_.output();
  final_["usage"] = usage(shown);
  final_["cached"] = shown.cached;
  if (incomplete.is_null()) final_["completed_at"] = now_seconds();
  if (shown.engine != nullptr) {
    std::string kvasir = "{";
    append_kvasir(kvasir, *shown.engine);
    final_.update(json::parse(kvasir + "}"));
  }
  if (!request_.store) co_return;
  // A value with a name: GCC 12 destroys temporaries in a co_await twice.
  StoredResponse stored{id_, tenant_, request_.previous, created_, text_of(final_), text_of(request_.input)};
  const bool kept = co_await store_->put(std::move(stored));
  final_["store"] = kept;
}

void ResponseWriter::body(std::string& out, const ShownAnswer&) {
  out += text_of(final_);
}

void ResponseWriter::begin(std::string& out) {
  const json response = object("in_progress");
  events_.lifecycle(out, "response.created", response);
  events_.lifecycle(out, "response.in_progress", response);
}

void ResponseWriter::delta(std::string& out, const FlightDelta& delta) {
  begun_ = true;
  take(out, piece_of(delta));
}

void ResponseWriter::end(std::string& out, const ShownAnswer&) {
  out += last_;
  events_.lifecycle(out, final_.at("status") == "completed" ? "response.completed" : "response.incomplete", final_);
}

void ResponseWriter::fail(std::string& out, const ApiError& error) {
  json response = object("failed");
  response["error"] = {{"code", error.status == 429 ? "rate_limit_exceeded" : "server_error"},
                       {"message", error.message}};
  response["output"] = events_.output();
  events_.lifecycle(out, "response.failed", response);
}

}  // namespace kvasir::gateway
