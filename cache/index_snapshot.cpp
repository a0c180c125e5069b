#include "cache/index_snapshot.hpp"

#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#define XXH_INLINE_ALL
#include <unistd.h>
#include <xxhash.h>

namespace kvasir::cache {
namespace {

// magic, embedder, then sections: each its length, checksum and bytes. Little-endian, as the store.
constexpr std::string_view kMagic = "kvasir index 1\n";

struct CloseFile {
  void operator()(std::FILE* file) const { std::fclose(file); }
};
using FilePtr = std::unique_ptr<std::FILE, CloseFile>;

template <typename T>
void put(std::string& bytes, T number) {
  char raw[sizeof number];
  std::memcpy(raw, &number, sizeof number);
  bytes.append(raw, sizeof raw);
}

void put_text(std::string& bytes, std::string_view text) {
  put(bytes, static_cast<std::uint32_t>(text.size()));
  bytes += text;
}

bool take_bytes(std::string_view& bytes, std::size_t size, std::string_view& taken) {
  if (bytes.size() < size) return false;
  taken = bytes.substr(0, size);
  bytes.remove_prefix(size);
  return true;
}

template <typename T>
bool take(std::string_view& bytes, T& number) {
  std::string_view raw;
  if (!take_bytes(bytes, sizeof number, raw)) return false;
  std::memcpy(&number, raw.data(), sizeof number);
  return true;
}

bool take_text(std::string_view& bytes, std::string_view& text) {
  std::uint32_t size = 0;
  return take(bytes, size) && take_bytes(bytes, size, text);
}

std::string encode_graph(const PartitionIndex::Saved& saved) {
  std::string bytes(reinterpret_cast<const char*>(saved.partition.bytes.data()), saved.partition.bytes.size());
  put(bytes, static_cast<std::uint32_t>(saved.records.size()));
  for (const RecordPtr& record : saved.records) put_text(bytes, record ? record->entry.id : std::string_view{});
  bytes.append(saved.links.data(), saved.links.size());
  return bytes;
}

std::optional<PartitionIndex::Saved> decode_graph(std::string_view bytes,
                                                  const std::function<RecordPtr(const std::string& id)>& find) {
  PartitionIndex::Saved saved;
  std::string_view id;
  std::uint32_t count = 0;
  if (!take_bytes(bytes, saved.partition.bytes.size(), id) || !take(bytes, count)) return std::nullopt;
  std::memcpy(saved.partition.bytes.data(), id.data(), id.size());
  for (std::uint32_t i = 0; i < count; ++i) {
    if (!take_text(bytes, id)) return std::nullopt;
    saved.records.push_back(id.empty() ? nullptr : find(std::string(id)));
  }
  saved.links.assign(bytes.begin(), bytes.end());
  return saved;
}

bool write(std::FILE* file, std::string_view bytes) {
  return std::fwrite(bytes.data(), 1, bytes.size(), file) == bytes.size();
}

bool write_section(std::FILE* file, std::string_view bytes) {
  std::string head;
  put(head, std::uint64_t{bytes.size()});
  put(head, std::uint64_t{XXH3_64bits(bytes.data(), bytes.size())});
  return write(file, head) && write(file, bytes);
}

}  // namespace

bool save_index(const std::string& file, const std::string& embedder, const PartitionIndex& index) {
  const std::string draft = file + ".new";
  bool good = false;
  {
    const FilePtr out(std::fopen(draft.c_str(), "wbe"));
    if (!out) return false;
    std::string head(kMagic);
    put_text(head, embedder);
    good = write(out.get(), head);
    index.save(
        [&](const PartitionIndex::Saved& saved) { good = good && write_section(out.get(), encode_graph(saved)); });
    good = good && std::fflush(out.get()) == 0 && fsync(fileno(out.get())) == 0;
  }
  std::error_code failed;
  if (good) std::filesystem::rename(draft, file, failed);
  if (good && !failed) return true;
  std::filesystem::remove(draft, failed);
  return false;
}

std::size_t restore_index(const std::string& file, const std::string& embedder, PartitionIndex& index,
                          const std::function<RecordPtr(const std::string& id)>& find) {
  std::ifstream in(file, std::ios::binary);
  std::error_code unknown;
  std::uint64_t left = std::filesystem::file_size(file, unknown);
  std::string head;
  put_text(head, embedder);
  head.insert(0, kMagic);
  std::string section(head.size(), '\0');
  const auto read = [&](std::string& into) {
    if (into.size() > left) return false;
    left -= into.size();
    return static_cast<bool>(in.read(into.data(), static_cast<std::streamsize>(into.size())));
  };
  if (unknown || !in || !read(section) || section != head) return 0;
  std::size_t restored = 0;
  std::string frame(2 * sizeof(std::uint64_t), '\0');
  while (read(frame)) {
    std::string_view rest = frame;
    std::uint64_t size = 0;
    std::uint64_t checksum = 0;
    // A length that is more than the file's is damage, and must not become an allocation.
    if (!take(rest, size) || !take(rest, checksum) || size > left) break;
    section.resize(size);
    if (!read(section) || XXH3_64bits(section.data(), section.size()) != checksum) break;
    const auto saved = decode_graph(section, find);
    if (saved && index.restore(*saved)) ++restored;
  }
  return restored;
}

IndexKeeper::IndexKeeper(std::string file, std::string embedder, const PartitionIndex& index,
                         std::chrono::seconds period)
    : file_(std::move(file)),
      embedder_(std::move(embedder)),
      index_(index),
      period_(period),
      saved_(index.revision()),
      thread_([this] { work(); }) {}

IndexKeeper::~IndexKeeper() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_all();
  thread_.join();
  save();
}

void IndexKeeper::work() {
  std::unique_lock lock(mutex_);
  while (!wake_.wait_for(lock, period_, [this] { return stopping_; })) {
    lock.unlock();
    save();
    lock.lock();
  }
}

// If the disk refuses, the next time tries again; without the file graphs are made anew.
void IndexKeeper::save() {
  const std::uint64_t revision = index_.revision();
  if (revision != saved_ && save_index(file_, embedder_, index_)) saved_ = revision;
}

}  // namespace kvasir::cache
