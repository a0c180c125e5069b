#include "gateway/api_handler.hpp"

#include "gateway/completion_writer.hpp"
#include "gateway/error_response.hpp"
#include "gateway/json_text.hpp"
#include "gateway/openai_request.hpp"
#include "gateway/openapi.hpp"
#include "gateway/pass_on.hpp"

#include <algorithm>

namespace kvasir::gateway {
namespace {

constexpr std::string_view kModels = "/v1/models";
constexpr std::string_view kReads = "GET, HEAD, OPTIONS";

bool allows(std::string_view methods, std::string_view method) {
  while (!methods.empty()) {
    const std::size_t end = std::min(methods.find(", "), methods.size());
    if (methods.substr(0, end) == method) return true;
    methods.remove_prefix(std::min(end + 2, methods.size()));
  }
  return false;
}

HttpResponse description(const HttpRequest& request) {
  if (!allows(kReads, request.method)) return method_not_allowed(kReads);
  return {200, std::string(openapi_json()), "", "application/json", false};
}

HttpResponse nothing_here() {
  return error_response(ApiError::not_found("There is nothing at this path."));
}

}  // namespace

struct ApiHandler::Route {
  std::string_view path;  // with a '/' at its end: whatever begins so
  std::string_view methods;
  Task<void> (ApiHandler::*endpoint)(HttpExchange&, Caller&, RequestRecord&);

