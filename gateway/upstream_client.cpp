#include "gateway/upstream_client.hpp"

#include "gateway/http_message.hpp"
#include "gateway/json_text.hpp"
#include "gateway/retry_after.hpp"
#include "gateway/upstream_exchange.hpp"

#include <algorithm>

namespace kvasir::gateway {
namespace {

using Clock = std::chrono::steady_clock;
using Verdict = UpstreamReceiver::Verdict;

constexpr int kMaxAttempts = 3;
constexpr auto kDrainPatience = std::chrono::seconds(1);

std::string head_text(const UpstreamServer& server, const UpstreamRequest& request, std::size_t body_size) {
  std::string text = server.head(request.path);
  append_header(text, "content-type", "application/json");
  append_header(text, "accept", request.stream ? "text/event-stream" : "application/json");
  append_header(text, "x-request-id", request.request_id);
  if (!request.traceparent.empty()) append_header(text, "traceparent", request.traceparent);
  text += "content-length: ";
  append_number(text, body_size);
  return text += "\r\n\r\n";
}

// Refused or reset: whatever the server did, no answer was begun. The others have answered, so that only another
// server is worth asking.
bool same_may_try(FaultKind kind) {
  return kind == FaultKind::unreachable || kind == FaultKind::reset;
}
bool other_may_try(FaultKind kind) {
  return same_may_try(kind) || kind == FaultKind::limited || kind == FaultKind::unavailable;
}

// After the end of a stream, the end of its body is all that is missing before the connection can serve again.
Task<void> drain(UpstreamExchange& exchange) {
  const auto deadline = Clock::now() + kDrainPatience;
  while (!exchange.done()) {
    exchange.bytes().clear();
    const auto fault = co_await exchange.read_some(deadline);
    if (fault) co_return;
  }
}

Task<std::optional<UpstreamFault>> receive_stream(UpstreamExchange& exchange, std::chrono::milliseconds idle_timeout,
                                                  UpstreamReceiver& receiver) {
  while (true) {
    if (!exchange.bytes().empty()) {
      exchange.expect_nothing();  // a slow reader of ours is not the server's fault
      const Verdict verdict = co_await receiver.bytes(exchange.bytes());
      exchange.bytes().clear();
      if (verdict == Verdict::broken) co_return bad_answer("a broken stream");
      if (verdict == Verdict::done) {
        co_await drain(exchange);
        co_return std::nullopt;
      }
    }
    if (exchange.done()) break;
    auto fault = co_await exchange.read_some(Clock::now() + idle_timeout);
    if (fault && fault->kind == FaultKind::bad_answer) co_return bad_answer("a stream that broke off");
    if (fault) co_return fault;
  }
  auto error = receiver.end();
  if (error) co_return UpstreamFault{FaultKind::bad_answer, std::move(*error)};
  co_return std::nullopt;
}

Task<std::optional<UpstreamFault>> receive_error(UpstreamExchange& exchange, std::chrono::milliseconds idle_timeout) {
  const auto unread = co_await exchange.read_rest(idle_timeout);
  if (unread && unread->kind == FaultKind::cancelled) co_return unread;
  const std::string_view body = unread ? std::string_view() : std::string_view(exchange.bytes());
  const auto rest = parse_retry_after(exchange.header("retry-after"), std::chrono::system_clock::now());
  co_return refused_with(exchange.status(), body, static_cast<int>(rest.count()));
}

}  // namespace

struct UpstreamClient::Tried {
  std::vector<bool> servers;
  UpstreamServer* last = nullptr;
};

std::unique_ptr<UpstreamClient> UpstreamClient::make(const ModelSettings& model, const UpstreamHooks& hooks,
                                                     std::string& error) {
  std::vector<std::unique_ptr<UpstreamServer>> servers;
  std::vector<UpstreamRouter::Upstream> routes;
  const bool sole = model.upstreams.size() == 1;
  for (UpstreamSettings settings : model.upstreams) {
    if (settings.model.empty()) settings.model = model.name;
    const auto url = UpstreamUrl::parse(settings.base_url);
    std::string name = url ? url->authority() : "";
    const std::string plain_name = name;
    const auto taken = [&](const UpstreamRouter::Upstream& route) { return route.name == name; };
    for (int twin = 2; std::any_of(routes.begin(), routes.end(), taken); ++twin) {
      name = plain_name + "#" + std::to_string(twin);
    }
    auto server = UpstreamServer::make(settings, name, sole, hooks, error);
    if (!server) {
      error = "model " + model.name + ": " + error;
      return nullptr;
    }
    routes.push_back({name, settings.weight, settings.priority});
    servers.push_back(std::move(server));
  }
  if (servers.empty()) {
    error = "model " + model.name + " has no upstream";
    return nullptr;
  }
  return std::unique_ptr<UpstreamClient>(
      new UpstreamClient(std::move(servers), UpstreamRouter(std::move(routes), model.routing)));
}

UpstreamClient::UpstreamClient(std::vector<std::unique_ptr<UpstreamServer>> servers, UpstreamRouter router)
    : servers_(std::move(servers)), router_(std::move(router)) {}

// The breakers and rests of all are a reason to prefer others, never to serve nobody.
UpstreamServer* UpstreamClient::choose(std::uint64_t affinity, Tried& tried) const {
  if (!has_choice()) return servers_.front().get();
  const auto now = Clock::now();
  std::vector<UpstreamRouter::State> states;
  for (const auto& server : servers_) {
    states.push_back({server->allows(now) && !server->rests(now), server->running()});
  }
  const double random = random_unit();
  auto chosen = router_.pick(affinity, states, random);
  if (!chosen) {
    for (auto& state : states) state.available = true;
    chosen = router_.pick(affinity, states, random);
  }
  tried.servers.assign(servers_.size(), false);
  tried.servers[*chosen] = true;
  return servers_[*chosen].get();
}

// Another one that is well; or the same, where that makes sense. Null: let it be.
UpstreamServer* UpstreamClient::choose_again(FaultKind fault, std::uint64_t affinity, Tried& tried) const {
  if (!other_may_try(fault)) return nullptr;
  if (has_choice()) {
    const auto now = Clock::now();
    std::vector<UpstreamRouter::State> states;
    for (std::size_t i = 0; i < servers_.size(); ++i) {
      const UpstreamServer& server = *servers_[i];
      states.push_back({!tried.servers[i] && server.allows(now) && !server.rests(now), server.running()});
    }
    if (const auto chosen = router_.pick(affinity, states, random_unit())) {
      tried.servers[*chosen] = true;
      return servers_[*chosen].get();
    }
  }
  return same_may_try(fault) ? tried.last : nullptr;
}

Task<std::optional<ApiError>> UpstreamClient::send(const UpstreamRequest& request, UpstreamCall& call,
                                                   Executor executor, UpstreamReceiver& receiver) {
  Tried tried;
  UpstreamServer* server = choose(request.affinity, tried);
  const auto deadline = Clock::now() + server->settings().timeout;
  budget_.count_request();
  for (int number = 0;; ++number) {
    UpstreamServer::Turn turn(*server, number > 0);
    call.server = server->name();
    const auto fault = co_await attempt(*server, request, call, executor, receiver, deadline);
    call.connection.reset();
    turn.end(fault ? &*fault : nullptr);
    if (!fault) co_return std::nullopt;
    tried.last = server;
    server =
        number + 1 < kMaxAttempts && !call.cancelled ? choose_again(fault->kind, request.affinity, tried) : nullptr;
    if (server == nullptr) co_return fault->error;
    const auto later = Clock::now() + backoff(number, random_unit());
    if (later >= deadline || !budget_.take()) co_return fault->error;
    call.pause.emplace(executor, later);
    co_await call.pause->async_wait(use_tuple);
    call.pause.reset();
    if (call.cancelled) co_return fault->error;
  }
}

Task<std::optional<UpstreamFault>> UpstreamClient::attempt(UpstreamServer& server, const UpstreamRequest& request,
                                                           UpstreamCall& call, Executor executor,
                                                           UpstreamReceiver& receiver, Clock::time_point deadline) {
  const auto idle_timeout = server.settings().idle_timeout;
  std::string written;
  const std::string_view body = request.body(server.settings().model, written);
  const std::string head = head_text(server, request, body.size());
  bool kept = server.reuse_connection(call, executor);
  std::optional<UpstreamExchange> exchange;
  while (true) {
    if (!kept) {
      auto fault = co_await server.open_connection(call, executor, deadline);
      if (fault) co_return fault;
    }
    exchange.emplace(call);
    auto fault = co_await exchange->ask(head, body, deadline);
    if (!fault) break;
    // That a kept connection has died meanwhile is nobody's fault, and says nothing of the next one.
    if (!kept || fault->kind != FaultKind::reset) co_return fault;
    kept = false;
  }
  std::optional<UpstreamFault> fault;
  if (exchange->status() != 200) {
    fault = co_await receive_error(*exchange, idle_timeout);
  } else if (exchange->is_stream()) {
    fault = co_await receive_stream(*exchange, idle_timeout, receiver);
  } else {
    fault = co_await exchange->read_rest(idle_timeout);
    if (!fault) {
      auto error = receiver.body(std::move(exchange->bytes()));
      if (error) fault = UpstreamFault{FaultKind::bad_answer, std::move(*error)};
    }
  }
  if (exchange->reusable() && !call.cancelled) server.give_back(executor, std::move(call.connection));
  co_return fault;
}

std::vector<UpstreamStats> UpstreamClient::stats() const {
  std::vector<UpstreamStats> all;
  for (const auto& server : servers_) all.push_back(server->stats());
  return all;
}

std::string UpstreamClient::names() const {
  std::string names;
  for (const auto& server : servers_) names.append(names.empty() ? "" : ",").append(server->name());
  return names;
}

void UpstreamClient::close() {
  for (const auto& server : servers_) server->close();
}

}  // namespace kvasir::gateway
