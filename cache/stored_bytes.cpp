#include "cache/stored_bytes.hpp"

#include <bit>
#include <cstring>

#define XXH_INLINE_ALL
#include <xxhash.h>

namespace kvasir::cache {

std::int64_t checksum(std::string_view body, std::string_view embedder, std::string_view vector) {
  XXH64_hash_t hash = XXH3_64bits(body.data(), body.size());
  hash = XXH3_64bits_withSeed(embedder.data(), embedder.size(), hash);
  hash = XXH3_64bits_withSeed(vector.data(), vector.size(), hash);
  return std::bit_cast<std::int64_t>(hash);
}

std::string_view bytes_of(const std::vector<float>& vector) {
  return {reinterpret_cast<const char*>(vector.data()), vector.size() * sizeof(float)};
}

std::vector<float> vector_from(std::string_view bytes) {
  std::vector<float> vector(bytes.size() / sizeof(float));
  if (!vector.empty()) std::memcpy(vector.data(), bytes.data(), vector.size() * sizeof(float));
  return vector;
}

}  // namespace kvasir::cache
