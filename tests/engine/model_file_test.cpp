// Model files, whole, cut, forged and real.
#include "engine/model_file.hpp"

#include "engine/model_file_parser.hpp"
#include "tests/test_files.hpp"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <random>
#include <string>
#include <type_traits>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

namespace kvasir::engine {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

// Writes GGUF byte by byte, so that every field can be wrong.
class GgufWriter {
 public:
  template <typename T>
  GgufWriter& number(T value) {
    static_assert(std::is_arithmetic_v<T>);
    const auto* first = reinterpret_cast<const char*>(&value);
    bytes_.append(first, sizeof(T));
    return *this;
  }
  GgufWriter& string(std::string_view text) {
    number(static_cast<std::uint64_t>(text.size()));
    bytes_.append(text);
    return *this;
  }
  GgufWriter& header(std::uint64_t tensors, std::uint64_t metadata, std::uint32_t version = 3) {
    bytes_.append("GGUF");
    return number(version).number(tensors).number(metadata);
  }
  template <typename T>
  GgufWriter& entry(std::string_view key, std::uint32_t type, T value) {
    return string(key).number(type).number(value);
  }
  GgufWriter& text(std::string_view key, std::string_view value) { return string(key).number(8U).string(value); }
  GgufWriter& array(std::string_view key, std::uint32_t type, std::uint64_t count) {
    return string(key).number(9U).number(type).number(count);
  }
  GgufWriter& tensor(std::string_view name, std::vector<std::uint64_t> shape, std::uint32_t type,
                     std::uint64_t offset) {
    string(name).number(static_cast<std::uint32_t>(shape.size()));
    for (const std::uint64_t dimension : shape) number(dimension);
    return number(type).number(offset);
  }
  GgufWriter& data(std::size_t bytes, std::size_t alignment = 32) {
    bytes_.resize((bytes_.size() + alignment - 1) / alignment * alignment, '\0');
    bytes_.append(bytes, 'd');
    return *this;
  }
  const std::string& bytes() const { return bytes_; }

 private:
  std::string bytes_;
};

constexpr std::uint32_t kF32 = 0;
constexpr std::uint32_t kQ8_0 = 8;

Result<ModelFileContent> parse(const std::string& bytes) {
  return parse_model_file(std::as_bytes(std::span(bytes)));
}

std::string failure(const std::string& bytes) {
  const auto parsed = parse(bytes);
  return parsed ? "parsed" : parsed.error().message;
}

GgufWriter small_file() {
  GgufWriter file;
  file.header(2, 5).text("general.architecture", "llama");
  file.entry("llama.block_count", 4, std::uint32_t{2}).entry("llama.eps", 6, 0.5F);
  file.array("tokens", 8, 2).string("a").string("b").array("types", 5, 2).number(1).number(-3);
  file.tensor("weight", {32, 2}, kQ8_0, 0).tensor("norm", {4}, kF32, 96).data(96 + 16);
  return file;
}

class TemporaryFile {
 public:
  explicit TemporaryFile(const std::string& bytes) {
    path_ =
        std::filesystem::temp_directory_path() / ("kvasir_model_file_test_" + std::to_string(std::random_device{}()));
    std::ofstream(path_, std::ios::binary) << bytes;
  }
  TemporaryFile(const TemporaryFile&) = delete;
  TemporaryFile& operator=(const TemporaryFile&) = delete;
  ~TemporaryFile() { std::filesystem::remove(path_); }
  std::string path() const { return path_.string(); }

