#define XXH_INLINE_ALL
#include "engine/engine.hpp"

#include "engine/chat_defaults.hpp"
#include "engine/llm_engine.hpp"
#include "engine/memory_limit.hpp"
#include "rag/sha256.hpp"

#include <algorithm>
#include <filesystem>
#include <optional>
#include <string>

#include <fmt/format.h>
#include <xxhash.h>

namespace kvasir::engine {
namespace {

// `name`: of the template; empty: the file's own.
Result<ChatTemplate> read_chat_template(const ModelFile& file, const Tokenizer& tokenizer, std::string_view name) {
  const auto piece = [&](TokenId token) { return token < 0 ? std::string() : std::string(tokenizer.piece(token)); };
  const std::string_view source = name.empty() ? *file.text("tokenizer.chat_template") : chat_template_source(name);
  if (source.empty())
    return Error{ErrorCode::bad_request, "there is no chat template '" + std::string(name) + "'", "chat_template", 0};
  return ChatTemplate::parse(source, piece(tokenizer.bos()), piece(tokenizer.eos()));
}

// `draft`: what the draft model's KV takes, 0 if there is none.
std::optional<Error> check_memory(std::uint64_t kv_memory, std::uint64_t draft) {
  const std::uint64_t available = available_memory();
  if (kv_memory <= available && draft <= available - kv_memory) return std::nullopt;
  const auto mebibytes = [](std::uint64_t bytes) { return std::to_string(bytes >> 20) + " MiB"; };
  const std::string beside = draft == 0 ? "" : " and the draft model's KV takes " + mebibytes(draft) + " more";
  return Error{ErrorCode::bad_request,
               "kv_memory is " + mebibytes(kv_memory) + beside + ", but only " + mebibytes(available) +
                   " of memory are available; lower kv_memory",
               "kv_memory", 0};
}

}  // namespace

Result<std::unique_ptr<Engine>> Engine::load(const EngineSettings& settings) {
  auto opened = ModelFile::open(settings.gguf);
  if (!opened) return opened.error();
  const auto file = std::make_shared<const ModelFile>(std::move(*opened));
  LoadedFiles files;
  auto tokenizer = Tokenizer::from(*file);
  if (!tokenizer) return tokenizer.error();
  files.tokenizer = std::move(*tokenizer);
  files.chat_name = settings.chat_template;
  if (files.chat_name.empty() && file->text("tokenizer.chat_template") == nullptr)
    files.chat_name = default_chat_template(*file, *files.tokenizer);
  auto chat = read_chat_template(*file, *files.tokenizer, files.chat_name);
  if (!chat) return chat.error();
  files.chat = std::make_unique<ChatTemplate>(std::move(*chat));
  files.constraints = std::make_unique<OutputConstraints>(*files.tokenizer);
  auto shape = read_shape(*file);
  if (!shape) return shape.error();
  const std::uint64_t per_block = KvStorage::bytes_per_block(settings.kv_type, shape->layers, shape->attention);
  const std::uint64_t blocks = std::min<std::uint64_t>(settings.kv_memory / per_block, 1U << 24);
  if (blocks < 4)
    return Error{ErrorCode::bad_request,
                 "kv_memory is too small: a block of 16 tokens takes " + std::to_string(per_block) +
                     " bytes and 4 are the least",
                 "kv_memory", 0};
  std::optional<DraftSource> draft_source;
  if (!settings.draft.empty()) {
    auto opened_draft = open_draft(settings.draft);
    if (!opened_draft) return opened_draft.error();
    draft_source = std::move(*opened_draft);
  }
  const std::uint64_t draft_memory = draft_source ? blocks * draft_source->bytes_per_block() : 0;
  if (const auto error = check_memory(settings.kv_memory, draft_memory)) return *error;
  if (settings.max_context > 0) shape->context = std::min(shape->context, settings.max_context);
  shape->context =
      static_cast<int>(std::min<std::uint64_t>(static_cast<std::uint64_t>(shape->context), blocks * kernels::kKvBlock));
  auto model = Model::load(file, *shape);
  if (!model) return model.error();
  files.model = std::move(*model);
  auto lora = LoraLibrary::load(settings.lora, *files.model);
  if (!lora) return lora.error();
  files.lora = std::move(*lora);
  if (files.tokenizer->size() > files.model->shape().vocabulary)
    return Error{ErrorCode::bad_model_file, settings.gguf + ": the tokenizer has more tokens than the model", "", 0};
  if (draft_source) {
    auto draft = load_draft(*draft_source, *files.tokenizer, shape->context, static_cast<int>(blocks));
    if (!draft) return draft.error();
    files.draft = std::move(*draft);
  }
  if (!settings.kv_disk.empty()) {
    // A folder of its own for each model: their bounds are apart.
    const auto name = rag::Sha256::of(std::filesystem::absolute(settings.gguf).string());
    auto disk = KvDisk::open(std::filesystem::path(settings.kv_disk) /
                                 fmt::format("{:02x}{:02x}{:02x}{:02x}", name[0], name[1], name[2], name[3]),
                             settings.kv_disk_size);
    if (!disk) return disk.error();
    files.disk.emplace(std::move(*disk));
    files.weights_hash = XXH3_64bits(file->bytes().data(), file->bytes().size());
  }
  auto storage = KvStorage::reserve(settings.kv_type, shape->layers, shape->attention, static_cast<int>(blocks));
  if (!storage) return storage.error();
  return std::unique_ptr<Engine>(
      std::make_unique<LlmEngine>(settings, std::move(files), std::move(*storage), static_cast<int>(blocks)));
}

}  // namespace kvasir::engine
