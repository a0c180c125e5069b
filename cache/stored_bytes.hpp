// What guards a stored entry against damage, and vectors as bytes; the same in every store.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

namespace kvasir::cache {

std::int64_t checksum(std::string_view body, std::string_view embedder, std::string_view vector);

// Little-endian floats. The view is of `vector` itself.
std::string_view bytes_of(const std::vector<float>& vector);
std::vector<float> vector_from(std::string_view bytes);

}  // namespace kvasir::cache
