#include "engine/model_file.hpp"

#include "engine/model_file_parser.hpp"

#include <cerrno>
#include <cstring>
#include <system_error>
#include <utility>

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

namespace kvasir::engine {
namespace {

class FileDescriptor {
 public:
  explicit FileDescriptor(int number) : number_(number) {}
  FileDescriptor(const FileDescriptor&) = delete;
  FileDescriptor& operator=(const FileDescriptor&) = delete;
  ~FileDescriptor() {
    if (number_ >= 0) ::close(number_);
  }
  int number() const { return number_; }

 private:
  int number_;
};

// A file's bytes, read-only, until destruction.
class Mapping {
 public:
  Mapping() = default;
  Mapping(void* address, std::size_t bytes) : address_(address), bytes_(bytes) {}
  Mapping(Mapping&& other) noexcept
      : address_(std::exchange(other.address_, nullptr)), bytes_(std::exchange(other.bytes_, 0)) {}
  Mapping& operator=(Mapping&& other) noexcept {
    std::swap(address_, other.address_);
    std::swap(bytes_, other.bytes_);
    return *this;
  }
  ~Mapping() {
    if (address_ != nullptr) ::munmap(address_, bytes_);
  }
  std::span<const std::byte> bytes() const { return {static_cast<const std::byte*>(address_), bytes_}; }

 private:
  void* address_ = nullptr;
  std::size_t bytes_ = 0;
};

Error bad_file(const std::string& path, const std::string& message) {
  return {.code = ErrorCode::bad_model_file, .message = path + ": " + message, .param = {}};
}

Error system_failure(const std::string& path, const std::string& what) {
  return bad_file(path, what + ": " + std::generic_category().message(errno));
}

Result<Mapping> map(const std::string& path) {
  const FileDescriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));  // a FIFO would wait for a writer
  if (file.number() < 0) return system_failure(path, "cannot be opened");
  struct stat status {};
  if (::fstat(file.number(), &status) != 0) return system_failure(path, "cannot be read");
  if (!S_ISREG(status.st_mode)) return bad_file(path, "is not a regular file");
  if (status.st_size == 0) return Mapping();  // mmap refuses zero bytes; the parser says what is wrong
  const auto bytes = static_cast<std::size_t>(status.st_size);
  void* address = ::mmap(nullptr, bytes, PROT_READ, MAP_PRIVATE, file.number(), 0);
  if (address == MAP_FAILED) return system_failure(path, "cannot be mapped into memory");
  return Mapping(address, bytes);
}

}  // namespace

struct ModelFile::Impl {
  std::string path;
  Mapping mapping;
  ModelFileContent content;

  template <typename T>
  const T* get(std::string_view key) const {
    const auto found = content.metadata.find(key);
    return found == content.metadata.end() ? nullptr : std::get_if<T>(&found->second);
  }
};

ModelFile::ModelFile(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
ModelFile::ModelFile(ModelFile&&) noexcept = default;
ModelFile& ModelFile::operator=(ModelFile&&) noexcept = default;
ModelFile::~ModelFile() = default;

Result<ModelFile> ModelFile::open(const std::string& path) {
  Result<Mapping> mapping = map(path);
  if (!mapping) return std::move(mapping).error();
  Result<ModelFileContent> content = parse_model_file(mapping->bytes());
  if (!content) {
    Error error = content.error();
    error.message = path + ": " + error.message;
    return error;
  }
  return ModelFile(std::make_unique<Impl>(Impl{path, *std::move(mapping), *std::move(content)}));
}

const std::string& ModelFile::path() const {
  return impl_->path;
}

std::span<const std::byte> ModelFile::bytes() const {
  return impl_->mapping.bytes();
}

std::optional<std::int64_t> ModelFile::integer(std::string_view key) const {
  if (const auto* value = impl_->get<std::int64_t>(key)) return *value;
  const auto* value = impl_->get<std::uint64_t>(key);
  if (value == nullptr || !std::in_range<std::int64_t>(*value)) return std::nullopt;
  return static_cast<std::int64_t>(*value);
}

std::optional<double> ModelFile::number(std::string_view key) const {
  if (const auto* value = impl_->get<double>(key)) return *value;
  if (const auto* value = impl_->get<std::uint64_t>(key)) return static_cast<double>(*value);
  if (const auto* value = impl_->get<std::int64_t>(key)) return static_cast<double>(*value);
  return std::nullopt;
}

std::optional<bool> ModelFile::boolean(std::string_view key) const {
  const auto* value = impl_->get<bool>(key);
  return value == nullptr ? std::nullopt : std::optional(*value);
}

const std::string* ModelFile::text(std::string_view key) const {
  return impl_->get<std::string>(key);
}

const std::vector<std::string>* ModelFile::texts(std::string_view key) const {
  return impl_->get<std::vector<std::string>>(key);
}

const std::vector<std::int64_t>* ModelFile::integers(std::string_view key) const {
  return impl_->get<std::vector<std::int64_t>>(key);
}

const std::vector<double>* ModelFile::numbers(std::string_view key) const {
  return impl_->get<std::vector<double>>(key);
}

const Tensor* ModelFile::tensor(std::string_view name) const {
  const auto found = impl_->content.tensors.find(name);
  return found == impl_->content.tensors.end() ? nullptr : &found->second;
}

const std::map<std::string, Tensor, std::less<>>& ModelFile::tensors() const {
  return impl_->content.tensors;
}

}  // namespace kvasir::engine
