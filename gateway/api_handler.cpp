#include "gateway/api_handler.hpp"

#include "gateway/completion_writer.hpp"
#include "gateway/error_response.hpp"
#include "gateway/json_text.hpp"
#include "gateway/openai_request.hpp"
#include "gateway/openapi.hpp"
#include "gateway/pass_on.hpp"
#include "gateway/token_estimate.hpp"

#include <algorithm>
#include <exception>

#include <simdjson.h>

namespace kvasir::gateway {
namespace {

constexpr std::string_view kModels = "/v1/models";
constexpr std::string_view kReads = "GET, HEAD, OPTIONS";
constexpr std::size_t kMaxLoggedPrompt = 64 << 10;

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

struct ApiHandler::Route {
  std::string_view path;  // with a '/' at its end: whatever begins so
  std::string_view methods;
  Task<void> (ApiHandler::*endpoint)(HttpExchange&, Caller&, RequestRecord&);

  bool matches(std::string_view asked) const { return path.ends_with('/') ? asked.starts_with(path) : asked == path; }
};

ApiHandler::ApiHandler(const Services& services)
    : services_(services),
      chat_(*services.chat, *services.metrics, services.stream_keepalive),
      embeddings_(services.embedding_name, *services.embedder),
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
  if (request.path == kOpenApiPath) {
    co_await exchange.send(description(request));
    co_return;
  }
  const SnapshotPtr snapshot = services_.live->get();
  RequestRecord record = new_record(request);
  if (snapshot->settings.server.log_prompts) record.prompt = loggable(request.body);
  MeteredExchange metered(exchange, record);
  std::exception_ptr failure;  // answered where HTTP begins, if nothing was answered yet
  try {
    co_await answer(metered, snapshot, record);
  } catch (const std::exception&) {
    failure = std::current_exception();
    record.status = ApiError::internal().status;
    record.error = ApiError::internal().code;
  }
  services_.metrics->record(record);
  services_.log->request(record);
  if (failure) std::rethrow_exception(failure);
}

// What needs no key needs no body either.
std::optional<HttpResponse> ApiHandler::refuse_early(const HttpRequest& head) {
  if (services_.live->get()->keys.find(head.authorization) != nullptr) return std::nullopt;
  if (head.method == "OPTIONS") return head.has_body ? std::optional(options(head)) : std::nullopt;
  if (head.path.starts_with("/health/")) return head.has_body ? std::optional(health(head)) : std::nullopt;
  if (head.path == kOpenApiPath) return head.has_body ? std::optional(description(head)) : std::nullopt;
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
    const ApiError error = ApiError::invalid_api_key();
    co_await refuse(exchange, record, error);
    co_return;
  }
  Caller caller(snapshot, *key);
  exchange.belongs_to(caller);
  record.tenant = caller.tenant();
  record.key_name = caller.name();
  const Route* route = find_route(request.path);
  if (auto refusal = admit(route, request, caller, record)) {
    co_await respond(exchange, record, std::move(*refusal));
    co_return;
  }
  co_await (this->*route->endpoint)(exchange, caller, record);
}

// What refuses a request before it is looked into. `route` null: there is nothing at its path.
std::optional<HttpResponse> ApiHandler::admit(const Route* route, const HttpRequest& request, Caller& caller,
                                              RequestRecord& record) const {
  if (route != nullptr && !allows(route->methods, request.method)) return method_not_allowed(route->methods);
  if (request.method == "POST" && services_.state->draining.load(std::memory_order_relaxed)) {
    HttpResponse refusal = error_response(ApiError::draining());
    refusal.close = true;
    return refusal;
  }
  if (const auto refused = caller.take_request()) {
    record.error = refused->code;
    record.refused_by = caller.refused_by();
    return error_response(*refused);
  }
  if (route == nullptr) return nothing_here();
  return std::nullopt;
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
  const auto* model = caller.find_model(request->model);
  if (model != nullptr && model->backend->upstream() != nullptr) {
    const TokenUsage most = most_tokens(*request);
    PassOn passed{"/completions", std::move(request->body), request->raw_prompts[0].text, request->stream, most,
                  "endpoint"};
    co_await pass_on(*model, std::move(passed), exchange, caller, record);
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

Task<void> ApiHandler::models(HttpExchange& exchange, Caller& caller, RequestRecord& record) {
  const std::string_view path = exchange.request().path;
  return respond(exchange, record,
                 path == kModels ? list_models(caller) : model(path.substr(kModels.size() + 1), caller));
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

// Models that the key may not use do not exist for it.
HttpResponse ApiHandler::list_models(const Caller& caller) const {
  HttpResponse response;
  response.body = R"({"object":"list","data":[)";
  const auto append = [&](std::string_view name) {
    if (!caller.may_use(name)) return;
    if (response.body.back() != '[') response.body += ',';
    append_model(response.body, name);
  };
  for (const auto& known : caller.snapshot()->models.all()) append(known.name);
  if (!embeddings_.name().empty()) append(embeddings_.name());
  response.body += "]}";
  return response;
}

HttpResponse ApiHandler::model(std::string_view name, const Caller& caller) const {
  const bool embeds = name == embeddings_.name() && caller.may_use(name);
  const bool known = !name.empty() && (embeds || caller.find_model(name) != nullptr);
  if (!known) return error_response(ApiError::model_not_found(std::string(name)));
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
