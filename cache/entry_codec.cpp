#include "cache/entry_codec.hpp"

#include <bit>
#include <chrono>
#include <concepts>
#include <cstdint>
#include <cstring>

namespace kvasir::cache {
namespace {

static_assert(std::endian::native == std::endian::little, "the encoding is little-endian");

constexpr std::uint8_t format_version = 2;
// Version 1 knew documents by their keys alone, only the mode `same`, and no reasoning.
constexpr std::uint8_t knows_contents = 2;
// Beyond it the clock's own ticks overflow.
constexpr std::int64_t latest_microsecond =
    std::chrono::duration_cast<std::chrono::microseconds>(Clock::duration::max()).count();

// Writer and Reader have the same operations, so that one list of fields serves both directions.
class Writer {
 public:
  template <std::integral T>
  void value(const T& number) {
    char bytes[sizeof number];
    std::memcpy(bytes, &number, sizeof number);
    bytes_.append(bytes, sizeof bytes);
  }
  void value(const bool& flag) { bytes_ += flag ? '\1' : '\0'; }
  void value(const std::string& text) {
    value(static_cast<std::uint32_t>(text.size()));
    bytes_ += text;
  }
  void value(const rag::ContentId& id) {
    bytes_.append(reinterpret_cast<const char*>(id.bytes.data()), id.bytes.size());
  }
  void value(const DocumentMode& mode) { value(static_cast<std::uint8_t>(mode)); }
  void value(const Clock::time_point& time) {
    value(std::int64_t{std::chrono::duration_cast<std::chrono::microseconds>(time.time_since_epoch()).count()});
  }
  template <typename T, typename Each>
  void list(const std::vector<T>& items, Each each) {
    value(static_cast<std::uint32_t>(items.size()));
    for (const T& item : items) each(item);
  }
  std::string take() { return std::move(bytes_); }

 private:
  std::string bytes_;
};

class Reader {
 public:
  explicit Reader(std::string_view bytes) : rest_(bytes) {}

  bool complete() const { return good_ && rest_.empty(); }

  template <std::integral T>
  void value(T& number) {
    const std::string_view bytes = take(sizeof number);
    if (good_) std::memcpy(&number, bytes.data(), sizeof number);
  }
  void value(bool& flag) {
    std::uint8_t byte = 0;
    value(byte);
    if (byte > 1) good_ = false;
    flag = byte == 1;
  }
  void value(std::string& text) {
    std::uint32_t size = 0;
    value(size);
    text = take(size);
  }
  void value(rag::ContentId& id) {
    const std::string_view bytes = take(id.bytes.size());
    if (good_) std::memcpy(id.bytes.data(), bytes.data(), bytes.size());
  }
  void value(DocumentMode& mode) {
    std::uint8_t number = 0;
    value(number);
    if (number >= kDocumentModes.size()) good_ = false;
    mode = static_cast<DocumentMode>(good_ ? number : 0);
  }
  void value(Clock::time_point& time) {
    std::int64_t microseconds = 0;
    value(microseconds);
    if (microseconds > latest_microsecond || microseconds < -latest_microsecond) good_ = false;
    time = Clock::time_point(std::chrono::microseconds(good_ ? microseconds : 0));
  }
  template <typename T, typename Each>
  void list(std::vector<T>& items, Each each) {
    std::uint32_t size = 0;
    value(size);
    // Every item takes a byte or more: a larger count is damage, and must not become an allocation.
    if (size > rest_.size()) good_ = false;
    for (std::uint32_t i = 0; good_ && i < size; ++i) each(items.emplace_back());
  }

 private:
  std::string_view take(std::size_t size) {
    if (!good_ || size > rest_.size()) {
      good_ = false;
      return {};
    }
    const std::string_view taken = rest_.substr(0, size);
    rest_.remove_prefix(size);
    return taken;
  }

  std::string_view rest_;
  bool good_ = true;
};

template <typename Archive, typename Key>
void fields_of_key(Archive& archive, Key& key, std::uint8_t version) {
  archive.value(key.partition);
  archive.value(key.exact);
  archive.value(key.canonical);
  archive.value(key.question);
  archive.list(key.documents, [&](auto& document) { archive.value(document); });
  if (version >= knows_contents) {
    archive.list(key.document_ids, [&](auto& id) { archive.value(id); });
    archive.list(key.document_versions, [&](auto& of_one) { archive.value(of_one); });
    archive.value(key.document_set);
    archive.value(key.document_mode);
  }
  archive.value(key.tenant);
  archive.value(key.model);
  archive.value(key.max_tokens);
  archive.value(key.top_logprobs);
  archive.value(key.semantic);
}

template <typename Archive, typename AnswerType>
void fields_of_answer(Archive& archive, AnswerType& answer, std::uint8_t version) {
  archive.value(answer.model);
  archive.list(answer.choices, [&](auto& choice) {
    archive.value(choice.content);
    archive.value(choice.refusal);
    archive.value(choice.finish_reason);
    archive.value(choice.logprobs);
    if (version >= knows_contents) {
      archive.value(choice.reasoning);
      archive.value(choice.reasoning_field);
    }
  });
  archive.value(answer.prompt_tokens);
  archive.value(answer.completion_tokens);
  archive.value(answer.system_fingerprint);
}

template <typename Archive, typename EntryType>
void fields_of_entry(Archive& archive, EntryType& entry, std::uint8_t version) {
  archive.value(entry.id);
  fields_of_key(archive, entry.key, version);
  fields_of_answer(archive, entry.answer, version);
  archive.list(entry.tags, [&](auto& tag) { archive.value(tag); });
  archive.value(entry.created);
  archive.value(entry.expires);
}

}  // namespace

std::string encode(const Entry& entry) {
  Writer writer;
  writer.value(format_version);
  fields_of_entry(writer, entry, format_version);
  return writer.take();
}

std::optional<Entry> decode(std::string_view bytes) {
  Reader reader(bytes);
  std::uint8_t version = 0;
  reader.value(version);
  if (version < 1 || version > format_version) return std::nullopt;
  Entry entry;
  fields_of_entry(reader, entry, version);
  if (!reader.complete()) return std::nullopt;
  return entry;
}

}  // namespace kvasir::cache
