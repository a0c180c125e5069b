// Blocks of the KV cache in a folder, one file each, for as long as the folder lasts.
//
//   KEY.kv:  header | parent's key, tokens, documents | keys and values in all layers, zstd
//
// Nothing read is trusted: both parts have a checksum, and parent and tokens are compared. A file that fails is removed
// and counted. A file appears whole, by rename; what a crash left of one is removed at the next start. Used by one
// thread; one process at a time has the folder, which only its user may read.
#pragma once

#include "engine/error.hpp"
#include "engine/tokenizer.hpp"
#include "rag/sha256.hpp"

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace kvasir::engine {

// Names a block by everything its values depend on: SHA-256 over its parent's key and its tokens.
using KvKey = rag::Sha256::Digest;

// What stands for the parent of a prompt's first block. `space` tells apart models, KV types, adapters and tenants.
KvKey kv_root(std::string_view space);
KvKey kv_key(const KvKey& parent, std::span<const TokenId> tokens);

class KvDisk {
 public:
  // Error: internal, if the folder cannot be made or read, or another engine has it.
  static Result<KvDisk> open(const std::filesystem::path& folder, std::uint64_t max_bytes);
  KvDisk(KvDisk&& other) noexcept;
  KvDisk& operator=(KvDisk&&) = delete;
  ~KvDisk();

  // Writes one block, dropping those unused for longest to make room, none before those that follow it. `documents`:
  // all that begin in its prefix, itself included; a block that is there already gets those that it lacks. False: it
  // was not written, for the disk is full or it is larger than the bound.
  bool put(const KvKey& parent, std::span<const TokenId> tokens, std::span<const std::string> documents,
           std::span<const std::byte> values);
  // Reads one block into `values`, which has its exact size. Its documents, until the next call; null: it is not there,
  // or was damaged and is gone now.
  const std::vector<std::string>* get(const KvKey& parent, std::span<const TokenId> tokens,
                                      std::span<std::byte> values);
  // This block, and with it those before it, have been of use.
  void touch(const KvKey& key);
  // Removes every block whose prefix has one of these documents, for good. Returns how many.
  std::uint64_t invalidate(std::span<const std::string> documents);

  std::uint64_t bytes() const { return bytes_; }
  std::size_t blocks() const { return index_.size(); }
  std::uint64_t damaged() const { return damaged_; }

 private:
  struct Entry {
    std::uint64_t bytes = 0;
    KvKey parent{};
    std::vector<std::string> documents;
    std::uint64_t used = 0;  // a moment
  };
  using Index = std::map<KvKey, Entry>;

  KvDisk(std::filesystem::path folder, std::uint64_t max_bytes, int lock);
  void rebuild();
  std::filesystem::path path(const KvKey& key) const;
  void insert(const KvKey& key, Entry entry);
  void remove(Index::iterator entry);
  void make_room(std::uint64_t bytes);

  std::filesystem::path folder_;
  std::uint64_t max_bytes_;
  int lock_;
  Index index_;
  std::map<KvKey, int> followers_;                    // how many blocks have this parent, which may be missing
  std::set<std::pair<std::uint64_t, KvKey>> leaves_;  // by last use; blocks that none follows
  std::uint64_t moment_ = 0;
  std::uint64_t bytes_ = 0;
  std::uint64_t damaged_ = 0;
};

}  // namespace kvasir::engine
