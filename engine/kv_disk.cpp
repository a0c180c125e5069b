#define XXH_INLINE_ALL
#include "engine/kv_disk.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <iterator>
#include <optional>
#include <system_error>
#include <utility>

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <unistd.h>
#include <xxhash.h>
#include <zstd.h>

namespace kvasir::engine {
namespace {

namespace fs = std::filesystem;

constexpr std::uint64_t kMagic = 0x3130564B52495341ULL;  // its last two digits count the format's versions
constexpr std::uint32_t kMaxFacts = 1U << 20U;

struct Header {
  std::uint64_t magic = kMagic;
  std::uint32_t facts_size = 0;
  std::uint32_t packed_size = 0;
  std::uint64_t facts_hash = 0;
  std::uint64_t packed_hash = 0;
};

struct Facts {
  KvKey key{};
  KvKey parent{};
  std::vector<std::string> documents;
};

// Parent and tokens first: get() compares them as they are.
std::string write_facts(const KvKey& parent, std::span<const TokenId> tokens, std::span<const std::string> documents) {
  std::string facts(parent.begin(), parent.end());
  const auto add = [&](std::uint32_t value) { facts.append(reinterpret_cast<const char*>(&value), sizeof(value)); };
  add(static_cast<std::uint32_t>(tokens.size()));
  for (const TokenId token : tokens) add(static_cast<std::uint32_t>(token));
  for (const std::string& document : documents) {
    add(static_cast<std::uint32_t>(document.size()));
    facts += document;
  }
  return facts;
}

std::optional<Facts> read_facts(std::string_view text) {
  const auto number = [&]() -> std::optional<std::uint32_t> {
    std::uint32_t value = 0;
    if (text.size() < sizeof(value)) return std::nullopt;
    std::memcpy(&value, text.data(), sizeof(value));
    text.remove_prefix(sizeof(value));
    return value;
  };
  Facts facts;
  if (text.size() < facts.parent.size()) return std::nullopt;
  std::memcpy(facts.parent.data(), text.data(), facts.parent.size());
  text.remove_prefix(facts.parent.size());
  const auto count = number();
  if (!count || *count > text.size() / sizeof(std::uint32_t)) return std::nullopt;
  std::vector<TokenId> tokens;
  for (std::uint32_t i = 0; i < *count; ++i) tokens.push_back(static_cast<TokenId>(*number()));
  facts.key = kv_key(facts.parent, tokens);
  while (!text.empty()) {
    const auto size = number();
    if (!size || *size > text.size()) return std::nullopt;
    facts.documents.emplace_back(text.substr(0, *size));
    text.remove_prefix(*size);
  }
  return facts;
}

bool read(std::istream& file, std::string& into, std::size_t size) {
  into.resize(size);
  return static_cast<bool>(file.read(into.data(), static_cast<std::streamsize>(size)));
}

// The header and the facts of a file whose size agrees with them.
std::optional<Header> open_record(std::ifstream& file, const fs::path& path, std::string& facts) {
  std::error_code error;
  const std::uint64_t size = fs::file_size(path, error);
  errno = 0;
  file.open(path, std::ios::binary);
  Header header;
  if (error || !file.read(reinterpret_cast<char*>(&header), sizeof(header))) return std::nullopt;
  if (header.magic != kMagic || header.facts_size > kMaxFacts) return std::nullopt;
  if (size != sizeof(header) + std::uint64_t{header.facts_size} + header.packed_size) return std::nullopt;
  if (!read(file, facts, header.facts_size)) return std::nullopt;
  if (XXH3_64bits(facts.data(), facts.size()) != header.facts_hash) return std::nullopt;
  return header;
}

}  // namespace

KvKey kv_root(std::string_view space) {
  return rag::Sha256::of(space);
}

KvKey kv_key(const KvKey& parent, std::span<const TokenId> tokens) {
  rag::Sha256 hash;
  hash.add(parent.data(), parent.size());
  hash.add(tokens.data(), tokens.size_bytes());
  return hash.finish();
}

Result<KvDisk> KvDisk::open(const fs::path& folder, std::uint64_t max_bytes) {
  std::error_code error;
  fs::create_directories(folder, error);
  if (!error) fs::permissions(folder, fs::perms::owner_all, error);
  const int lock = error ? -1 : ::open((folder / "lock").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (lock < 0)
    return Error{ErrorCode::internal,
                 fmt::format("cannot write in {}; set engine.kv_disk.path to a folder of this user", folder.string()),
                 "", 0};
  KvDisk disk(folder, max_bytes, lock);
  if (::flock(lock, LOCK_EX | LOCK_NB) != 0)
    return Error{ErrorCode::internal,
                 fmt::format("another engine has {}; give each its own engine.kv_disk.path", folder.string()), "", 0};
  disk.rebuild();
  return disk;
}

KvDisk::KvDisk(fs::path folder, std::uint64_t max_bytes, int lock)
    : folder_(std::move(folder)), max_bytes_(max_bytes), lock_(lock) {}

KvDisk::KvDisk(KvDisk&& other) noexcept
    : folder_(std::move(other.folder_)),
      max_bytes_(other.max_bytes_),
      lock_(std::exchange(other.lock_, -1)),
      index_(std::move(other.index_)),
      followers_(std::move(other.followers_)),
      leaves_(std::move(other.leaves_)),
      moment_(other.moment_),
      bytes_(other.bytes_),
      damaged_(other.damaged_) {}

KvDisk::~KvDisk() {
  if (lock_ >= 0) ::close(lock_);
}

fs::path KvDisk::path(const KvKey& key) const {
  return folder_ / fmt::format("{:02x}.kv", fmt::join(key, ""));
}

void KvDisk::rebuild() {
  std::vector<std::pair<fs::file_time_type, std::pair<KvKey, Entry>>> found;
  std::error_code error;
  for (fs::directory_iterator next(folder_, error); !error && next != fs::directory_iterator(); next.increment(error)) {
    const fs::directory_entry& file = *next;
    const bool leftover = file.path().extension() == ".tmp";
    if (!leftover && file.path().extension() != ".kv") continue;
    std::error_code ignored;
    std::ifstream stream;
    std::string text;
    const auto header = leftover ? std::nullopt : open_record(stream, file.path(), text);
    if (!leftover && !stream.is_open()) continue;  // for now it cannot be read
    auto facts = header ? read_facts(text) : std::nullopt;
    if (!facts || path(facts->key).filename() != file.path().filename()) {
      damaged_ += leftover ? 0 : 1;
      fs::remove(file.path(), ignored);
      continue;
    }
    const std::uint64_t size = sizeof(Header) + std::uint64_t{header->facts_size} + header->packed_size;
    found.push_back(
        {file.last_write_time(ignored), {facts->key, Entry{size, facts->parent, std::move(facts->documents)}}});
  }
  std::ranges::sort(found, {}, [](const auto& record) { return record.first; });
  for (auto& [time, record] : found) insert(record.first, std::move(record.second));
  make_room(0);
}

void KvDisk::insert(const KvKey& key, Entry entry) {
  entry.used = ++moment_;
  bytes_ += entry.bytes;
  if (const auto parent = index_.find(entry.parent); parent != index_.end())
    leaves_.erase({parent->second.used, parent->first});
  ++followers_[entry.parent];
  if (!followers_.contains(key)) leaves_.insert({entry.used, key});
  index_.insert({key, std::move(entry)});
}

void KvDisk::remove(Index::iterator entry) {
  const auto& [key, removed] = *entry;
  std::error_code ignored;
  fs::remove(path(key), ignored);
  bytes_ -= removed.bytes;
  leaves_.erase({removed.used, key});
  const auto siblings = followers_.find(removed.parent);
  if (--siblings->second == 0) {
    followers_.erase(siblings);
    if (const auto parent = index_.find(removed.parent); parent != index_.end()) {
      parent->second.used = std::max(parent->second.used, removed.used);
      leaves_.insert({parent->second.used, parent->first});
    }
  }
  index_.erase(entry);
}

void KvDisk::make_room(std::uint64_t bytes) {
  while (!leaves_.empty() && bytes_ + bytes > max_bytes_) remove(index_.find(leaves_.begin()->second));
}

void KvDisk::touch(const KvKey& key) {
  const auto entry = index_.find(key);
  if (entry == index_.end()) return;
  const bool leaf = leaves_.erase({entry->second.used, key}) > 0;
  entry->second.used = ++moment_;
  if (leaf) leaves_.insert({entry->second.used, key});
  std::error_code ignored;
  fs::last_write_time(path(key), fs::file_time_type::clock::now(), ignored);
}

bool KvDisk::put(const KvKey& parent, std::span<const TokenId> tokens, std::span<const std::string> documents,
                 std::span<const std::byte> values) {
  const KvKey key = kv_key(parent, tokens);
  std::vector<std::string> all(documents.begin(), documents.end());
  const auto known = index_.find(key);
  if (known != index_.end()) {
    const auto& before = known->second.documents;
    std::ranges::copy_if(before, std::back_inserter(all), [&](const std::string& document) {
      return std::ranges::find(documents, document) == documents.end();
    });
    if (all.size() == before.size()) {
      touch(key);
      return true;
    }
    remove(known);
  }
  const std::string facts = write_facts(parent, tokens, all);
  std::string packed(ZSTD_compressBound(values.size()), '\0');
  const std::size_t packed_size = ZSTD_compress(packed.data(), packed.size(), values.data(), values.size(), 1);
  if (ZSTD_isError(packed_size) != 0 || facts.size() > kMaxFacts) return false;
  packed.resize(packed_size);
  const std::uint64_t size = sizeof(Header) + facts.size() + packed.size();
  if (size > max_bytes_) return false;
  make_room(size);

  const Header header{kMagic, static_cast<std::uint32_t>(facts.size()), static_cast<std::uint32_t>(packed.size()),
                      XXH3_64bits(facts.data(), facts.size()), XXH3_64bits(packed.data(), packed.size())};
  const fs::path target = path(key);
  const fs::path temporary = fs::path(target).replace_extension(".tmp");
  std::error_code error;
  std::ofstream file(temporary, std::ios::binary | std::ios::trunc);
  file.write(reinterpret_cast<const char*>(&header), sizeof(header));
  file << facts << packed;
  file.close();
  if (file) fs::rename(temporary, target, error);
  if (!file || error) {
    fs::remove(temporary, error);
    return false;
  }
  insert(key, Entry{size, parent, std::move(all)});
  return true;
}

const std::vector<std::string>* KvDisk::get(const KvKey& parent, std::span<const TokenId> tokens,
                                            std::span<std::byte> values) {
  const KvKey key = kv_key(parent, tokens);
  const auto entry = index_.find(key);
  if (entry == index_.end()) return nullptr;
  std::ifstream file;
  std::string facts;
  std::string packed;
  const auto header = open_record(file, path(key), facts);
  if (!file.is_open() && errno != ENOENT) return nullptr;  // too many open files, say: it may be there next time
  const std::string expected = write_facts(parent, tokens, entry->second.documents);
  const bool sound = header && facts == expected && read(file, packed, header->packed_size) &&
                     XXH3_64bits(packed.data(), packed.size()) == header->packed_hash &&
                     ZSTD_decompress(values.data(), values.size(), packed.data(), packed.size()) == values.size();
  if (!sound) {
    ++damaged_;
    remove(entry);
    return nullptr;
  }
  return &entry->second.documents;
}

std::uint64_t KvDisk::invalidate(std::span<const std::string> documents) {
  std::uint64_t removed = 0;
  for (auto entry = index_.begin(); entry != index_.end();) {
    const auto here = entry++;
    const auto& keys = here->second.documents;
    if (std::find_first_of(keys.begin(), keys.end(), documents.begin(), documents.end()) == keys.end()) continue;
    remove(here);
    ++removed;
  }
  // A power cut must not bring them back.
  if (const int folder = removed > 0 ? ::open(folder_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1; folder >= 0) {
    ::fsync(folder);
    ::close(folder);
  }
  return removed;
}

}  // namespace kvasir::engine