 private:
  std::filesystem::path path_;
};

TEST(ModelFile, GivesMetadataOfEveryWidthAndTensorsInPlace) {
  const TemporaryFile saved(small_file().bytes());
  const auto file = ModelFile::open(saved.path());
  ASSERT_TRUE(file) << file.error().message;
  EXPECT_EQ(*file->text("general.architecture"), "llama");
  EXPECT_EQ(file->integer("llama.block_count"), 2);
  EXPECT_EQ(file->number("llama.block_count"), 2.0);
  EXPECT_EQ(file->number("llama.eps"), 0.5);
  EXPECT_THAT(*file->texts("tokens"), ElementsAre("a", "b"));
  EXPECT_THAT(*file->integers("types"), ElementsAre(1, -3));
  const Tensor* weight = file->tensor("weight");
  ASSERT_NE(weight, nullptr);
  EXPECT_EQ(weight->elements(), 64U);
  EXPECT_EQ(weight->data.size(), 68U);
  EXPECT_EQ(file->tensor("norm")->data[0], std::byte{'d'});
}

TEST(ModelFile, AValueOfAnotherKindIsAbsent) {
  const TemporaryFile saved(small_file().bytes());
  const auto file = ModelFile::open(saved.path());
  ASSERT_TRUE(file) << file.error().message;
  EXPECT_EQ(file->integer("llama.eps"), std::nullopt);
  EXPECT_EQ(file->integer("general.architecture"), std::nullopt);
  EXPECT_EQ(file->boolean("llama.block_count"), std::nullopt);
  EXPECT_EQ(file->text("llama.block_count"), nullptr);
  EXPECT_EQ(file->numbers("types"), nullptr);
  EXPECT_EQ(file->integer("nothing"), std::nullopt);
  EXPECT_EQ(file->tensor("nothing"), nullptr);
}

TEST(ModelFile, ErrorsNameTheFile) {
  const TemporaryFile saved("<!DOCTYPE html><html>404</html>");
  EXPECT_EQ(ModelFile::open(saved.path()).error().message, saved.path() + ": is not a GGUF file");
  EXPECT_EQ(ModelFile::open("no/such.gguf").error().message,
            "no/such.gguf: cannot be opened: No such file or directory");
  EXPECT_THAT(ModelFile::open(std::filesystem::temp_directory_path()).error().message,
              HasSubstr("is not a regular file"));
  const TemporaryFile empty("");
  EXPECT_THAT(ModelFile::open(empty.path()).error().message, HasSubstr("is not a GGUF file"));
}

TEST(ModelFile, APipeIsRefusedAndNotWaitedFor) {
  const auto path = std::filesystem::temp_directory_path() / ("kvasir_pipe_" + std::to_string(std::random_device{}()));
  ASSERT_EQ(::mkfifo(path.c_str(), 0600), 0);
  const auto file = ModelFile::open(path);
  std::filesystem::remove(path);
  ASSERT_FALSE(file);
  EXPECT_EQ(file.error().message, path.string() + ": is not a regular file");
}

TEST(ModelFile, OtherFormatsAndVersionsAreRefused) {
  const std::string safetensors = std::string("\x08\0\0\0\0\0\0\0", 8) + "{}      ";
  EXPECT_EQ(failure(safetensors), "is not a GGUF file");
  EXPECT_EQ(failure(GgufWriter().header(0, 0, 1).bytes()), "is GGUF version 1; versions 2 and 3 are read");
  EXPECT_EQ(failure(GgufWriter().header(0, 0, 4).bytes()), "is GGUF version 4; versions 2 and 3 are read");
  EXPECT_THAT(failure(GgufWriter().header(0, 0, 0x03000000).bytes()), HasSubstr("big-endian"));
  EXPECT_EQ(failure(GgufWriter().header(0, 0, 2).bytes()), "parsed");
}

TEST(ModelFile, CountsBeyondTheFileAreRefusedBeforeAnythingIsAllocated) {
  constexpr std::uint64_t kHuge = ~std::uint64_t{0};
  EXPECT_THAT(failure(GgufWriter().header(kHuge, 0).bytes()), HasSubstr("the file ends inside"));
  EXPECT_THAT(failure(GgufWriter().header(0, kHuge).bytes()), HasSubstr("the file ends inside"));
  EXPECT_EQ(failure(GgufWriter().header(0, 1).array("a", 8, kHuge).bytes()),
            "the file ends inside the 18446744073709551615 elements of a; the download is probably cut");
  EXPECT_THAT(failure(GgufWriter().header(0, 1).number(kHuge).bytes()), HasSubstr("at most 65535"));
  EXPECT_THAT(failure(GgufWriter().header(0, 1).string("a").number(8U).number(kHuge).bytes()),
              HasSubstr("ends inside a"));
}

TEST(ModelFile, MetadataThatGrowsTooLargeInMemoryIsRefused) {
  const auto with_arrays = [](std::uint32_t type, std::uint64_t count, std::size_t element_bytes, int arrays) {
    GgufWriter file;
    file.header(0, static_cast<std::uint64_t>(arrays));
    for (int i = 0; i < arrays; ++i) {
      file.array(std::string(static_cast<std::size_t>(i) + 1, 'a'), type, count).data(count * element_bytes, 1);
    }
    std::string bytes = file.bytes();
    std::replace(bytes.begin(), bytes.end(), 'd', '\0');  // zeros: false, and strings without text
    return failure(bytes);
  };
  constexpr std::uint64_t kMillion = 1'000'000;
  EXPECT_EQ(with_arrays(0, 7 * kMillion, 1, 1), "parsed");
  EXPECT_EQ(with_arrays(0, 9 * kMillion, 1, 1), "the metadata up to a takes more than 64 MiB of memory");
  EXPECT_EQ(with_arrays(7, 4 * kMillion, 1, 3), "the metadata up to aaa takes more than 64 MiB of memory");
  EXPECT_EQ(with_arrays(8, kMillion, 8, 3), "the metadata up to aaa takes more than 64 MiB of memory");
  EXPECT_EQ(with_arrays(8, kMillion, 8, 2), "parsed");
}

TEST(ModelFile, MetadataThatContradictsItselfIsRefused) {
  EXPECT_EQ(failure(GgufWriter().header(0, 2).entry("a", 4, 1U).entry("a", 4, 1U).bytes()),
            "metadata key a stands twice");
  EXPECT_EQ(failure(GgufWriter().header(0, 1).entry("a", 99, 1U).bytes()), "metadata a has the unknown value type 99");
  EXPECT_EQ(failure(GgufWriter().header(0, 1).entry("a", 7, std::uint8_t{2}).bytes()),
            "metadata a is a boolean with the value 2");
  EXPECT_EQ(failure(GgufWriter().header(0, 1).array("a", 9, 0).bytes()), "metadata a is an array of arrays");
  for (const std::uint32_t alignment : {0U, 4U, 33U}) {
    EXPECT_EQ(failure(GgufWriter().header(0, 1).entry("general.alignment", 4, alignment).bytes()),
              "general.alignment is not a positive multiple of 8");
  }
}

TEST(ModelFile, TensorsMustHaveAShapeAndAKnownType) {
  const auto with = [](std::vector<std::uint64_t> shape, std::uint32_t type) {
    return failure(GgufWriter().header(1, 0).tensor("w", std::move(shape), type, 0).data(256).bytes());
  };
  EXPECT_EQ(with({4, 2}, kF32), "parsed");
  EXPECT_EQ(with({4, 0}, kF32), "tensor w has a dimension of zero elements");
  EXPECT_EQ(with({}, kF32), "tensor w has 0 dimensions; 1 to 4 are valid");
  EXPECT_EQ(with({1, 1, 1, 1, 1}, kF32), "tensor w has 5 dimensions; 1 to 4 are valid");
  EXPECT_EQ(with({33}, kQ8_0), "tensor w has rows of 33 elements; Q8_0 needs a multiple of 32");
  EXPECT_EQ(with({1ULL << 32, 1ULL << 32}, kF32), "tensor w has more elements than can be addressed");
  EXPECT_EQ(with({4}, 77), "tensor w has the unknown type 77; convert the model to Q8_0 or F16");
}

TEST(ModelFile, TensorDataMustLieInTheFileAlignedAndApart) {
  const auto with = [](std::uint64_t first, std::uint64_t second, std::size_t bytes) {
    GgufWriter file;
    file.header(2, 0).tensor("a", {16}, kF32, first).tensor("b", {16}, kF32, second);
    return failure(file.data(bytes).bytes());
  };
  EXPECT_EQ(with(0, 64, 128), "parsed");
  EXPECT_EQ(with(64, 0, 128), "parsed");
  EXPECT_EQ(with(0, 64, 100), "tensor b ends 28 bytes after the end of the file; the download is probably cut");
  EXPECT_EQ(with(0, 32, 128), "tensors a and b overlap");
  EXPECT_EQ(with(0, 0, 128), "tensors a and b overlap");
  EXPECT_EQ(with(0, 65, 256), "tensor b starts at offset 65, which is not a multiple of the alignment 32");
  EXPECT_EQ(with(0, ~std::uint64_t{31}, 128), "tensor b has an offset that cannot be addressed");
}

TEST(ModelFile, TheFilesOwnAlignmentIsUsed) {
  GgufWriter file;
  file.header(1, 1).entry("general.alignment", 4, 8U).tensor("a", {2}, kF32, 8).data(16, 8);
  EXPECT_EQ(failure(file.bytes()), "parsed");
}

TEST(ModelFile, TensorNamesAreUnique) {
  GgufWriter file;
  file.header(2, 0).tensor("a", {8}, kF32, 0).tensor("a", {8}, kF32, 32).data(64);
  EXPECT_EQ(failure(file.bytes()), "tensor a stands twice");
}

TEST(ModelFile, UnprintableNamesDoNotReachTheTerminal) {
  EXPECT_EQ(failure(GgufWriter().header(0, 1).entry("\x1b[2J", 99, 1U).bytes()),
            "metadata ?[2J has the unknown value type 99");
}

TEST(ModelFile, CutAtAnyByteItIsRefused) {
  const std::string whole = small_file().bytes();
  ASSERT_EQ(failure(whole), "parsed");
  for (std::size_t length = 0; length < whole.size(); ++length) {
    EXPECT_FALSE(parse(whole.substr(0, length))) << "cut to " << length << " of " << whole.size();
  }
}

// What parses must be safe to use: every byte of every tensor can be read.
std::uint64_t touch(const ModelFileContent& content) {
  std::uint64_t sum = 0;
  for (const auto& [name, tensor] : content.tensors) {
    sum += static_cast<std::uint64_t>(tensor.data.front()) + static_cast<std::uint64_t>(tensor.data.back());
  }
  return sum;
}

TEST(ModelFile, WithRandomBytesChangedItIsRefusedOrSafe) {
  std::mt19937 random(20240607);
  const std::string whole = small_file().bytes();
  int refused = 0;
  for (int round = 0; round < 20000; ++round) {
    std::string changed = whole;
    for (int flips = 1 + static_cast<int>(random() % 3); flips > 0; --flips) {
      changed[random() % changed.size()] = static_cast<char>(random() % 256);
    }
    const auto parsed = parse(changed);
    if (parsed) {
      touch(*parsed);
    } else {
      ++refused;
      EXPECT_FALSE(parsed.error().message.empty());
    }
  }
  EXPECT_GT(refused, 0);
}

TEST(ModelFile, GoldenTinyModelsOfAllTensorTypesAreRead) {
  const auto folder = shared_data() / "engine_golden" / "tiny";
  if (!std::filesystem::exists(folder)) GTEST_SKIP() << folder << " is not there";
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    if (entry.path().extension() != ".gguf") continue;
    const auto file = ModelFile::open(entry.path());
    ASSERT_TRUE(file) << file.error().message;
    EXPECT_FALSE(file->tensors().empty()) << entry.path();
    EXPECT_NE(file->text("general.architecture"), nullptr) << entry.path();
  }
}