  bool matches(std::string_view asked) const { return path.ends_with('/') ? asked.starts_with(path) : asked == path; }
};

ApiHandler::ApiHandler(const Services& services)
    : services_(services),
      chat_(*services.chat, *services.metrics, services.stream_keepalive),
      embeddings_(services.embedding_name, *services.embedder, *services.models),
      responses_(chat_, *services.responses),
      cors_(services.cors_origins),
      created_(new_delivery(false).created) {}

const ApiHandler::Route* ApiHandler::find_route(std::string_view path) {
  static constexpr Route kRoutes[] = {
      {"/v1/chat/completions", "POST, OPTIONS", &ApiHandler::chat},
      {"/v1/completions", "POST, OPTIONS", &ApiHandler::completions},
      {"/v1/embeddings", "POST, OPTIONS", &ApiHandler::embeddings},
      {"/v1/responses", "POST, OPTIONS", &ApiHandler::responses},
      {"/v1/responses/", "GET, HEAD, DELETE, OPTIONS", &ApiHandler::responses},
      {kModels, kReads, &ApiHandler::models},
      {"/v1/models/", kReads, &ApiHandler::models},
  };
  const auto found =
      std::find_if(std::begin(kRoutes), std::end(kRoutes), [&](const Route& route) { return route.matches(path); });
  return found == std::end(kRoutes) ? nullptr : found;
}

// Of every path that there is; empty: nothing is there.
std::string_view ApiHandler::methods_of(std::string_view path) {
  if (const Route* route = find_route(path)) return route->methods;
  if (path == "/health/live" || path == "/health/ready" || path == kOpenApiPath) return kReads;
  return path == "*" ? "GET, HEAD, POST, DELETE, OPTIONS" : "";
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
  if (const Route* route = find_route(request.path)) {
    co_await serve(*route, exchange, record);
  } else {
    HttpResponse response = request.path == kOpenApiPath ? description(request) : nothing_here();
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
  if (head.path == kOpenApiPath) return head.has_body ? std::optional(description(head)) : std::nullopt;
  const ApiError error = ApiError::invalid_api_key();
  RequestRecord record;
  record.id = head.id;
  record.status = error.status;
  record.error = error.code;
  services_.metrics->record(record);
  services_.log->request(record);
  return error_response(error);
}

Task<void> ApiHandler::serve(const Route& route, HttpExchange& exchange, RequestRecord& record) {
  const HttpRequest& request = exchange.request();
  std::optional<HttpResponse> refusal;
  Caller* caller = nullptr;
  if (!allows(route.methods, request.method)) {
    refusal = method_not_allowed(route.methods);
  } else if (request.method == "POST" && services_.state->draining.load(std::memory_order_relaxed)) {
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
  co_await (this->*route.endpoint)(exchange, *caller, record);
}

Task<void> ApiHandler::chat(HttpExchange& exchange, Caller& caller, RequestRecord& record) {
  return chat_.handle(exchange, caller, record);
}

Task<void> ApiHandler::completions(HttpExchange& exchange, Caller& caller, RequestRecord& record) {
  auto parsed = parse_completion_request(std::move(exchange.request().body));
  if (!parsed) {
    co_await refuse(exchange, record, parsed.error());
    co_return;
  }
  auto request = std::make_shared<ChatRequest>(std::move(*parsed));
  const auto* model = services_.models->find(request->model);
  if (auto* upstream = model == nullptr ? nullptr : model->backend->upstream()) {
    record.model = model->name;
    PassOn passed{"/completions", std::move(request->body), request->raw_prompts[0].text, request->stream, ""};
    append_header(passed.headers, "x-kvasir-cache", to_string(CacheTier::bypass));
    append_header(passed.headers, "x-kvasir-cache-reason", "endpoint");
    co_await pass_on(*upstream, std::move(passed), exchange, caller, record);
    co_return;
  }
  CompletionWriter writer(request);
  co_await chat_.answer(exchange, caller, record, std::move(request), writer);
}

Task<void> ApiHandler::embeddings(HttpExchange& exchange, Caller& caller, RequestRecord& record) {
  return embeddings_.handle(exchange, caller, record);
}

Task<void> ApiHandler::responses(HttpExchange& exchange, Caller& caller, RequestRecord& record) {
  return responses_.handle(exchange, caller, record);
}

Task<void> ApiHandler::models(HttpExchange& exchange, Caller&, RequestRecord& record) {
  const std::string_view path = exchange.request().path;
  HttpResponse response = path == kModels ? list_models() : model(path.substr(kModels.size() + 1));
  record.status = response.status;
  const bool sent = co_await exchange.send(std::move(response));
  if (!sent) record.status = 499;
}

// Plain, and as the preflight of a web page (WHATWG Fetch, section 3.2.2).
HttpResponse ApiHandler::options(const HttpRequest& request) const {
  const std::string_view methods = methods_of(request.path);
  if (methods.empty()) return nothing_here();
  HttpResponse response;
  response.status = 204;
  append_header(response.headers, "allow", methods);
  response.headers += cors_.preflight_headers(request, methods);
  return response;
}

HttpResponse ApiHandler::health(const HttpRequest& request) const {
  if (methods_of(request.path).empty()) return nothing_here();
  if (!allows(kReads, request.method)) return method_not_allowed(kReads);
  if (request.path == "/health/live") return {200, R"({"status":"live"})", "", "application/json", false};
  if (services_.state->draining.load() || !services_.state->ready.load()) return error_response(ApiError::draining());
  return {200, R"({"status":"ready"})", "", "application/json", false};
}

HttpResponse ApiHandler::list_models() const {
  HttpResponse response;
  response.body = R"({"object":"list","data":[)";
  const auto append = [&](std::string_view name) {
    if (response.body.back() != '[') response.body += ',';
    append_model(response.body, name);
  };
  for (const auto& known : services_.models->all()) append(known.name);
  if (!embeddings_.name().empty()) append(embeddings_.name());
  response.body += "]}";
  return response;
}

HttpResponse ApiHandler::model(std::string_view name) const {
  const auto* known = name.empty() ? nullptr : services_.models->find(name);
  const bool embeds = !name.empty() && name == embeddings_.name();
  if (known == nullptr && !embeds) return error_response(ApiError::model_not_found(std::string(name)));
  HttpResponse response;
  append_model(response.body, name);
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
