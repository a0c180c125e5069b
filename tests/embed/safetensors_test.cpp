#include "embed/safetensors.hpp"

#include "tests/temporary_folder.hpp"

#include <cstdint>
#include <cstring>
#include <random>
#include <string>

#include <gtest/gtest.h>

namespace kvasir::embed {
namespace {

std::string file_of(std::string_view header, std::string_view data) {
  std::string file;
  for (int i = 0; i < 8; ++i) file += static_cast<char>(header.size() >> (8 * i) & 0xff);
  return file.append(header).append(data);
}

// Why a file with these bytes is refused; "" if it is not.
std::string refusal(std::string_view bytes) {
  const TemporaryFolder folder;
  std::string error;
  const auto opened = SafeTensors::open(folder.write("model.safetensors", bytes), error);
  EXPECT_EQ(opened.has_value(), error.empty());
  return error;
}

// The refusal of a header in front of eight bytes of data.
std::string refusal_of(std::string_view header) {
  return refusal(file_of(header, "12345678"));
}

void expect_says(const std::string& error, const std::string& words) {
  EXPECT_NE(error.find(words), std::string::npos) << "the error was: '" << error << "'";
}

TEST(SafeTensors, GivesTheShapeAndTheBytesOfEachTensor) {
  const TemporaryFolder folder;
  const auto path = folder.write(
      "m",
      file_of(
          R"({"__metadata__":{"format":"pt"},"b":{"dtype":"F16","shape":[2],"data_offsets":[8,12]},)"
          R"("a":{"dtype":"F32","shape":[1,2],"data_offsets":[0,8]},"c":{"dtype":"F32","shape":[0],"data_offsets":[12,12]}})",
          "aaaaAAAAbbBB"));
  std::string error;
  const auto file = SafeTensors::open(path, error);
  ASSERT_TRUE(file) << error;
  EXPECT_EQ(file->size(), 3U);

  const Tensor* a = file->find("a");
  ASSERT_NE(a, nullptr);
  EXPECT_EQ(a->dtype, "F32");
  EXPECT_EQ(a->shape, (std::vector<std::int64_t>{1, 2}));
  EXPECT_EQ(std::memcmp(a->bytes.data(), "aaaaAAAA", 8), 0);
  EXPECT_EQ(file->find("b")->bytes.size(), 4U);
  EXPECT_TRUE(file->find("c")->bytes.empty());
  EXPECT_EQ(file->find("d"), nullptr);
}

TEST(SafeTensors, RefusesAFileThatIsNotThereOrEmpty) {
  std::string error;
  EXPECT_FALSE(SafeTensors::open("/nonexistent/model.safetensors", error));
  expect_says(error, "cannot open /nonexistent/model.safetensors");
  expect_says(refusal(""), "is empty");
}

TEST(SafeTensors, RefusesAHeaderThatTheFileDoesNotHold) {
  const std::string whole = file_of(R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}})", "12345678");
  EXPECT_EQ(refusal(whole), "");
  for (std::size_t length = 1; length < whole.size(); ++length) {
    EXPECT_NE(refusal(whole.substr(0, length)), "") << "cut to " << length << " bytes";
  }
  expect_says(refusal(std::string(8, '\xff') + "{}"), "header is cut or too long");
  expect_says(refusal("1234567"), "cut before its header");
}

TEST(SafeTensors, RefusesAHeaderThatIsNoObjectOfTensors) {
  expect_says(refusal_of("[1,2]"), "not a JSON object");
  expect_says(refusal_of(R"({"a")"), "not a JSON object");
  expect_says(refusal_of(std::string(100'000, '[')), "nested too deeply");
  expect_says(refusal_of(R"({"a":3})"), "'a' has no dtype");
  expect_says(refusal_of(R"({"a":{"dtype":"Q9","shape":[2],"data_offsets":[0,8]}})"), "unknown dtype 'Q9'");
  expect_says(refusal_of(R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},)"
                         R"("a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}})"),
              "tensor 'a' twice");
}

TEST(SafeTensors, NeverGivesBytesOutsideADamagedFile) {
  const std::string whole = file_of(R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},)"
                                    R"("b":{"dtype":"F16","shape":[2],"data_offsets":[4,8]}})",
                                    "12345678");
  const TemporaryFolder folder;
  std::mt19937 random(1);
  for (int i = 0; i < 500; ++i) {
    std::string damaged = whole;
    for (auto changes = 1 + random() % 3; changes > 0; --changes) {
      damaged[random() % damaged.size()] = static_cast<char>(random());
    }
    std::string error;
    const auto file = SafeTensors::open(folder.write("m", damaged), error);
    EXPECT_EQ(file.has_value(), error.empty());
    if (!file) continue;
    for (const char* name : {"a", "b"}) {
      const Tensor* tensor = file->find(name);
      if (tensor == nullptr) continue;
      EXPECT_GE(tensor->bytes.data(), file->file_bytes().data());
      EXPECT_LE(tensor->bytes.data() + tensor->bytes.size(), file->file_bytes().data() + damaged.size());
    }
  }
}

TEST(SafeTensors, RefusesShapesThatAreNoShapes) {
  for (const char* shape : {"3", "[-1]", "[1.5]", "[\"2\"]", "null", "[4611686018427387904,4]",
                            "[18446744073709551615]", "[1,1,1,1,1,1,1,1,2]"}) {
    const std::string tensor = std::string(R"({"a":{"dtype":"F32","shape":)") + shape + R"(,"data_offsets":[0,8]}})";
    expect_says(refusal_of(tensor), "no sensible shape");
  }
}

TEST(SafeTensors, RefusesOffsetsThatDoNotMatchTheData) {
  const auto with_offsets = [](std::string_view offsets) {
    return refusal_of(std::string(R"({"a":{"dtype":"F32","shape":[2],"data_offsets":)").append(offsets).append("}}"));
  };
  EXPECT_EQ(with_offsets("[0,8]"), "");
  expect_says(with_offsets("[0,9]"), "outside the file");
  expect_says(with_offsets("[8,0]"), "outside the file");
  expect_says(with_offsets("[0]"), "outside the file");
  expect_says(with_offsets("[-8,0]"), "outside the file");
  expect_says(with_offsets("[0,18446744073709551615]"), "outside the file");
  expect_says(with_offsets("[0,4]"), "another size than its shape");
}

TEST(SafeTensors, RefusesTensorsThatOverlapOrLeaveGaps) {
  const auto two = [](std::string_view a, std::string_view b) {
    return refusal_of(std::string(R"({"a":{"dtype":"U8","shape":[4],"data_offsets":)")
                          .append(a)
                          .append(R"(},"b":{"dtype":"U8","shape":[4],"data_offsets":)")
                          .append(b)
                          .append("}}"));
  };
  EXPECT_EQ(two("[4,8]", "[0,4]"), "");
  expect_says(two("[0,4]", "[2,6]"), "overlap or leave gaps");
  expect_says(two("[0,4]", "[0,4]"), "overlap or leave gaps");
  expect_says(refusal_of(R"({"a":{"dtype":"U8","shape":[7],"data_offsets":[0,7]}})"), "overlap or leave gaps");
  expect_says(refusal_of(R"({"a":{"dtype":"U8","shape":[7],"data_offsets":[1,8]}})"), "overlap or leave gaps");
  expect_says(refusal_of("{}"), "overlap or leave gaps");
}

}  // namespace
}  // namespace kvasir::embed
