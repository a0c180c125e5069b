// A model file's tokenizer is refused, or tokenises anything: ids are of its vocabulary, and they say whole characters.
// The input is a text, a zero byte, and a GGUF file.
#include "engine/tokenizer.hpp"
#include "engine/tokenizer_utf8.hpp"
#include "tests/fuzz/memory_file.hpp"

namespace kvasir::engine {
namespace {

void check_whole_characters(std::string_view text) {
  while (!text.empty()) {
    const Utf8Character next = decode_utf8(text);
    must(next.status == Utf8Status::valid);
    text.remove_prefix(next.bytes);
  }
}

void use(std::string_view data) {
  const std::size_t end = data.find('\0');
  if (end == data.npos) return;
  const MemoryFile bytes(data.substr(end + 1));
  const auto file = ModelFile::open(bytes.path());
  if (!file) return must(!file.error().message.empty());
  const auto read = Tokenizer::from(*file);
  if (!read) return must(!read.error().message.empty());
  const Tokenizer& tokenizer = **read;
  for (const bool parse_special : {false, true}) {
    Detokenizer detokenizer(tokenizer, Detokenizer::Of::text);
    for (const TokenId token : tokenizer.encode(data.substr(0, end), parse_special)) {
      must(token >= 0 && token < tokenizer.size());
      check_whole_characters(detokenizer.push(token));
    }
    check_whole_characters(detokenizer.finish());
  }
}

}  // namespace
}  // namespace kvasir::engine

KVASIR_FUZZ(kvasir::engine::use)
