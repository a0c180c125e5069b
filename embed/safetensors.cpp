#include "embed/safetensors.hpp"

#include <algorithm>
#include <cerrno>
#include <limits>
#include <set>
#include <system_error>
#include <utility>

#include <fcntl.h>
#include <nlohmann/json.hpp>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

namespace kvasir::embed {
namespace {

using Json = nlohmann::json;

constexpr std::size_t kLengthBytes = 8;
constexpr std::uint64_t kMaxHeader = 100'000'000;  // the format's own limit
constexpr int kMaxDepth = 3;                       // tensors ▸ tensor ▸ shape
constexpr std::size_t kMaxDimensions = 8;

class FileDescriptor {
 public:
  explicit FileDescriptor(int fd) : fd_(fd) {}
  ~FileDescriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  FileDescriptor(const FileDescriptor&) = delete;
  FileDescriptor& operator=(const FileDescriptor&) = delete;
  int get() const { return fd_; }

 private:
  int fd_;
};

std::string last_system_error() {
  return std::generic_category().message(errno);
}

// Bytes of one element, 0 for a dtype the format does not have.
std::uint64_t element_bytes(std::string_view dtype) {
  static constexpr std::pair<std::string_view, std::uint64_t> kSizes[] = {
      {"BOOL", 1}, {"U8", 1},  {"I8", 1},  {"F8_E4M3", 1}, {"F8_E5M2", 1}, {"I16", 2}, {"U16", 2}, {"F16", 2},
      {"BF16", 2}, {"I32", 4}, {"U32", 4}, {"F32", 4},     {"I64", 8},     {"U64", 8}, {"F64", 8}};
  const auto* found = std::ranges::find(kSizes, dtype, &std::pair<std::string_view, std::uint64_t>::first);
  return found == std::end(kSizes) ? 0 : found->second;
}

std::uint64_t read_length(std::span<const std::byte> bytes) {
  std::uint64_t length = 0;
  for (std::size_t i = kLengthBytes; i-- > 0;) length = length << 8 | std::to_integer<std::uint64_t>(bytes[i]);
  return length;
}

// The header as JSON, or a discarded value with `error` set. A name that occurs twice is an error: readers would
// disagree on which tensor it means.
Json parse_header(std::string_view text, std::string& error) {
  std::set<std::string> names;
  const auto check = [&](int depth, Json::parse_event_t event, Json& value) {
    if (depth > kMaxDepth) error = "its header is nested too deeply";
    if (depth == 1 && event == Json::parse_event_t::key && !names.insert(value.get<std::string>()).second) {
      error = "its header has tensor '" + value.get<std::string>() + "' twice";
    }
    return error.empty();
  };
  Json header = Json::parse(text.begin(), text.end(), check, false);
  if (!error.empty()) return Json(Json::value_t::discarded);
  if (!header.is_object()) {
    error = "its header is not a JSON object";
    return Json(Json::value_t::discarded);
  }
  return header;
}

// The elements of `list` as non-negative integers, or nothing.
std::optional<std::vector<std::uint64_t>> unsigned_list(const Json& entry, const char* key) {
  const auto list = entry.find(key);
  if (list == entry.end() || !list->is_array()) return std::nullopt;
  std::vector<std::uint64_t> numbers;
  for (const Json& number : *list) {
    if (!number.is_number_unsigned()) return std::nullopt;
    numbers.push_back(number.get<std::uint64_t>());
  }
  return numbers;
}

// `element` × the product of `shape`, or nothing if that is no 63-bit number.
std::optional<std::uint64_t> tensor_bytes(std::uint64_t element, const std::vector<std::uint64_t>& shape) {
  constexpr auto kLimit = static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max());
  std::uint64_t total = element;
  for (const std::uint64_t dimension : shape) {
    if (dimension > kLimit || (dimension != 0 && total > kLimit / dimension)) return std::nullopt;
    total *= dimension;
  }
  return total;
}

// One entry of the header, or nothing with the reason in `error`.
std::optional<Tensor> read_tensor(const Json& entry, std::span<const std::byte> data, std::string& error) {
  if (!entry.is_object() || !entry.contains("dtype") || !entry["dtype"].is_string()) {
    error = "has no dtype";
    return std::nullopt;
  }
  Tensor tensor{.dtype = entry["dtype"].get<std::string>(), .shape = {}, .bytes = {}};
  const std::uint64_t element = element_bytes(tensor.dtype);
  if (element == 0) {
    error = "has the unknown dtype '" + tensor.dtype + "'";
    return std::nullopt;
  }
  const auto shape = unsigned_list(entry, "shape");
  const auto bytes = shape && shape->size() <= kMaxDimensions ? tensor_bytes(element, *shape) : std::nullopt;
  if (!bytes) {
    error = "has no sensible shape";
    return std::nullopt;
  }
  const auto offsets = unsigned_list(entry, "data_offsets");
  if (!offsets || offsets->size() != 2 || (*offsets)[0] > (*offsets)[1] || (*offsets)[1] > data.size()) {
    error = "lies outside the file";
    return std::nullopt;
  }
  if ((*offsets)[1] - (*offsets)[0] != *bytes) {
    error = "has another size than its shape";
    return std::nullopt;
  }
  tensor.shape.assign(shape->begin(), shape->end());
  tensor.bytes = data.subspan((*offsets)[0], *bytes);
  return tensor;
}

// True if the tensors cover `data` exactly: sorted by address, each begins where the one before ends.
template <typename Tensors>
bool covers(const Tensors& tensors, std::span<const std::byte> data) {
  std::vector<std::span<const std::byte>> parts;
  for (const auto& [name, tensor] : tensors) parts.push_back(tensor.bytes);
  std::ranges::sort(parts, {}, [](const auto& part) { return std::pair(part.data(), part.size()); });
  const std::byte* end = data.data();
  for (const auto& part : parts) {
    if (part.data() != end) return false;
    end += part.size();
  }
  return end == data.data() + data.size();
}

}  // namespace

