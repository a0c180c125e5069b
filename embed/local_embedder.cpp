#include "embed/local_embedder.hpp"

#include "embed/bert_weights.hpp"
#include "embed/e5_file.hpp"
#include "embed/safetensors.hpp"
#include "embed/wordpiece.hpp"

#include <algorithm>
#include <cassert>
#include <cstddef>
#include <utility>

#include <openssl/evp.h>

namespace kvasir::embed {
namespace {

constexpr std::size_t kIdentityBytes = 8;

std::string sha256_prefix(std::span<const std::byte> bytes) {
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned int length = 0;
  [[maybe_unused]] const int done = EVP_Digest(bytes.data(), bytes.size(), digest, &length, EVP_sha256(), nullptr);
  assert(done == 1 && length >= kIdentityBytes);
  std::string hex;
  for (std::size_t i = 0; i < kIdentityBytes; ++i) {
    hex += "0123456789abcdef"[digest[i] >> 4];
    hex += "0123456789abcdef"[digest[i] & 0xf];
  }
  return hex;
}

}  // namespace

std::unique_ptr<LocalEmbedder> LocalEmbedder::open(const std::filesystem::path& model, int threads, std::string& error,
                                                   Precision precision) {
  assert(threads >= 1);
  std::error_code ignored;
  if (std::filesystem::is_regular_file(model, ignored)) return open_e5(model, threads, error);
  return open_folder(model, threads, error, precision);
}

std::unique_ptr<LocalEmbedder> LocalEmbedder::open_e5(const std::filesystem::path& path, int threads,
                                                      std::string& error) {
  const auto file = MappedFile::open(path, error);
  if (!file) return nullptr;
  auto model = read_e5(file->bytes(), error);
  if (!model) {
    error = "cannot use " + path.string() + " as a model of the E5S1 format: " + error;
    return nullptr;
  }
  model->config.max_tokens = std::min(model->config.max_tokens, BertEncoder::kMaxRows);
  auto tokenizer = std::make_unique<Unigram>(model->vocabulary, "query: ");
  std::string identity = model->config.name + "/q4/sha256:" + sha256_prefix(file->bytes());
  return std::unique_ptr<LocalEmbedder>(new LocalEmbedder(
      std::move(identity), std::move(tokenizer), std::move(model->config), std::move(model->weights), threads));
}

std::unique_ptr<LocalEmbedder> LocalEmbedder::open_folder(const std::filesystem::path& folder, int threads,
                                                          std::string& error, Precision precision) {
  auto config = read_bert_config(folder, error);
  if (!config) return nullptr;
  config->max_tokens = std::min(config->max_tokens, BertEncoder::kMaxRows);

  const auto vocabulary = folder / "vocab.txt";
  auto tokenizer = WordPiece::open(vocabulary, error);
  if (!tokenizer) return nullptr;
  if (tokenizer->size() > static_cast<std::size_t>(config->vocabulary)) {
    error = vocabulary.string() + " has more pieces than the model's vocab_size";
    return nullptr;
  }

  const auto path = folder / "model.safetensors";
  const auto file = SafeTensors::open(path, error);
  if (!file) return nullptr;
  auto weights = load_bert_weights(*file, *config, precision, error);
  if (!weights) {
    error = "cannot use " + path.string() + ": " + error;
    return nullptr;
  }
  std::string identity =
      config->name + (precision == Precision::int8 ? "/int8" : "") + "/sha256:" + sha256_prefix(file->file_bytes());
  return std::unique_ptr<LocalEmbedder>(new LocalEmbedder(std::move(identity),
                                                          std::make_unique<WordPiece>(std::move(*tokenizer)),
                                                          std::move(*config), std::move(*weights), threads));
}

LocalEmbedder::LocalEmbedder(std::string identity, std::unique_ptr<const TextTokenizer> tokenizer, BertConfig config,
                             BertWeights weights, int threads)
    : identity_(std::move(identity)),
      tokenizer_(std::move(tokenizer)),
      encoder_(std::move(config), std::move(weights), threads) {}

// What the encoder sees of a text: cut at its limit.
LocalEmbedder::Tokens LocalEmbedder::read(std::string_view text) const {
  return tokenizer_->encode(text, static_cast<std::size_t>(max_tokens()));
}

LocalEmbedder::Tokens LocalEmbedder::tokenize(std::string_view text) const {
  return tokenizer_->encode(text, static_cast<std::size_t>(max_tokens()) + 1);
}

LocalEmbedder::Tokens LocalEmbedder::complete(std::span<const TokenId> ids) const {
  const auto known = [&](TokenId id) { return id >= 0 && static_cast<std::size_t>(id) < tokenizer_->size(); };
  if (!std::all_of(ids.begin(), ids.end(), known)) return {};
  Tokens tokens;
  tokens.reserve(ids.size() + 2);
  if (ids.empty() || ids.front() != tokenizer_->begin()) tokens.push_back(tokenizer_->begin());
  tokens.insert(tokens.end(), ids.begin(), ids.end());
  if (tokens.back() != tokenizer_->end()) tokens.push_back(tokenizer_->end());
  return tokens;
}

int LocalEmbedder::count_tokens(std::string_view text) const {
  return static_cast<int>(read(text).size());
}

bool LocalEmbedder::sees_all(std::string_view text) const {
  const Tokens ids = read(text);
  // A text that fills the limit may have been cut there.
  return static_cast<int>(ids.size()) < max_tokens() &&
         std::find(ids.begin(), ids.end(), tokenizer_->unknown()) == ids.end();
}

std::vector<float> LocalEmbedder::embed(std::span<const std::string_view> texts) {
  std::vector<Tokens> inputs;
  inputs.reserve(texts.size());
  for (const std::string_view text : texts) inputs.push_back(read(text));
  return embed_tokens(inputs);
}

std::vector<float> LocalEmbedder::embed_tokens(std::span<const Tokens> inputs) {
  const auto dimension = static_cast<std::size_t>(encoder_.config().hidden);
  std::vector<float> vectors(inputs.size() * dimension);
  float* out = vectors.data();
  Tokens ids;
  std::vector<int> lengths;
  const auto run = [&] {
    const std::lock_guard lock(mutex_);
    encoder_.encode(ids, lengths, out);
    out += lengths.size() * dimension;
    ids.clear();
    lengths.clear();
  };
  for (const Tokens& tokens : inputs) {
    if (ids.size() + tokens.size() > BertEncoder::kMaxRows) run();
    ids.insert(ids.end(), tokens.begin(), tokens.end());
    lengths.push_back(static_cast<int>(tokens.size()));
  }
  if (!lengths.empty()) run();
  return vectors;
}

}  // namespace kvasir::embed
