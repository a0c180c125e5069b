// Events must come out the same however their bytes arrive. The input's first byte says how: so many at a time.
#include "gateway/sse_parser.hpp"
#include "tests/fuzz/fuzz.hpp"

#include <algorithm>
#include <vector>

namespace kvasir::gateway {
namespace {

std::vector<std::string> events(std::string_view bytes, std::size_t step) {
  SseParser parser(1 << 16);
  std::vector<std::string> found;
  while (!bytes.empty()) {
    parser.push(bytes.substr(0, step));
    bytes.remove_prefix(std::min(step, bytes.size()));
    while (auto event = parser.next()) found.push_back(std::move(*event));
  }
  return found;
}

void use(std::string_view data) {
  if (data.empty()) return;
  const std::size_t step = 1 + static_cast<unsigned char>(data[0]) % 64;
  data.remove_prefix(1);
  must(events(data, data.size() + 1) == events(data, step));
}

}  // namespace
}  // namespace kvasir::gateway

KVASIR_FUZZ(kvasir::gateway::use)
