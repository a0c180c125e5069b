// One process at a time: a lock that the operating system takes back when its holder dies, however it dies.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <utility>

namespace kvasir::cache {

class FileLock {
 public:
  // Nothing, and what is wrong in `error`, if another process holds the lock or the file cannot be made.
  static std::optional<FileLock> take(const std::filesystem::path& file, std::string& error);

  // Makes `folder` if need be, for its owner alone, and takes the lock in it.
  static std::optional<FileLock> take_folder(const std::filesystem::path& folder, std::string& error);

  FileLock(FileLock&& other) noexcept : descriptor_(std::exchange(other.descriptor_, -1)) {}
  FileLock& operator=(FileLock&& other) noexcept {
    std::swap(descriptor_, other.descriptor_);
    return *this;
  }
  ~FileLock();

 private:
  explicit FileLock(int descriptor) : descriptor_(descriptor) {}

  int descriptor_;
};

}  // namespace kvasir::cache
