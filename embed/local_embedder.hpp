// all-MiniLM-L6-v2, or another BERT sentence encoder of its kind, in process.
#pragma once

#include "embed/bert_encoder.hpp"
#include "embed/embedder.hpp"
#include "embed/wordpiece.hpp"

#include <filesystem>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace kvasir::embed {

// Callers from several threads take turns, one batch of rows at a time; each batch runs on all threads of the embedder.
class LocalEmbedder final : public Embedder {
 public:
  // Opens a folder as sentence-transformers publishes it: config.json, vocab.txt, model.safetensors and, optionally,
  // sentence_bert_config.json. `threads` (at least 1) counts the caller. On failure nullptr, and one sentence in
  // `error`.
  static std::unique_ptr<LocalEmbedder> open(const std::filesystem::path& folder, int threads, std::string& error);

  // "NAME/sha256:HEX", with the first 16 hex digits of the SHA-256 of model.safetensors.
  const std::string& identity() const override { return identity_; }
  int dimension() const override { return encoder_.config().hidden; }
  bool sees_all(std::string_view text) const override;
  std::vector<float> embed(std::span<const std::string_view> texts) override;
  int max_tokens() const override { return encoder_.config().max_tokens; }
  Tokens tokenize(std::string_view text) const override;
  Tokens complete(std::span<const TokenId> ids) const override;
  std::vector<float> embed_tokens(std::span<const Tokens> inputs) override;

  // Tokens of a text as `embed` sees them, cut at the model's limit: what `usage.prompt_tokens` counts. Thread safe.
  int count_tokens(std::string_view text) const;

 private:
  LocalEmbedder(std::string identity, WordPiece tokenizer, BertConfig config, BertWeights weights, int threads);
  Tokens read(std::string_view text) const;

  const std::string identity_;
  const WordPiece tokenizer_;
  std::mutex mutex_;  // guards the encoder's working memory
  BertEncoder encoder_;
};

}  // namespace kvasir::embed
