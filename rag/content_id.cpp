#include "rag/content_id.hpp"

#include <cstring>

namespace kvasir::rag {
namespace {

ContentId cut(const Sha256::Digest& digest) {
  ContentId id;
  std::memcpy(id.bytes.data(), digest.data(), id.bytes.size());
  return id;
}

// Little-endian whatever the machine, since ids are kept on disk.
std::array<std::uint8_t, 8> little_endian(std::uint64_t number) {
  std::array<std::uint8_t, 8> bytes{};
  for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<std::uint8_t>(number >> (8 * i));
  return bytes;
}

void add_field(Sha256& hash, const void* data, std::size_t size) {
  const auto length = little_endian(size);
  hash.add(length.data(), length.size());
  hash.add(data, size);
}

int hex_value(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  return -1;
}

}  // namespace

ContentId ContentId::of(std::string_view content) {
  return cut(Sha256::of(content));
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

ContentHasher& ContentHasher::field(std::string_view bytes) {
  add_field(hash_, bytes.data(), bytes.size());
  return *this;
}

ContentHasher& ContentHasher::field(const ContentId& id) {
  add_field(hash_, id.bytes.data(), id.bytes.size());
  return *this;
}

ContentHasher& ContentHasher::field(std::uint64_t number) {
  const auto bytes = little_endian(number);
  add_field(hash_, bytes.data(), bytes.size());
  return *this;
}

ContentId ContentHasher::finish() {
  return cut(hash_.finish());
}

}  // namespace kvasir::rag

std::size_t std::hash<kvasir::rag::ContentId>::operator()(const kvasir::rag::ContentId& id) const noexcept {
  // The bytes are a hash already.
  std::size_t value = 0;
  std::memcpy(&value, id.bytes.data(), sizeof(value));
  return value;
}
