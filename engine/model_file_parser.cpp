#include "engine/model_file_parser.hpp"

#include "engine/model_file_types.hpp"

#include <algorithm>
#include <bit>
#include <cstring>
#include <limits>
#include <optional>
#include <type_traits>
#include <utility>

#include <fmt/core.h>

namespace kvasir::engine {
namespace {

static_assert(std::endian::native == std::endian::little, "GGUF is read in place and is little-endian");

constexpr std::uint64_t kMaxKeyBytes = 65535;
constexpr std::uint64_t kMaxNameBytes = 64;
// Decoded, an array takes up to eight times its bytes in the file. The largest vocabularies need some 40 MiB with their
// merges.
constexpr std::uint64_t kMaxMetadataBytes = std::uint64_t{64} << 20;
constexpr std::uint64_t kEntryBytes = 128;  // of a key and a value without what they hold, in a tree
constexpr std::uint64_t kDefaultAlignment = 32;
constexpr std::uint32_t kMaxRank = 4;

enum class ValueType : std::uint32_t { u8, i8, u16, i16, u32, i32, f32, boolean, string, array, u64, i64, f64 };

std::string printable(std::string_view name) {
  std::string text(name);
  std::replace_if(
      text.begin(), text.end(), [](char c) { return c < 0x20 || c > 0x7e; }, '?');
  return text;
}

// The smallest number of bytes that a value takes in the file.
std::uint64_t least_bytes(ValueType type) {
  switch (type) {
    case ValueType::u8:
    case ValueType::i8:
    case ValueType::boolean:
      return 1;
    case ValueType::u16:
    case ValueType::i16:
      return 2;
    case ValueType::u32:
    case ValueType::i32:
    case ValueType::f32:
      return 4;
    case ValueType::string:
    case ValueType::u64:
    case ValueType::i64:
    case ValueType::f64:
      return 8;
    case ValueType::array:
      return 12;
  }
  return 0;
}

std::optional<std::uint64_t> multiply(std::uint64_t a, std::uint64_t b) {
  std::uint64_t product = 0;
  if (__builtin_mul_overflow(a, b, &product)) return std::nullopt;
  return product;
}

// Reads from front to back. The first failure sticks: every reader returns false from then on.
class Parser {
 public:
  explicit Parser(std::span<const std::byte> bytes) : bytes_(bytes) {}

  Result<ModelFileContent> parse() {
    if (read_header() && read_metadata() && read_alignment() && read_tensor_infos() && place_tensors()) {
      return std::move(content_);
    }
    return std::move(error_);
  }

 private:
  struct PlacedTensor {
    Tensor tensor;
    std::uint64_t offset = 0;  // from the start of the tensor data
    std::uint64_t bytes = 0;
  };

  std::uint64_t remaining() const { return bytes_.size() - position_; }

  bool fail(std::string message, ErrorCode code = ErrorCode::bad_model_file) {
    error_ = {.code = code, .message = std::move(message), .param = {}};
    return false;
  }

  bool fail_cut(std::string_view what) {
    return fail(fmt::format("the file ends inside {}; the download is probably cut", what));
  }

  bool spend_metadata(const std::string& key, std::uint64_t count, std::uint64_t element_bytes) {
    const std::optional<std::uint64_t> bytes = multiply(count, element_bytes);
    if (!bytes || *bytes > metadata_bytes_left_) {
      return fail(fmt::format("the metadata up to {} takes more than {} MiB of memory", key, kMaxMetadataBytes >> 20));
    }
    metadata_bytes_left_ -= *bytes;
    return true;
  }

  template <typename T>
  bool read(T& value, std::string_view what) {
    static_assert(std::is_arithmetic_v<T>);
    if (remaining() < sizeof(T)) return fail_cut(what);
    std::memcpy(&value, bytes_.data() + position_, sizeof(T));
    position_ += sizeof(T);
    return true;
  }

  bool read_string(std::string& text, std::string_view what, std::uint64_t max_bytes) {
    std::uint64_t length = 0;
    if (!read(length, what)) return false;
    if (length > max_bytes)
      return fail(fmt::format("{} is {} bytes long; at most {} are valid", what, length, max_bytes));
    if (length > remaining()) return fail_cut(what);
    return take_string(text, length);
  }

  bool take_string(std::string& text, std::uint64_t length) {
    text.assign(reinterpret_cast<const char*>(bytes_.data() + position_), length);
    position_ += length;
    return true;
  }

  bool read_header() {
    if (bytes_.empty()) return fail("the file is empty and is not a GGUF file");
    if (remaining() < 4 || std::memcmp(bytes_.data(), "GGUF", 4) != 0) return fail("is not a GGUF file");
    position_ = 4;
    std::uint32_t version = 0;
    if (!read(version, "the header")) return false;
    if (version == 0x02000000 || version == 0x03000000) return fail("is a big-endian GGUF file; convert it");
    if (version != 2 && version != 3)
      return fail(fmt::format("is GGUF version {}; versions 2 and 3 are read", version));
    return read(tensor_count_, "the header") && read(metadata_count_, "the header");
  }

