#include "rag/content_id.hpp"

#include <cstring>
#include <new>
#include <stdexcept>

#include <openssl/evp.h>

namespace kvasir::rag {
namespace {

struct FreeDigest {
  void operator()(EVP_MD* digest) const { EVP_MD_free(digest); }
};
struct FreeContext {
  void operator()(EVP_MD_CTX* context) const { EVP_MD_CTX_free(context); }
};
using ContextPtr = std::unique_ptr<EVP_MD_CTX, FreeContext>;

void require(bool works) {
  if (!works) throw std::runtime_error("OpenSSL offers no SHA-256 here; check its configuration file");
}

// Fetching an algorithm costs more in OpenSSL 3 than hashing a short text, so it is done once.
const EVP_MD* sha256() {
  static const std::unique_ptr<EVP_MD, FreeDigest> digest(EVP_MD_fetch(nullptr, "SHA256", nullptr));
  require(digest != nullptr);
  return digest.get();
}

ContextPtr new_context() {
  ContextPtr context(EVP_MD_CTX_new());
  if (!context) throw std::bad_alloc();
  return context;
}

void start(EVP_MD_CTX* context) {
  require(EVP_DigestInit_ex2(context, sha256(), nullptr) == 1);
}

void add(EVP_MD_CTX* context, const void* data, std::size_t size) {
  require(EVP_DigestUpdate(context, data, size) == 1);
}

ContentId cut(EVP_MD_CTX* context) {
  std::array<std::uint8_t, 32> full{};
  require(EVP_DigestFinal_ex(context, full.data(), nullptr) == 1);
  ContentId id;
  std::memcpy(id.bytes.data(), full.data(), id.bytes.size());
  return id;
}

// Little-endian whatever the machine, since ids are kept on disk.
std::array<std::uint8_t, 8> little_endian(std::uint64_t number) {
  std::array<std::uint8_t, 8> bytes{};
  for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<std::uint8_t>(number >> (8 * i));
  return bytes;
}

void add_field(EVP_MD_CTX* context, const void* data, std::size_t size) {
  const auto length = little_endian(size);
  add(context, length.data(), length.size());
  add(context, data, size);
}

int hex_value(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  return -1;
}

}  // namespace

ContentId ContentId::of(std::string_view content) {
  thread_local const ContextPtr context = new_context();
  start(context.get());
  add(context.get(), content.data(), content.size());
  return cut(context.get());
}

std::optional<ContentId> ContentId::from_hex(std::string_view text) {
  ContentId id;
  if (text.size() != 2 * id.bytes.size()) return std::nullopt;
  for (std::size_t i = 0; i < id.bytes.size(); ++i) {
    const int high = hex_value(text[2 * i]);
    const int low = hex_value(text[2 * i + 1]);
    if (high < 0 || low < 0) return std::nullopt;
    id.bytes[i] = static_cast<std::uint8_t>(high * 16 + low);
  }
  return id;
}

std::string ContentId::hex() const {
  constexpr std::string_view digits = "0123456789abcdef";
  std::string text;
  text.reserve(2 * bytes.size());
  for (const std::uint8_t byte : bytes) {
    text += digits[byte >> 4];
    text += digits[byte & 15];
  }
  return text;
}

struct ContentHasher::State {
  ContextPtr context = new_context();
};

ContentHasher::ContentHasher() : state_(std::make_unique<State>()) {
  start(state_->context.get());
}
ContentHasher::~ContentHasher() = default;
ContentHasher::ContentHasher(ContentHasher&&) noexcept = default;
ContentHasher& ContentHasher::operator=(ContentHasher&&) noexcept = default;

ContentHasher& ContentHasher::field(std::string_view bytes) {
  add_field(state_->context.get(), bytes.data(), bytes.size());
  return *this;
}

ContentHasher& ContentHasher::field(const ContentId& id) {
  add_field(state_->context.get(), id.bytes.data(), id.bytes.size());
  return *this;
}

ContentHasher& ContentHasher::field(std::uint64_t number) {
  const auto bytes = little_endian(number);
  add_field(state_->context.get(), bytes.data(), bytes.size());
  return *this;
}

ContentId ContentHasher::finish() {
  return cut(state_->context.get());
}

}  // namespace kvasir::rag

std::size_t std::hash<kvasir::rag::ContentId>::operator()(const kvasir::rag::ContentId& id) const noexcept {
  // The bytes are a hash already.
  std::size_t value = 0;
  std::memcpy(&value, id.bytes.data(), sizeof(value));
  return value;
}
