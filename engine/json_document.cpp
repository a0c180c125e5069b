#include "engine/json_document.hpp"

#include <algorithm>
#include <cstddef>
#include <utility>
#include <vector>

namespace kvasir::engine {
namespace {

constexpr std::size_t kMaxDepth = 64;
constexpr std::size_t kMaxMembers = 5000;  // each name is looked for among those before it
constexpr std::size_t kMaxCompared = 50'000'000;

struct Extent {
  std::size_t depth = 0;
  std::size_t members = 0;   // of the largest object
  std::size_t compared = 0;  // names, to find out whether each is new
};

Extent extent_of(std::string_view text) {
  Extent extent;
  std::vector<std::size_t> open;  // members of each object or array around
  bool in_string = false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (in_string) {
      if (c == '\\') ++i;
      if (c == '"') in_string = false;
    } else if (c == '"') {
      in_string = true;
    } else if (c == '{' || c == '[') {
      open.push_back(0);
      extent.depth = std::max(extent.depth, open.size());
    } else if ((c == '}' || c == ']') && !open.empty()) {
      open.pop_back();
    } else if (c == ':' && !open.empty()) {
      extent.compared += open.back();
      extent.members = std::max(extent.members, ++open.back());
    }
  }
  return extent;
}

}  // namespace

Result<Json> parse_json(std::string_view text) {
  const Extent extent = extent_of(text);
  if (extent.members > kMaxMembers)
    return Error{ErrorCode::bad_request, "has an object of more than 5,000 members", "", 0};
  if (extent.compared > kMaxCompared) return Error{ErrorCode::bad_request, "has too many large objects", "", 0};
  if (extent.depth > kMaxDepth) return Error{ErrorCode::bad_request, "is nested more than 64 deep", "", 0};
  Json json = Json::parse(text, nullptr, false);
  if (json.is_discarded()) return Error{ErrorCode::bad_request, "is not valid JSON", "", 0};
  return Result<Json>(boost::system::in_place_value, std::move(json));
}

}  // namespace kvasir::engine
