// all-MiniLM-L6-v2, another BERT sentence encoder of its kind, or multilingual-e5-small, in process.
#pragma once

#include "embed/bert_encoder.hpp"
#include "embed/embedder.hpp"
#include "embed/text_tokenizer.hpp"

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
  // sentence_bert_config.json; or a file of multilingual-e5-small (embed/e5_file.hpp). `threads` (at least 1) counts
  // the caller. On failure nullptr, and one sentence in `error`.
  static std::unique_ptr<LocalEmbedder> open(const std::filesystem::path& model, int threads, std::string& error,
                                             Precision precision = Precision::int8);

  // "NAME/int8/sha256:HEX" ("NAME/sha256:HEX" with f16), with the first 16 hex digits of the SHA-256 of
  // model.safetensors.
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
  static std::unique_ptr<LocalEmbedder> open_folder(const std::filesystem::path& folder, int threads,
                                                    std::string& error, Precision precision);
  static std::unique_ptr<LocalEmbedder> open_e5(const std::filesystem::path& path, int threads, std::string& error);
  LocalEmbedder(std::string identity, std::unique_ptr<const TextTokenizer> tokenizer, BertConfig config,
                BertWeights weights, int threads);
  Tokens read(std::string_view text) const;

  const std::string identity_;
  const std::unique_ptr<const TextTokenizer> tokenizer_;
  std::mutex mutex_;  // guards the encoder's working memory
  BertEncoder encoder_;
};

}  // namespace kvasir::embed
