#include "embed/local_embedder.hpp"

#include "embed/bert_weights.hpp"
#include "embed/safetensors.hpp"

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

std::unique_ptr<LocalEmbedder> LocalEmbedder::open(const std::filesystem::path& folder, int threads,
                                                   std::string& error) {
  assert(threads >= 1);
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
  auto weights = load_bert_weights(*file, *config, error);
  if (!weights) {
    error = "cannot use " + path.string() + ": " + error;
    return nullptr;
  }
  std::string identity = config->name + "/sha256:" + sha256_prefix(file->file_bytes());
  return std::unique_ptr<LocalEmbedder>(
      new LocalEmbedder(std::move(identity), std::move(*tokenizer), std::move(*config), std::move(*weights), threads));
}

LocalEmbedder::LocalEmbedder(std::string identity, WordPiece tokenizer, BertConfig config, BertWeights weights,
                             int threads)
    : identity_(std::move(identity)),
      tokenizer_(std::move(tokenizer)),
      encoder_(std::move(config), std::move(weights), threads) {}

std::vector<TokenId> LocalEmbedder::tokenize(std::string_view text) const {
  return tokenizer_.encode(text, static_cast<std::size_t>(encoder_.config().max_tokens));
}

int LocalEmbedder::count_tokens(std::string_view text) const {
  return static_cast<int>(tokenize(text).size());
}

bool LocalEmbedder::sees_all(std::string_view text) const {
  const std::vector<TokenId> ids = tokenize(text);
  // A text that fills the limit may have been cut there.
  return static_cast<int>(ids.size()) < encoder_.config().max_tokens &&
         std::find(ids.begin(), ids.end(), tokenizer_.unknown()) == ids.end();
}

std::vector<float> LocalEmbedder::embed(std::span<const std::string_view> texts) {
  const auto dimension = static_cast<std::size_t>(encoder_.config().hidden);
  std::vector<float> vectors(texts.size() * dimension);
  float* out = vectors.data();
  std::vector<TokenId> ids;
  std::vector<int> lengths;
  const auto run = [&] {
    const std::lock_guard lock(mutex_);
    encoder_.encode(ids, lengths, out);
    out += lengths.size() * dimension;
    ids.clear();
    lengths.clear();
  };
  for (const std::string_view text : texts) {
    const std::vector<TokenId> tokens = tokenize(text);
    if (ids.size() + tokens.size() > BertEncoder::kMaxRows) run();
    ids.insert(ids.end(), tokens.begin(), tokens.end());
    lengths.push_back(static_cast<int>(tokens.size()));
  }
  if (!lengths.empty()) run();
  return vectors;
}

}  // namespace kvasir::embed