  bool read_metadata() {
    for (std::uint64_t i = 0; i < metadata_count_; ++i) {
      std::string key;
      if (!read_string(key, fmt::format("metadata key {} of {}", i + 1, metadata_count_), kMaxKeyBytes)) return false;
      if (key.empty()) return fail(fmt::format("metadata key {} is empty", i + 1));
      if (content_.metadata.contains(key)) return fail(fmt::format("metadata key {} stands twice", printable(key)));
      ModelFile::Value value;
      if (!spend_metadata(printable(key), 1, kEntryBytes + key.size()) || !read_value(printable(key), value))
        return false;
      content_.metadata.emplace(std::move(key), std::move(value));
    }
    return true;
  }

  bool read_type(const std::string& key, ValueType& type) {
    std::uint32_t number = 0;
    if (!read(number, key)) return false;
    if (number > static_cast<std::uint32_t>(ValueType::f64)) {
      return fail(fmt::format("metadata {} has the unknown value type {}", key, number));
    }
    type = static_cast<ValueType>(number);
    return true;
  }

  bool read_value(const std::string& key, ModelFile::Value& value) {
    ValueType type{};
    if (!read_type(key, type)) return false;
    switch (type) {
      case ValueType::boolean:
        return read_boolean(key, value);
      case ValueType::string:
        return read_text(key, value.emplace<std::string>());
      case ValueType::array:
        return read_array(key, value);
      case ValueType::u64:
        return read(value.emplace<std::uint64_t>(), key);
      case ValueType::f32:
      case ValueType::f64:
        return read_float(key, type, value.emplace<double>());
      default:
        return read_integer(key, type, value.emplace<std::int64_t>());
    }
  }

  bool read_text(const std::string& key, std::string& text) {
    std::uint64_t length = 0;
    if (!read(length, key)) return false;
    if (length > remaining()) return fail_cut(key);
    return spend_metadata(key, length, 1) && take_string(text, length);
  }

  bool read_boolean(const std::string& key, ModelFile::Value& value) {
    std::uint8_t byte = 0;
    if (!read(byte, key)) return false;
    if (byte > 1) return fail(fmt::format("metadata {} is a boolean with the value {}", key, byte));
    value = byte == 1;
    return true;
  }

  template <typename T, typename Wide>
  bool read_as(const std::string& key, Wide& value) {
    T narrow{};
    if (!read(narrow, key)) return false;
    value = static_cast<Wide>(narrow);
    return true;
  }

  bool read_float(const std::string& key, ValueType type, double& value) {
    return type == ValueType::f32 ? read_as<float>(key, value) : read(value, key);
  }

  bool read_integer(const std::string& key, ValueType type, std::int64_t& value) {
    switch (type) {
      case ValueType::u8:
      case ValueType::boolean:
        return read_as<std::uint8_t>(key, value);
      case ValueType::i8:
        return read_as<std::int8_t>(key, value);
      case ValueType::u16:
        return read_as<std::uint16_t>(key, value);
      case ValueType::i16:
        return read_as<std::int16_t>(key, value);
      case ValueType::u32:
        return read_as<std::uint32_t>(key, value);
      case ValueType::i32:
        return read_as<std::int32_t>(key, value);
      default:
        return read(value, key) && (type == ValueType::i64 || value >= 0 ||
                                    fail(fmt::format("metadata {} holds a number above 2^63", key)));
    }
  }

  bool read_array(const std::string& key, ModelFile::Value& value) {
    ValueType type{};
    std::uint64_t count = 0;
    if (!read_type(key, type) || !read(count, key)) return false;
    if (type == ValueType::array) return fail(fmt::format("metadata {} is an array of arrays", key));
    if (count > remaining() / least_bytes(type)) return fail_cut(fmt::format("the {} elements of {}", count, key));
    if (type == ValueType::string) {
      return read_elements(key, value.emplace<std::vector<std::string>>(), count,
                           [&](std::string& element) { return read_text(key, element); });
    }
    if (type == ValueType::f32 || type == ValueType::f64) {
      return read_elements(key, value.emplace<std::vector<double>>(), count,
                           [&](double& element) { return read_float(key, type, element); });
    }
    return read_elements(key, value.emplace<std::vector<std::int64_t>>(), count,
                         [&](std::int64_t& element) { return read_integer(key, type, element); });
  }

  template <typename T, typename ReadElement>
  bool read_elements(const std::string& key, std::vector<T>& elements, std::uint64_t count, ReadElement read_element) {
    if (!spend_metadata(key, count, sizeof(T))) return false;
    elements.resize(count);
    return std::all_of(elements.begin(), elements.end(), read_element);
  }

  bool read_alignment() {
    const auto found = content_.metadata.find("general.alignment");
    if (found == content_.metadata.end()) return true;
    const auto* value = std::get_if<std::int64_t>(&found->second);
    if (value == nullptr || *value <= 0 || *value % 8 != 0) {
      return fail("general.alignment is not a positive multiple of 8");
    }
    alignment_ = static_cast<std::uint64_t>(*value);
    return true;
  }

