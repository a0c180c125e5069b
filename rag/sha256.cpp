#include "rag/sha256.hpp"

#include <algorithm>
#include <new>
#include <stdexcept>
#include <vector>

#include <openssl/evp.h>

namespace kvasir::rag {
namespace {

constexpr std::size_t kMaxSpares = 8;

struct FreeDigest {
  void operator()(EVP_MD* digest) const { EVP_MD_free(digest); }
};
struct FreeContext {
  void operator()(EVP_MD_CTX* context) const { EVP_MD_CTX_free(context); }
};

// Contexts of this thread that no hash uses.
using Spares = std::vector<std::unique_ptr<EVP_MD_CTX, FreeContext>>;
Spares& spares() {
  thread_local Spares contexts;
  return contexts;
}

void require(bool works) {
  if (!works) throw std::runtime_error("OpenSSL offers no SHA-256 here; check its configuration file");
}

const EVP_MD* algorithm() {
  static const std::unique_ptr<EVP_MD, FreeDigest> digest(EVP_MD_fetch(nullptr, "SHA256", nullptr));
  require(digest != nullptr);
  return digest.get();
}

EVP_MD_CTX* take_context() {
  Spares& contexts = spares();
  if (contexts.empty()) {
    EVP_MD_CTX* context = EVP_MD_CTX_new();
    if (context == nullptr) throw std::bad_alloc();
    return context;
  }
  EVP_MD_CTX* context = contexts.back().release();
  contexts.pop_back();
  return context;
}

}  // namespace

void Sha256::GiveBack::operator()(evp_md_ctx_st* context) const {
  if (spares().size() >= kMaxSpares) return EVP_MD_CTX_free(context);
  spares().emplace_back(context);
}

Sha256::Sha256() : context_(take_context()) {
  require(EVP_DigestInit_ex2(context_.get(), algorithm(), nullptr) == 1);
}

void Sha256::add(const void* data, std::size_t size) {
  if (size > pieces_.size() - pieces_size_) flush();
  if (size > pieces_.size()) return require(EVP_DigestUpdate(context_.get(), data, size) == 1);
  std::copy_n(static_cast<const std::uint8_t*>(data), size, pieces_.data() + pieces_size_);
  pieces_size_ += size;
}

void Sha256::flush() {
  if (pieces_size_ > 0) require(EVP_DigestUpdate(context_.get(), pieces_.data(), pieces_size_) == 1);
  pieces_size_ = 0;
}

Sha256::Digest Sha256::finish() {
  flush();
  Digest digest{};
  require(EVP_DigestFinal_ex(context_.get(), digest.data(), nullptr) == 1);
  return digest;
}

Sha256::Digest Sha256::of(std::string_view content) {
  Sha256 hash;
  hash.add(content.data(), content.size());
  return hash.finish();
}

}  // namespace kvasir::rag
