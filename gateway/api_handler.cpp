#include "gateway/api_handler.hpp"

#include "gateway/json_text.hpp"

namespace kvasir::gateway {
namespace {

constexpr std::string_view kModels = "/v1/models";

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
  RequestRecord record;
  record.id = request.id;
  if (request.path == "/v1/chat/completions") {
    co_await chat(exchange, record);
  } else {
    HttpResponse response = models(request);
    record.status = response.status;
    const bool sent = co_await exchange.send(std::move(response));
    if (!sent) record.status = 499;
  }
  services_.metrics->record(record);
  services_.log->request(record);
}

// What needs no key needs no body either.
std::optional<HttpResponse> ApiHandler::refuse_early(const HttpRequest& head) {
  if (services_.keys->knows(head.authorization)) return std::nullopt;
  if (head.method == "OPTIONS") return head.has_body ? std::optional(options(head)) : std::nullopt;
  if (head.path.starts_with("/health/")) return head.has_body ? std::optional(health(head)) : std::nullopt;
  const ApiError error = ApiError::invalid_api_key();
  RequestRecord record;
  record.id = head.id;
  record.status = error.status;
  record.error = error.code;
  services_.metrics->record(record);
  services_.log->request(record);
  return error_response(error);
}

Task<void> ApiHandler::chat(HttpExchange& exchange, RequestRecord& record) {
  const HttpRequest& request = exchange.request();
  std::optional<HttpResponse> refusal;
  Caller* caller = nullptr;
  if (request.method != "POST") {
    refusal = method_not_allowed(methods_of(request.path));
  } else if (services_.state->draining.load(std::memory_order_relaxed)) {
    refusal = error_response(ApiError::draining());
    refusal->close = true;
  } else if (auto admitted = services_.keys->admit(request.authorization)) {
    caller = *admitted;
  } else {
    refusal = error_response(admitted.error());
    record.error = admitted.error().code;
  }
  if (refusal) {
    record.status = refusal->status;
    co_await exchange.send(std::move(*refusal));
    co_return;
  }
  record.tenant = caller->tenant;
  record.key_name = caller->name;
  co_await chat_.handle(exchange, *caller, record);
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

HttpResponse ApiHandler::models(const HttpRequest& request) const {
  const std::string_view path = request.path;
  const bool one = path.starts_with(std::string(kModels) + "/");
  if (path != kModels && !one) return error_response(ApiError::not_found("There is nothing at this path."));
  if (!reads(request)) return method_not_allowed(methods_of(path));
  if (auto admitted = services_.keys->admit(request.authorization); !admitted) return error_response(admitted.error());
  if (one) return model(path.substr(kModels.size() + 1));
  HttpResponse response;
  response.body = R"({"object":"list","data":[)";
  for (const auto& known : services_.models->all()) {
    if (response.body.back() != '[') response.body += ',';
    append_model(response.body, known.name);
  }
  response.body += "]}";
  return response;
}

HttpResponse ApiHandler::model(std::string_view name) const {
  const auto* known = name.empty() ? nullptr : services_.models->find(name);
  if (known == nullptr) return error_response(ApiError::model_not_found(std::string(name)));
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