  bool read_tensor_infos() {
    for (std::uint64_t i = 0; i < tensor_count_; ++i) {
      PlacedTensor placed;
      if (!read_string(placed.tensor.name, fmt::format("the name of tensor {} of {}", i + 1, tensor_count_),
                       kMaxNameBytes) ||
          !read_tensor_info(placed)) {
        return false;
      }
      placed_.push_back(std::move(placed));
    }
    return true;
  }

  bool read_tensor_info(PlacedTensor& placed) {
    const std::string what = "tensor " + printable(placed.tensor.name);
    if (placed.tensor.name.empty()) return fail("a tensor has no name");
    std::uint32_t rank = 0;
    if (!read(rank, what)) return false;
    if (rank == 0 || rank > kMaxRank) return fail(fmt::format("{} has {} dimensions; 1 to 4 are valid", what, rank));
    for (std::uint32_t d = 0; d < rank; ++d) {
      if (!read(placed.tensor.shape[d], what)) return false;
      if (placed.tensor.shape[d] == 0) return fail(fmt::format("{} has a dimension of zero elements", what));
    }
    return read(placed.tensor.type, what) && read(placed.offset, what) && size_tensor(what, placed);
  }

  bool size_tensor(const std::string& what, PlacedTensor& placed) {
    const TensorFormat* format = tensor_format(placed.tensor.type);
    if (format == nullptr) {
      return fail(fmt::format("{} has the unknown type {}; convert the model to Q8_0 or F16", what, placed.tensor.type),
                  ErrorCode::unsupported_model);
    }
    const auto& shape = placed.tensor.shape;
    if (shape[0] % format->block_elements != 0) {
      return fail(fmt::format("{} has rows of {} elements; {} needs a multiple of {}", what, shape[0], format->name,
                              format->block_elements));
    }
    std::optional<std::uint64_t> bytes = multiply(shape[0] / format->block_elements, format->block_bytes);
    std::optional<std::uint64_t> elements = shape[0];
    for (std::size_t d = 1; d < shape.size(); ++d) {
      if (bytes) bytes = multiply(*bytes, shape[d]);
      if (elements) elements = multiply(*elements, shape[d]);
    }
    if (!bytes || !elements) return fail(fmt::format("{} has more elements than can be addressed", what));
    placed.bytes = *bytes;
    return true;
  }

  bool place_tensors() {
    const std::uint64_t padding = (alignment_ - position_ % alignment_) % alignment_;
    data_start_ = position_ + padding;
    for (PlacedTensor& placed : placed_) {
      if (!place(placed)) return false;
    }
    return check_overlap() && index_tensors();
  }

  bool place(PlacedTensor& placed) {
    const std::string name = printable(placed.tensor.name);
    if (placed.offset % alignment_ != 0) {
      return fail(fmt::format("tensor {} starts at offset {}, which is not a multiple of the alignment {}", name,
                              placed.offset, alignment_));
    }
    const std::uint64_t available = data_start_ < bytes_.size() ? bytes_.size() - data_start_ : 0;
    if (placed.offset > available || placed.bytes > available - placed.offset) {
      std::uint64_t end = 0;
      if (__builtin_add_overflow(placed.offset, placed.bytes, &end)) {
        return fail(fmt::format("tensor {} has an offset that cannot be addressed", name));
      }
      return fail(fmt::format("tensor {} ends {} bytes after the end of the file; the download is probably cut", name,
                              end - available));
    }
    placed.tensor.data = bytes_.subspan(data_start_ + placed.offset, placed.bytes);
    return true;
  }

  bool check_overlap() {
    std::vector<const PlacedTensor*> order;
    for (const PlacedTensor& placed : placed_) order.push_back(&placed);
    std::sort(order.begin(), order.end(), [](const auto* a, const auto* b) { return a->offset < b->offset; });
    for (std::size_t i = 1; i < order.size(); ++i) {
      if (order[i - 1]->offset + order[i - 1]->bytes > order[i]->offset) {
        return fail(fmt::format("tensors {} and {} overlap", printable(order[i - 1]->tensor.name),
                                printable(order[i]->tensor.name)));
      }
    }
    return true;
  }

  bool index_tensors() {
    for (PlacedTensor& placed : placed_) {
      std::string name = placed.tensor.name;
      const auto [where, added] = content_.tensors.try_emplace(std::move(name), std::move(placed.tensor));
      if (!added) return fail(fmt::format("tensor {} stands twice", printable(where->first)));
    }
    return true;
  }

  std::span<const std::byte> bytes_;
  std::uint64_t position_ = 0;
  std::uint64_t tensor_count_ = 0;
  std::uint64_t metadata_count_ = 0;
  std::uint64_t metadata_bytes_left_ = kMaxMetadataBytes;
  std::uint64_t alignment_ = kDefaultAlignment;
  std::uint64_t data_start_ = 0;
  std::vector<PlacedTensor> placed_;
  ModelFileContent content_;
  Error error_;
};

}  // namespace

Result<ModelFileContent> parse_model_file(std::span<const std::byte> bytes) {
  return Parser(bytes).parse();
}

}  // namespace kvasir::engine
