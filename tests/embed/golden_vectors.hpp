// Vectors as the golden files of embed/ have them, and how near two are.
#pragma once

#include "embed/embedder.hpp"

#include <cmath>
#include <cstddef>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace kvasir::embed {

using Vector = std::vector<float>;

inline double cosine(const Vector& a, const Vector& b) {
  double ab = 0;
  double aa = 0;
  double bb = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    ab += static_cast<double>(a[i]) * static_cast<double>(b[i]);
    aa += static_cast<double>(a[i]) * static_cast<double>(a[i]);
    bb += static_cast<double>(b[i]) * static_cast<double>(b[i]);
  }
  return ab / std::sqrt(aa * bb);
}

inline unsigned base64_digit(char c) {
  static const std::string digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  return static_cast<unsigned>(digits.find(c));
}

// Little-endian float32 in base64; 384 floats need no padding.
inline Vector decode_vector(const std::string& text) {
  std::string bytes;
  for (std::size_t i = 0; i + 4 <= text.size(); i += 4) {
    unsigned bits = 0;
    for (std::size_t j = 0; j < 4; ++j) bits = bits << 6 | base64_digit(text[i + j]);
    for (const int shift : {16, 8, 0}) bytes += static_cast<char>(bits >> shift & 0xffU);
  }
  Vector vector(bytes.size() / sizeof(float));
  std::memcpy(vector.data(), bytes.data(), vector.size() * sizeof(float));
  return vector;
}

inline Vector embed_one(Embedder& embedder, std::string_view text) {
  return embedder.embed(std::span(&text, 1));
}

}  // namespace kvasir::embed
