#include "gateway/legacy_logprobs.hpp"

#include "gateway/field_reader.hpp"
#include "gateway/json_text.hpp"

#include <set>

namespace kvasir::gateway {
namespace {

using simdjson::SUCCESS;

constexpr std::string_view kReplacement = "\xEF\xBF\xBD";

std::string token_of(Json item) {
  std::string_view text;
  if (item["token"].get(text) != SUCCESS) return "";
  simdjson::dom::array bytes;
  if (text.find(kReplacement) == std::string_view::npos || item["bytes"].get(bytes) != SUCCESS) {
    return std::string(text);
  }
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string shown = "bytes:";
  for (const Json byte : bytes) {
    std::int64_t value = 0;
    if (byte.get(value) != SUCCESS) continue;
    shown.append("\\x");
    shown += kDigits[static_cast<std::size_t>(value >> 4) & 15];
    shown += kDigits[static_cast<std::size_t>(value) & 15];
  }
  return shown;
}

double logprob_of(Json item) {
  double value = 0;
  return item["logprob"].get(value) == SUCCESS ? value : 0.0;
}

// The token and its alternatives, each once.
void append_top(std::string& out, Json item, const std::string& token) {
  std::set<std::string> shown{token};
  out += '{';
  append_json_string(out, token);
  out += ':';
  append_number(out, logprob_of(item));
  simdjson::dom::array top;
  if (item["top_logprobs"].get(top) == SUCCESS) {
    for (const Json other : top) {
      const std::string name = token_of(other);
      if (!shown.insert(name).second) continue;
      out += ',';
      append_json_string(out, name);
      out += ':';
      append_number(out, logprob_of(other));
    }
  }
  out += '}';
}

}  // namespace

void append_legacy_logprobs(std::string& out, std::string_view items, std::size_t& offset) {
  std::string tokens;
  std::string logprobs;
  std::string top;
  std::string offsets;
  simdjson::dom::parser parser;
  simdjson::dom::array list;
  std::string array = "[";
  array.append(items).append("]");
  if (parser.parse(array).get(list) == SUCCESS) {
    for (const Json item : list) {
      for (std::string* part : {&tokens, &logprobs, &top, &offsets}) {
        if (!part->empty()) *part += ',';
      }
      const std::string token = token_of(item);
      append_json_string(tokens, token);
      append_number(logprobs, logprob_of(item));
      append_top(top, item, token);
      append_number(offsets, offset);
      std::string_view text;
      if (item["token"].get(text) == SUCCESS) offset += characters(text);
    }
  }
  out.append(R"({"tokens":[)").append(tokens).append(R"(],"token_logprobs":[)").append(logprobs);
  out.append(R"(],"top_logprobs":[)").append(top).append(R"(],"text_offset":[)").append(offsets).append("]}");
}

}  // namespace kvasir::gateway
