#include "gateway/admin_handler.hpp"

#include "gateway/cache_admin.hpp"
#include "gateway/component_metrics.hpp"
#include "gateway/config.hpp"
#include "gateway/dashboard.hpp"

#include <algorithm>
#include <array>

#include <boost/asio/post.hpp>
#include <nlohmann/json.hpp>

namespace kvasir::gateway {
namespace {

using nlohmann::json;

constexpr std::string_view kPlain = "text/plain; charset=utf-8";
constexpr std::string_view kPrometheus = "text/plain; version=0.0.4; charset=utf-8";
constexpr std::string_view kEntries = "/admin/cache/entries";
constexpr std::string_view kStats = "/admin/cache/stats";
constexpr std::string_view kLookups = "/admin/cache/lookups";
constexpr std::string_view kReplay = "/admin/cache/replay";

HttpResponse json_response(const json& body) {
  HttpResponse response;
  response.body = body.dump(-1, ' ', false, json::error_handler_t::replace);
  return response;
}

// A list that is there but empty selects nothing: null. Without a list, tenant or model select all that is theirs.
Result<std::optional<cache::Invalidation>> read_invalidation(const std::string& body) {
  const json root = json::parse(body, nullptr, false);
  if (!root.is_object()) return ApiError::invalid("The body must be a JSON object.");
  cache::Invalidation what;
  const auto list = [](const json& value, std::vector<std::string>& target) {
    if (!value.is_array()) return false;
    for (const json& item : value) {
      if (!item.is_string()) return false;
      target.push_back(item.get<std::string>());
    }
    return true;
  };
  // "id", or {"id", "version"}: answers from every other version of it.
  const auto documents = [&](const json& value) {
    return value.is_array() && std::ranges::all_of(value, [&](const json& item) {
             if (item.is_string()) {
               what.documents.push_back(item.get<std::string>());
               return true;
             }
             const bool versioned = item.is_object() && item.size() == 2 && item.contains("id") &&
                                    item["id"].is_string() && item.contains("version") && item["version"].is_string();
             if (versioned) what.current.push_back({item["id"].get<std::string>(), item["version"].get<std::string>()});
             return versioned;
           });
  };
  const auto text = [](const json& value, std::string& target) {
    if (value.is_string()) target = value.get<std::string>();
    return value.is_string();
  };
  for (const auto& [key, value] : root.items()) {
    if (value.is_null()) continue;
    bool good = false;
    if (key == "documents") good = documents(value);
    if (key == "tags") good = list(value, what.tags);
    if (key == "tenant") good = text(value, what.tenant);
    if (key == "model") good = text(value, what.model);
    if (key == "all") good = value.is_boolean();
    if (!good) return ApiError::invalid("Unknown field or wrong type: '" + key + "'.", key);
    if (key == "all") what.all = value.get<bool>();
  }
  const auto given = [&](const char* name) { return root.contains(name) && root[name].is_array(); };
  const bool lists_given = given("documents") || given("tags");
  if (lists_given && !what.names() && !what.all) {
    return std::optional<cache::Invalidation>{};
  }
  const bool names_something = what.all || what.names() || !what.tenant.empty() || !what.model.empty();
  if (!names_something) return ApiError::invalid("Name documents, tags, tenant, model, or all.");
  return std::optional(std::move(what));
}

}  // namespace

void AdminHandler::stop() {
  if (!worker_) return;
  worker_->stop();
  worker_->join();
  worker_.reset();
}

// With a key of its own the admin API asks for nothing else. Without one, a web page that a browser on this machine
// shows must not reach it, whatever names it gives this machine.
std::optional<HttpResponse> AdminHandler::refuse_early(const HttpRequest& head) {
  const SnapshotPtr snapshot = services_.live->get();
  if (const std::string& digest = snapshot->settings.admin_sha256; !digest.empty()) {
    const bool known = KeyDigest(digest).same(KeyDigest::of(bearer_token(head.authorization)));
    // The page says nothing of this gateway: it asks for the key and reads the data with it.
    if (known || asks_for_dashboard(head)) return std::nullopt;
    return error_response(ApiError::invalid_api_key());
  }
  const auto address = ListenAddress::parse(
      head.host.ends_with(']') || head.host.find(':') == std::string::npos ? head.host + ":80" : head.host);
  const bool here = head.host.empty() || (address && address->loopback());
  if (here && (head.origin.empty() || head.origin == "http://" + head.host)) return std::nullopt;
  return error_response(
      {403, "The admin API answers local requests only.", "invalid_request_error", "", "not_local", 0});
}

Task<void> AdminHandler::handle(HttpExchange& exchange) {
  if (auto refusal = refuse_early(exchange.request())) {
    co_await exchange.send(std::move(*refusal));
    co_return;
  }
  HttpResponse response;
  const HttpRequest& request = exchange.request();
  auto work = [this, &request, &response](auto handler) {
    asio::post(*worker_, [this, &request, &response, handler = std::move(handler)]() mutable {
      response = answer(request);
      const auto executor = asio::get_associated_executor(handler);
      asio::post(executor, [handler = std::move(handler)]() mutable { std::move(handler)(); });
    });
  };
  co_await asio::async_initiate<const asio::use_awaitable_t<Executor>, void()>(work, use_task);
  co_await exchange.send(std::move(response));
}

HttpResponse AdminHandler::answer(const HttpRequest& request) {
  if (asks_for_dashboard(request)) return dashboard(request.path);
  const std::string_view path = request.path;
  const bool get = request.method == "GET" || request.method == "HEAD";
  const bool post = request.method == "POST";
  if (path.starts_with(std::string(kEntries) + "/")) return entry(request, path.substr(kEntries.size() + 1));
  if (path == "/admin/cache/invalidate") return post ? invalidate(request) : method_not_allowed("POST");
  if (path == "/admin/drain") {
    if (!post) return method_not_allowed("POST");
    drain_();
    return {200, R"({"draining":true})", "", "application/json", false};
  }
  if (!is_read(path)) return error_response(ApiError::not_found("There is nothing at this path."));
  if (!get) return method_not_allowed("GET, HEAD");
  return read(request);
}

bool AdminHandler::is_read(std::string_view path) {
  static constexpr std::array paths = {std::string_view("/"),
                                       std::string_view("/metrics"),
                                       kEntries,
                                       kStats,
                                       kLookups,
                                       kReplay,
                                       std::string_view("/admin/config")};
  return std::ranges::find(paths, path) != paths.end() || is_dashboard_file(path);
}

HttpResponse AdminHandler::read(const HttpRequest& request) const {
  const std::string_view path = request.path;
  if (path == "/metrics") return metrics();
  if (path == kStats) return cache_stats(*services_.cache);
  if (path == kEntries) return cache_entries(*services_.cache, request);
  if (path == kLookups) return cache_lookups(*services_.cache, request);
  if (path == kReplay) return cache_replay(*services_.cache, request);
  if (path == "/admin/config") {
    return {200, print_config(services_.live->get()->settings), "", "application/yaml", false};
  }
  return front_page();
}

HttpResponse AdminHandler::metrics() const {
  HttpResponse response;
  response.content_type = kPrometheus;
  services_.metrics->append(response.body);
  if (services_.connections != nullptr) append_connection_metrics(response.body, *services_.connections);
  append_cache_metrics(response.body, services_.cache->stats());
  const SnapshotPtr snapshot = services_.live->get();
  EngineStatsByModel engines;
  for (const auto& model : snapshot->models.all()) {
    if (const auto stats = model.backend->engine_stats()) engines.emplace_back(model.name, *stats);
  }
  append_engine_metrics(response.body, engines);
  append_gpu_metrics(response.body);
  std::vector<ModelUpstreams> upstreams;
  for (const auto& model : snapshot->models.all()) {
    upstreams.push_back({model.name, model.backend->upstream_stats()});
  }
  append_upstream_metrics(response.body, upstreams);
  return response;
}

HttpResponse AdminHandler::entry(const HttpRequest& request, std::string_view id) {
  const ApiError missing = ApiError::not_found("There is no such entry.");
  if (request.method == "DELETE") {
    if (!services_.cache->erase(std::string(id))) return error_response(missing);
    return {200, R"({"deleted":true})", "", "application/json", false};
  }
  if (request.method != "GET" && request.method != "HEAD") return method_not_allowed("GET, HEAD, DELETE");
  const auto entry = services_.cache->entry(std::string(id));
  return entry ? cache_entry(*entry) : error_response(missing);
}

HttpResponse AdminHandler::invalidate(const HttpRequest& request) {
  const auto read = read_invalidation(request.body);
  if (!read) return error_response(read.error());
  const std::optional<cache::Invalidation>& what = *read;
  if (!what) return json_response({{"answers", 0}, {"kv_blocks", 0}});
  const std::uint64_t answers = services_.cache->invalidate(*what);
  std::uint64_t blocks = 0;
  // KV is found by its tokens: what an outdated text left behind would never be used, and takes memory only.
  std::vector<std::string> documents = what->documents;
  for (const cache::CurrentDocument& current : what->current) documents.push_back(current.id);
  if (!documents.empty()) {
    const SnapshotPtr snapshot = services_.live->get();
    for (const auto& model : snapshot->models.all()) blocks += model.backend->invalidate(documents);
  }
  return json_response({{"answers", answers}, {"kv_blocks", blocks}});
}

HttpResponse AdminHandler::front_page() const {
  HttpResponse response;
  response.content_type = kPlain;
  response.body = "Kvasir " KVASIR_VERSION "\n\nmodels:\n";
  const SnapshotPtr snapshot = services_.live->get();
  for (const auto& model : snapshot->models.all()) response.body += "  " + model.name + "\n";
  response.body +=
      "\nGET    /metrics\nGET    /admin/config\nGET    /admin/cache/stats\n"
      "GET    /admin/cache/entries?text=&tenant=&model=&tag=&document=&offset=0&limit=50\n"
      "GET    /admin/cache/entries/{id}\nDELETE /admin/cache/entries/{id}\nPOST   /admin/cache/invalidate\n"
      "GET    /admin/cache/lookups?limit=100\n"
      "GET    /admin/cache/replay?threshold=0.9&policy=guarded\n"
      "POST   /admin/drain\n";
  return response;
}

}  // namespace kvasir::gateway
