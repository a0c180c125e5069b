// SHA-256 (FIPS 180-4) by OpenSSL, without what that costs for a short text: fetching the algorithm and making a
// context.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>

struct evp_md_ctx_st;

namespace kvasir::rag {

// One hash. Not thread safe; finish() may be called once. Throws std::runtime_error where OpenSSL has no SHA-256.
class Sha256 {
 public:
  using Digest = std::array<std::uint8_t, 32>;

  Sha256();
  void add(const void* data, std::size_t size);
  Digest finish();

  static Digest of(std::string_view content);

 private:
  struct GiveBack {
    void operator()(evp_md_ctx_st* context) const;
  };
  void flush();

  std::unique_ptr<evp_md_ctx_st, GiveBack> context_;
  // Short pieces, handed on together: a call of OpenSSL costs more than they do.
  std::array<std::uint8_t, 256> pieces_;
  std::size_t pieces_size_ = 0;
};

}  // namespace kvasir::rag
