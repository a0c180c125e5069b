#include "gateway/responses_endpoint.hpp"

#include "gateway/error_response.hpp"
#include "gateway/http_query.hpp"
#include "gateway/openai_request.hpp"
#include "gateway/response_items.hpp"
#include "gateway/response_writer.hpp"
#include "gateway/responses_request.hpp"

#include <algorithm>

#include <nlohmann/json.hpp>

namespace kvasir::gateway {
namespace {

using json = nlohmann::json;

constexpr std::string_view kPrefix = "/v1/responses/";
constexpr std::string_view kInputItems = "/input_items";

ApiError not_found(const std::string& id) {
  return {404, "Response with id '" + id + "' not found.", "invalid_request_error", "", "not_found", 0};
}

ApiError previous_not_found(const std::string& id) {
  return {404,
          "Previous response with id '" + id + "' not found.",
          "invalid_request_error",
          "previous_response_id",
          "previous_response_not_found",
          0};
}

// The items of a conversation, oldest first: input and output by turns.
json conversation_of(const std::vector<StoredResponse>& responses) {
  json items = json::array();
  for (const StoredResponse& response : responses) {
    for (json& item : json::parse(response.input)) items.push_back(std::move(item));
    json body = json::parse(response.body);
    for (json& item : body.at("output")) items.push_back(std::move(item));
  }
  return items;
}

// A page of the items: `limit`, `order` and `after`, as OpenAI's lists have them.
Result<std::string> list_items(const std::string& input, std::string_view query) {
  json items = json::parse(input);
  const std::string order = query_value(query, "order").value_or("desc");
  if (order != "asc" && order != "desc") {
    return ApiError::invalid("Invalid value for 'order': must be 'asc' or 'desc'.", "order");
  }
  const auto limit = query_number(query, "limit", 20);
  if (!limit || *limit < 1 || *limit > 100) {
    return ApiError::invalid("Invalid value for 'limit': must be from 1 to 100.", "limit");
  }
  if (order == "desc") std::reverse(items.begin(), items.end());
  std::size_t begin = 0;
  if (const auto after = query_value(query, "after"); after && !after->empty()) {
    const auto found = std::find_if(items.begin(), items.end(),
                                    [&](const json& item) { return item.contains("id") && item["id"] == *after; });
    if (found == items.end()) return ApiError::invalid("Invalid value for 'after': no item has this id.", "after");
    begin = static_cast<std::size_t>(found - items.begin()) + 1;
  }
  const std::size_t end = std::min(items.size(), begin + *limit);
  json page{{"object", "list"}, {"data", json::array()}, {"has_more", end < items.size()}};
  for (std::size_t i = begin; i < end; ++i) page["data"].push_back(std::move(items[i]));
  page["first_id"] = page["data"].empty() ? json() : page["data"].front()["id"];
  page["last_id"] = page["data"].empty() ? json() : page["data"].back()["id"];
  return page.dump();
}

// The events behind number `after`, all of them without it.
Result<std::string> events_after(const std::string& body, std::string_view query) {
  std::string events = replay_events(json::parse(body));
  if (!query_value(query, "starting_after")) return events;
  const auto after = query_number(query, "starting_after", 0);
  if (!after) return ApiError::invalid("Invalid value for 'starting_after': must be a number.", "starting_after");
  constexpr std::string_view kEnd = "\n\n";
  std::size_t begin = 0;
  for (std::size_t event = 0; event <= *after && begin < events.size(); ++event) {
    begin = events.find(kEnd, begin) + kEnd.size();
  }
  return events.substr(begin);
}

// Whether a query asks for the events of a response; nothing if it does not say it clearly.
std::optional<bool> asks_for_events(std::string_view query) {
  const std::string stream = query_value(query, "stream").value_or("false");
  if (stream != "true" && stream != "false") return std::nullopt;
  return stream == "true";
}

}  // namespace

Task<void> ResponsesEndpoint::handle(HttpExchange& exchange, Caller& caller, RequestRecord& record) {
  const HttpRequest& request = exchange.request();
  if (request.method == "POST") {
    co_await create(exchange, caller, record);
    co_return;
  }
  const std::string path = request.path.substr(kPrefix.size());
  HttpResponse response;
  Result<std::string> body = ApiError::internal();
  if (request.method == "DELETE") {
    body = co_await remove(caller.tenant(), path);
  } else {
    body = co_await read(request, caller.tenant(), path, response.content_type);
  }
  if (!body) {
    co_await refuse(exchange, record, body.error());
    co_return;
  }
  response.body = std::move(*body);
  co_await respond(exchange, record, std::move(response));
}

Task<void> ResponsesEndpoint::create(HttpExchange& exchange, Caller& caller, RequestRecord& record) {
  auto parsed = parse_responses_request(exchange.request().body);
  if (!parsed) {
    co_await refuse(exchange, record, parsed.error());
    co_return;
  }
  json conversation = json::array();
  if (!parsed->previous.empty()) {
    const auto chain = co_await store_->chain(caller.tenant(), parsed->previous);
    if (chain.empty()) {
      co_await refuse(exchange, record, previous_not_found(parsed->previous));
      co_return;
    }
    conversation = conversation_of(chain);
  }
  auto read = parse_chat_request(chat_body(*parsed, conversation));
  if (!read) {
    ApiError error = std::move(read.error());
    rename_to_response(error);
    co_await refuse(exchange, record, error);
    co_return;
  }
  auto asked = std::make_shared<ChatRequest>(std::move(*read));
  ResponseWriter writer(std::move(*parsed), asked, caller.tenant(), *store_);
  co_await chat_->answer(exchange, caller, record, std::move(asked), writer);
}

Task<Result<std::string>> ResponsesEndpoint::read(const HttpRequest& request, const std::string& tenant,
                                                  std::string_view path, std::string_view& content_type) {
  const bool items = path.ends_with(kInputItems);
  const std::string id(path.substr(0, path.size() - (items ? kInputItems.size() : 0)));
  auto found = co_await store_->get(tenant, id);
  if (!found) co_return not_found(id);
  if (items) co_return list_items(found->input, request.query);
  const auto events = asks_for_events(request.query);
  if (!events) co_return ApiError::invalid("Invalid value for 'stream': must be 'true' or 'false'.", "stream");
  if (!*events) co_return std::move(found->body);
  content_type = kEventStream;
  co_return events_after(found->body, request.query);
}

Task<Result<std::string>> ResponsesEndpoint::remove(const std::string& tenant, const std::string& id) {
  const bool removed = co_await store_->remove(tenant, id);
  if (!removed) co_return not_found(id);
  co_return json{{"id", id}, {"object", "response"}, {"deleted", true}}.dump();
}

}  // namespace kvasir::gateway
