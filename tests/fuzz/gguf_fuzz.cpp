// A model file is refused in one sentence, or all that it says lies inside of it. The input is a GGUF file.
#include "engine/model_file.hpp"
#include "engine/model_shape.hpp"
#include "tests/fuzz/memory_file.hpp"

namespace kvasir::engine {
namespace {

void use(std::string_view data) {
  const MemoryFile bytes(data);
  const auto file = ModelFile::open(bytes.path());
  if (!file) return must(!file.error().message.empty());
  std::size_t held = 0;
  unsigned sum = 0;
  for (const auto& [name, tensor] : file->tensors()) {
    must(file->tensor(name) == &tensor && tensor.name == name);
    held += tensor.data.size();
    for (const std::byte byte : tensor.data) sum += static_cast<unsigned>(byte);
  }
  // Tensors do not overlap. The sum is used, so that they are read.
  must(held <= data.size() && sum <= 255 * held);
  const auto shape = read_shape(*file);
  if (!shape) return must(!shape.error().message.empty());
  must(shape->layers > 0 && shape->hidden > 0 && shape->attention.heads > 0 && shape->attention.kv_heads > 0);
}

}  // namespace
}  // namespace kvasir::engine

KVASIR_FUZZ(kvasir::engine::use)
