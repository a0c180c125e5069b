#include "gateway/json_body.hpp"

#include "gateway/request_keys.hpp"

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

std::optional<ApiError> read_with(simdjson::dom::parser& parser, std::string& body,
                                  const std::function<std::optional<ApiError>(simdjson::dom::object)>& read) {
  simdjson::dom::element root;
  body.reserve(body.size() + simdjson::SIMDJSON_PADDING);
  if (const auto error = parser.parse(body).get(root)) return broken_json(error);
  simdjson::dom::object object;
  if (root.get(object) != simdjson::SUCCESS) return ApiError::invalid("The body must be a JSON object.");
  if (auto error = check_keys(object, body)) return error;
  return read(object);
}

}  // namespace

std::optional<ApiError> read_json_object(std::string& body,
                                         const std::function<std::optional<ApiError>(simdjson::dom::object)>& read) {
  if (body.size() > kKeptCapacity) {
    simdjson::dom::parser parser;
    if (parser.allocate(body.size(), kMaxDepth) != simdjson::SUCCESS) return ApiError::internal();
    return read_with(parser, body, read);
  }
  thread_local simdjson::dom::parser parser;
  if (parser.max_depth() != kMaxDepth && parser.allocate(kKeptCapacity, kMaxDepth) != simdjson::SUCCESS) {
    return ApiError::internal();
  }
  return read_with(parser, body, read);
}

}  // namespace kvasir::gateway
