#include "engine/json_document.hpp"

#include <algorithm>
#include <utility>

namespace kvasir::engine {
namespace {

constexpr int kMaxDepth = 64;

int depth_of(std::string_view text) {
  int depth = 0;
  int deepest = 0;
  bool in_string = false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (in_string) {
      if (c == '\\') ++i;
      if (c == '"') in_string = false;
    } else if (c == '"') {
      in_string = true;
    } else if (c == '{' || c == '[') {
      deepest = std::max(deepest, ++depth);
    } else if (c == '}' || c == ']') {
      --depth;
    }
  }
  return deepest;
}

}  // namespace

Result<Json> parse_json(std::string_view text) {
  if (depth_of(text) > kMaxDepth) return Error{ErrorCode::bad_request, "is nested more than 64 deep", "", 0};
  Json json = Json::parse(text, nullptr, false);
  if (json.is_discarded()) return Error{ErrorCode::bad_request, "is not valid JSON", "", 0};
  return Result<Json>(boost::system::in_place_value, std::move(json));
}

}  // namespace kvasir::engine
