#include "cache/entry_id.hpp"

#include "rag/content_id.hpp"

#include <array>
#include <cstdint>
#include <random>

namespace kvasir::cache {

std::string random_entry_id() {
  thread_local std::random_device device;
  rag::ContentId id;
  for (std::size_t i = 0; i < id.bytes.size(); i += 4) {
    const std::uint32_t word = device();
    for (std::size_t byte = 0; byte < 4; ++byte) id.bytes[i + byte] = static_cast<std::uint8_t>(word >> (8 * byte));
  }
  return "kve-" + id.hex();
}

}  // namespace kvasir::cache
