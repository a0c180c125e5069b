#include "cache/file_lock.hpp"

#include <cerrno>
#include <cstring>

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

namespace kvasir::cache {

std::optional<FileLock> FileLock::take(const std::filesystem::path& file, std::string& error) {
  FileLock lock(::open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  if (lock.descriptor_ >= 0 && ::flock(lock.descriptor_, LOCK_EX | LOCK_NB) == 0) return lock;
  error = errno == EWOULDBLOCK ? "another process is using it" : std::strerror(errno);
  return std::nullopt;
}

std::optional<FileLock> FileLock::take_folder(const std::filesystem::path& folder, std::string& error) {
  std::error_code code;
  // Answers are nobody else's business.
  if (std::filesystem::create_directories(folder, code)) {
    std::filesystem::permissions(folder, std::filesystem::perms::owner_all, code);
  }
  if (!code) return take(folder / "lock", error);
  error = code.message();
  return std::nullopt;
}

FileLock::~FileLock() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

}  // namespace kvasir::cache
