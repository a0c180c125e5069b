// The shape of a BERT encoder, as its folder describes it.
#pragma once

#include <filesystem>
#include <optional>
#include <string>

namespace kvasir::embed {

struct BertConfig {
  std::string name;  // of the model, for people
  int layers = 0;
  int hidden = 0;  // width of a token's vector, a multiple of 16 and of `heads`
  int heads = 0;
  int ffn = 0;  // width inside the feed-forward block
  int vocabulary = 0;
  int positions = 0;
  int segments = 0;    // embeddings of text A, text B, …; only the first is used
  int max_tokens = 0;  // a text is cut there; [CLS] and [SEP] count
  float epsilon = 0;   // of the layer norms

  int head_dim() const { return hidden / heads; }
};

// Reads config.json and, where there is one, sentence_bert_config.json (max_seq_length; else 256 tokens). On failure
// nothing, and one sentence in `error`.
std::optional<BertConfig> read_bert_config(const std::filesystem::path& folder, std::string& error);

}  // namespace kvasir::embed