std::optional<MappedFile> MappedFile::open(const std::filesystem::path& path, std::string& error) {
  const FileDescriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  struct stat status {};
  if (file.get() < 0 || ::fstat(file.get(), &status) != 0) {
    error = "cannot open " + path.string() + ": " + last_system_error();
    return std::nullopt;
  }
  if (!S_ISREG(status.st_mode) || status.st_size <= 0) {
    error = path.string() + " is empty or not a regular file";
    return std::nullopt;
  }
  const auto size = static_cast<std::size_t>(status.st_size);
  void* address = ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, file.get(), 0);
  if (address == MAP_FAILED) {
    error = "cannot map " + path.string() + ": " + last_system_error();
    return std::nullopt;
  }
  return MappedFile({static_cast<const std::byte*>(address), size});
}

MappedFile::MappedFile(MappedFile&& other) noexcept : bytes_(std::exchange(other.bytes_, {})) {}

MappedFile::~MappedFile() {
  if (!bytes_.empty()) ::munmap(const_cast<std::byte*>(bytes_.data()), bytes_.size());
}

std::optional<SafeTensors> SafeTensors::open(const std::filesystem::path& path, std::string& error) {
  auto file = MappedFile::open(path, error);
  if (!file) return std::nullopt;
  const auto refuse = [&](const std::string& reason) {
    error = path.string() + " is not a usable safetensors file: " + reason;
    return std::nullopt;
  };

  const std::span<const std::byte> bytes = file->bytes();
  if (bytes.size() < kLengthBytes) return refuse("it is cut before its header");
  const std::uint64_t length = read_length(bytes);
  if (length > kMaxHeader || length > bytes.size() - kLengthBytes) return refuse("its header is cut or too long");

  const auto* text = reinterpret_cast<const char*>(bytes.data()) + kLengthBytes;
  std::string reason;
  const Json header = parse_header({text, length}, reason);
  if (header.is_discarded()) return refuse(reason);

  const auto data = bytes.subspan(kLengthBytes + length);
  Tensors tensors;
  for (const auto& [name, entry] : header.items()) {
    if (name == "__metadata__") continue;
    auto tensor = read_tensor(entry, data, reason);
    if (!tensor) return refuse(std::string("tensor '").append(name).append("' ").append(reason));
    tensors.emplace(name, std::move(*tensor));
  }
  if (!covers(tensors, data)) return refuse("its tensors overlap or leave gaps");
  return SafeTensors(std::move(*file), std::move(tensors));
}

std::vector<std::string_view> SafeTensors::names() const {
  std::vector<std::string_view> names;
  for (const auto& [name, tensor] : tensors_) names.push_back(name);
  return names;
}

const Tensor* SafeTensors::find(std::string_view name) const {
  const auto found = tensors_.find(name);
  return found == tensors_.end() ? nullptr : &found->second;
}

}  // namespace kvasir::embed
