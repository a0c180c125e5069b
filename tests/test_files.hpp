// Where tests find the data and models that lie outside the project. Either may be absent: skip then.
#pragma once

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

namespace kvasir {

// The folder of golden values and corpora; KVASIR_SHARED names its parent.
inline std::filesystem::path shared_data() {
  const char* shared = std::getenv("KVASIR_SHARED");
  return std::filesystem::path(shared != nullptr ? shared : KVASIR_SOURCE_DIR "/../shared") / "data";
}

// A model in the cache folder that deploy/fetch_models.sh fills.
inline std::filesystem::path model_path(const std::string& name) {
  if (const char* models = std::getenv("KVASIR_MODELS")) return std::filesystem::path(models) / name;
  const char* cache = std::getenv("XDG_CACHE_HOME");
  const char* home = std::getenv("HOME");
  const std::filesystem::path base =
      cache != nullptr ? std::filesystem::path(cache) : std::filesystem::path(home != nullptr ? home : ".") / ".cache";
  return base / "kvasir" / "models" / name;
}

inline constexpr const char* kSmolLm2 = "smollm2-135m-instruct-q4_1.gguf";

// These two are fetched for tests only (deploy/fetch_models.sh --tests).
inline constexpr const char* kGemma3 = "tests/gemma-3-270m-q4_k_m.gguf";
inline constexpr const char* kQwen25Coder = "tests/qwen2.5-coder-0.5b-instruct-q4_k_m.gguf";

inline std::string read_bytes(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

}  // namespace kvasir