TEST(ModelFile, AGoldenModelCutOrChangedAnywhereIsRefusedOrSafe) {
  const auto path = shared_data() / "engine_golden" / "tiny" / "tiny_llama_q4_1.gguf";
  if (!std::filesystem::exists(path)) GTEST_SKIP() << path << " is not there";
  const std::string whole = read_bytes(path);
  ASSERT_TRUE(parse(whole));
  for (std::size_t length = 0; length < whole.size(); length += 977) {
    EXPECT_FALSE(parse(whole.substr(0, length))) << "cut to " << length;
  }
  std::mt19937 random(7);
  std::string changed = whole;
  for (int round = 0; round < 500; ++round) {
    const std::size_t at = random() % 24000;
    const char before = std::exchange(changed[at], static_cast<char>(random() % 256));
    if (const auto parsed = parse(changed)) touch(*parsed);
    changed[at] = before;
  }
}

TEST(ModelFile, SmolLM2IsRead) {
  const auto path = model_path(kSmolLm2);
  if (!std::filesystem::exists(path)) GTEST_SKIP() << "no model at " << path << "; deploy/fetch_models.sh brings it";
  const auto file = ModelFile::open(path);
  ASSERT_TRUE(file) << file.error().message;
  EXPECT_EQ(*file->text("general.architecture"), "llama");
  EXPECT_EQ(file->integer("llama.block_count"), 30);
  EXPECT_EQ(file->texts("tokenizer.ggml.tokens")->size(), 49152U);
  EXPECT_EQ(file->tensor("blk.29.ffn_up.weight")->elements(), 576U * 1536U);
}

}  // namespace
}  // namespace kvasir::engine
