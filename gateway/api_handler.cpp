#include "gateway/api_handler.hpp"

#include "gateway/json_text.hpp"

#include <algorithm>

#include <simdjson.h>

namespace kvasir::gateway {
namespace {

constexpr std::string_view kModels = "/v1/models";
constexpr std::size_t kMaxLoggedPrompt = 64 << 10;

// Of every path that there is; empty: nothing is there.
std::string_view methods_of(std::string_view path) {
  if (path == "/v1/chat/completions") return "POST, OPTIONS";
  if (path == kModels || path.starts_with("/v1/models/")) return "GET, HEAD, OPTIONS";
  if (path == "/health/live" || path == "/health/ready") return "GET, HEAD, OPTIONS";
  if (path == "*") return "GET, HEAD, POST, OPTIONS";
  return "";
}

bool reads(const HttpRequest& request) {
  return request.method == "GET" || request.method == "HEAD";
}

// A log line is UTF-8; whatever is not is left out, and the end of a long text too.
std::string loggable(std::string_view body) {
  const auto inside_character = [&] { return (static_cast<unsigned char>(body.back()) & 0xC0) == 0x80; };
  if (body.size() > kMaxLoggedPrompt) {
    body = body.substr(0, kMaxLoggedPrompt);
    while (!body.empty() && inside_character()) body.remove_suffix(1);
    body.remove_suffix(std::min<std::size_t>(body.size(), 1));
  }
  return simdjson::validate_utf8(body) ? std::string(body) : std::string();
}

RequestRecord new_record(const HttpRequest& head) {
  RequestRecord record;
  record.id = head.id;
  record.trace = TraceContext::continue_from(head.traceparent);
  return record;
}

}  // namespace

HttpResponse error_response(const ApiError& error) {
  HttpResponse response{error.status, error.body(), "", "application/json", false};
  if (error.retry_after_seconds > 0) {
    append_header(response.headers, "retry-after", std::to_string(error.retry_after_seconds));
  }
  return response;
}

HttpResponse method_not_allowed(std::string_view allowed) {
  HttpResponse response = error_response(
      {405, "This path does not know this method.", "invalid_request_error", "", "method_not_allowed", 0});
  append_header(response.headers, "allow", allowed);
  return response;
}

Task<void> ApiHandler::handle(HttpExchange& exchange) {
  const HttpRequest& request = exchange.request();
  if (request.method == "OPTIONS") {
    co_await exchange.send(options(request));
    co_return;
  }
  if (request.path.starts_with("/health/")) {
    co_await exchange.send(health(request));
    co_return;
  }
  const SnapshotPtr snapshot = services_.live->get();
  RequestRecord record = new_record(request);
  if (snapshot->settings.server.log_prompts) record.prompt = loggable(request.body);
  MeteredExchange metered(exchange, record);
  co_await answer(metered, snapshot, record);
  services_.metrics->record(record);
  services_.log->request(record);
}

// What needs no key needs no body either.
std::optional<HttpResponse> ApiHandler::refuse_early(const HttpRequest& head) {
  if (services_.live->get()->keys.find(head.authorization) != nullptr) return std::nullopt;
  if (head.method == "OPTIONS") return head.has_body ? std::optional(options(head)) : std::nullopt;
  if (head.path.starts_with("/health/")) return head.has_body ? std::optional(health(head)) : std::nullopt;
  const ApiError error = ApiError::invalid_api_key();
  RequestRecord record = new_record(head);
  record.status = error.status;
  record.error = error.code;
  services_.metrics->record(record);
  services_.log->request(record);
  return error_response(error);
}

Task<void> ApiHandler::answer(MeteredExchange& exchange, const SnapshotPtr& snapshot, RequestRecord& record) {
  const HttpRequest& request = exchange.request();
  const ApiKey* key = snapshot->keys.find(request.authorization);
  if (key == nullptr) {  // a reload took it away since the headers were read
    record.status = 401;
    co_await exchange.send(error_response(ApiError::invalid_api_key()));
    co_return;
  }
  Caller caller(snapshot, *key);
  exchange.belongs_to(caller);
  record.tenant = caller.tenant();
  record.key_name = caller.name();
  std::optional<HttpResponse> response = admit(request, caller, record);
  if (!response && request.path == "/v1/chat/completions") {
    co_await chat_.handle(exchange, caller, record);
    co_return;
  }
  if (!response) {
    response = models(request, caller);
    caller.settle({});
  }
  record.status = response->status;
  const bool sent = co_await exchange.send(std::move(*response));
  if (!sent) record.status = 499;
}

// What refuses a request before it is looked into.
std::optional<HttpResponse> ApiHandler::admit(const HttpRequest& request, Caller& caller, RequestRecord& record) const {
  const bool completes = request.path == "/v1/chat/completions";
  if (completes && request.method != "POST") return method_not_allowed(methods_of(request.path));
  if (completes && services_.state->draining.load(std::memory_order_relaxed)) {
    HttpResponse refusal = error_response(ApiError::draining());
    refusal.close = true;
    return refusal;
  }
  const auto refused = caller.take_request();
  if (!refused) return std::nullopt;
  record.error = refused->code;
  record.refused_by = caller.refused_by();
  return error_response(*refused);
}

// Plain, and as the preflight of a web page (WHATWG Fetch, section 3.2.2).
HttpResponse ApiHandler::options(const HttpRequest& request) const {
  const std::string_view methods = methods_of(request.path);
  if (methods.empty()) return error_response(ApiError::not_found("There is nothing at this path."));
  HttpResponse response;
  response.status = 204;
  append_header(response.headers, "allow", methods);
  response.headers += cors_.preflight_headers(request, methods);
  return response;
}

HttpResponse ApiHandler::health(const HttpRequest& request) const {
  if (!reads(request) && !methods_of(request.path).empty()) return method_not_allowed(methods_of(request.path));
  if (request.path == "/health/live") return {200, R"({"status":"live"})", "", "application/json", false};
  if (request.path != "/health/ready") return error_response(ApiError::not_found("There is nothing at this path."));
  if (services_.state->draining.load() || !services_.state->ready.load()) return error_response(ApiError::draining());
  return {200, R"({"status":"ready"})", "", "application/json", false};
}

// Models that the key may not use do not exist for it.
HttpResponse ApiHandler::models(const HttpRequest& request, const Caller& caller) const {
  const std::string_view path = request.path;
  const bool one = path.starts_with(std::string(kModels) + "/");
  if (path != kModels && !one) return error_response(ApiError::not_found("There is nothing at this path."));
  if (!reads(request)) return method_not_allowed(methods_of(path));
  if (one) return model(path.substr(kModels.size() + 1), caller);
  HttpResponse response;
  response.body = R"({"object":"list","data":[)";
  for (const auto& known : caller.snapshot()->models.all()) {
    if (!caller.may_use(known.name)) continue;
    if (response.body.back() != '[') response.body += ',';
    append_model(response.body, known.name);
  }
  response.body += "]}";
  return response;
}

HttpResponse ApiHandler::model(std::string_view name, const Caller& caller) const {
  const auto* known = name.empty() ? nullptr : caller.snapshot()->models.find(name);
  if (known == nullptr || !caller.may_use(name)) return error_response(ApiError::model_not_found(std::string(name)));
  HttpResponse response;
  append_model(response.body, known->name);
  return response;
}

void ApiHandler::append_model(std::string& out, std::string_view name) const {
  out += R"({"id":)";
  append_json_string(out, name);
  out += R"(,"object":"model","created":)";
  append_number(out, created_);
  out += R"(,"owned_by":"kvasir"})";
}

}  // namespace kvasir::gateway
