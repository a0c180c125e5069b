// /v1/responses: a response is a chat, answered on the chat's path (so that every cache and every backend serves it),
// kept so that a later one can go on from it.
#pragma once

#include "gateway/chat_endpoint.hpp"
#include "gateway/response_store.hpp"

#include <string>
#include <string_view>

namespace kvasir::gateway {

class ResponsesEndpoint {
 public:
  // Both must outlive the endpoint.
  ResponsesEndpoint(ChatEndpoint& chat, ResponseStore& store) : chat_(&chat), store_(&store) {}

  // POST creates; GET reads and DELETE removes /v1/responses/ID; GET …/ID/input_items lists.
  Task<void> handle(HttpExchange& exchange, Caller& caller, RequestRecord& record);

 private:
  Task<void> create(HttpExchange& exchange, Caller& caller, RequestRecord& record);
  // Sets `content_type` if it is not JSON.
  Task<Result<std::string>> read(const HttpRequest& request, const std::string& tenant, std::string_view path,
                                 std::string_view& content_type);
  Task<Result<std::string>> remove(const std::string& tenant, const std::string& id);

  ChatEndpoint* chat_;
  ResponseStore* store_;
};

}  // namespace kvasir::gateway
