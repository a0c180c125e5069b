// What a request says about the KV of its prompt.
#include "gateway/request_reader.hpp"

namespace kvasir::gateway {
namespace {

// Each is found by rendering the prompt again.
constexpr std::size_t kMostBreakpoints = 16;

constexpr std::string_view kSha256 = "sha256:";
constexpr std::string_view kTokensOrRanges = "an integer, or an array of pairs [start, end]";
// Ranges are found by counting the tokens before them.
constexpr std::int64_t kLastRangedToken = 1 << 20;
constexpr std::size_t kMostRanges = 64;

}  // namespace

bool RequestReader::prompt_cache(std::string_view name, Json value) {
  return boolean(name, value, request_->prompt_cache);
}

bool RequestReader::cache_control(std::string_view name, Json value) {
  return pin_time(std::string(name), value, request_->pin);
}

bool RequestReader::pin_time(const std::string& place, Json value, std::chrono::seconds& target) {
  std::string_view type;
  std::string_view ttl = "5m";
  if (value.is_object()) {
    if (value["type"].get(type) != simdjson::SUCCESS) return missing(place + ".type");
    Json given;
    const bool said = value["ttl"].get(given) == simdjson::SUCCESS && !given.is_null();
    if (said && given.get(ttl) != simdjson::SUCCESS) ttl = "";
  } else if (value.get(type) != simdjson::SUCCESS) {
    return fail_type(place, "'ephemeral' or an object", value);
  }
  if (type != "ephemeral") return fail_range(place + ".type", "'ephemeral'");
  if (ttl != "5m" && ttl != "1h") return fail_range(place + ".ttl", "'5m' or '1h'");
  target = ttl == "1h" ? std::chrono::hours(1) : std::chrono::minutes(5);
  return true;
}

bool RequestReader::breakpoint(const std::string& holder, Json object, engine::Breakpoint at) {
  Json control;
  if (object["cache_control"].get(control) != simdjson::SUCCESS || control.is_null()) return true;
  const std::string place = holder + ".cache_control";
  if (!pin_time(place, control, at.ttl)) return false;
  if (request_->breakpoints.size() == kMostBreakpoints) {
    return fail("Invalid '" + place + "': at most 16 parts of a request may have one.", place);
  }
  request_->breakpoints.push_back(at);
  return true;
}

bool RequestReader::cached_prompt_id(std::string_view name, Json value) {
  if (!text(name, value, request_->cached_prompt_id)) return false;
  return !request_->cached_prompt_id.empty() || fail_range(name, "the id of an answer");
}

bool RequestReader::cache_checksum(std::string_view name, Json value) {
  if (value.is_object() || value.is_array()) return fail_type(name, "a string, a number or a boolean", value);
  request_->system_label = canonical_json(value);
  std::string_view label;
  if (value.get(label) == simdjson::SUCCESS && label.starts_with(kSha256)) {
    request_->system_sha256 = label.substr(kSha256.size());
  }
  return true;
}

bool RequestReader::context_strategy(std::string_view name, Json value) {
  std::string word;
  if (!text(name, value, word)) return false;
  using engine::ContextStrategy;
  if (word == "error") return true;
  if (word != "auto" && word != "sliding") return fail_range(name, "'auto', 'error' or 'sliding'");
  request_->context_strategy = word == "auto" ? ContextStrategy::truncate : ContextStrategy::sliding;
  add_extra(name, value);
  return true;
}

bool RequestReader::priority_tokens(std::string_view name, Json value) {
  add_extra(name, value);
  std::int64_t recent = 0;
  simdjson::dom::array ranges;
  if (value.get(ranges) != simdjson::SUCCESS) {
    if (!value.is_int64()) return fail_type(name, kTokensOrRanges, value);
    if (!integer(name, value, 0, 1 << 30, recent)) return false;
    request_->priority_tokens.recent = static_cast<int>(recent);
    return true;
  }
  if (ranges.size() > kMostRanges) return fail("Invalid 'priority_tokens': at most 64 ranges.", name);
  for (const Json item : ranges) {
    const std::string place = element_name(name, request_->priority_tokens.ranges.size());
    simdjson::dom::array pair;
    if (item.get(pair) != simdjson::SUCCESS) return fail_type(place, "a pair [start, end]", item);
    std::int64_t start = 0;
    std::int64_t end = 0;
    if (pair.size() != 2) return fail_range(place, "a pair [start, end]");
    if (!integer(element_name(place, 0), pair.at(0).value(), 0, kLastRangedToken, start)) return false;
    if (!integer(element_name(place, 1), pair.at(1).value(), start, kLastRangedToken, end)) return false;
    request_->priority_tokens.ranges.emplace_back(static_cast<int>(start), static_cast<int>(end));
  }
  return true;
}

}  // namespace kvasir::gateway
