// A chat request is read, or refused with a 400 that can be shown.
#include "gateway/openai_request.hpp"
#include "tests/fuzz/fuzz.hpp"

#include <simdjson.h>

namespace kvasir::gateway {
namespace {

void use(std::string_view data) {
  const auto request = parse_chat_request(std::string(data));
  if (request) return;
  must(request.error().status == 400 && !request.error().message.empty());
  const std::string body = request.error().body();
  must(simdjson::validate_utf8(body));
  simdjson::dom::parser parser;
  must(parser.parse(body)["error"].is_object());
}

}  // namespace
}  // namespace kvasir::gateway

KVASIR_FUZZ(kvasir::gateway::use)
