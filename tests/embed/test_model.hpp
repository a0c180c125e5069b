// Where the tests of embed/ find the real model, the shared texts and the golden files.
#pragma once

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

namespace kvasir::embed {

// The models' cache folder, as the scripts fill it.
inline std::filesystem::path minilm_folder() {
  const auto variable = [](const char* name) { return std::string(std::getenv(name) ? std::getenv(name) : ""); };
  std::filesystem::path models = variable("KVASIR_MODELS");
  if (models.empty()) {
    std::filesystem::path cache = variable("XDG_CACHE_HOME");
    if (cache.empty()) cache = std::filesystem::path(variable("HOME")) / ".cache";
    models = cache / "kvasir" / "models";
  }
  return models / "all-minilm-l6-v2";
}

inline bool has_minilm() {
  return std::filesystem::exists(minilm_folder() / "model.safetensors");
}

inline nlohmann::json golden(const std::string& name) {
  std::ifstream file(std::filesystem::path(KVASIR_SOURCE_DIR) / "tests" / "embed" / name);
  return nlohmann::json::parse(file);
}

inline std::filesystem::path xquad_file(const std::string& language) {
  const char* shared = std::getenv("KVASIR_SHARED");
  const auto root = shared ? std::filesystem::path(shared) : std::filesystem::path(KVASIR_SOURCE_DIR) / ".." / "shared";
  return root / "data" / "xquad" / ("xquad." + language + ".json");
}

// Every paragraph of XQuAD followed by its questions, in the file's order.
inline std::vector<std::string> xquad_texts(const std::string& language) {
  std::ifstream file(xquad_file(language));
  const auto data = nlohmann::json::parse(file);
  std::vector<std::string> texts;
  for (const auto& article : data["data"]) {
    for (const auto& paragraph : article["paragraphs"]) {
      texts.push_back(paragraph["context"]);
      for (const auto& question : paragraph["qas"]) texts.push_back(question["question"]);
    }
  }
  return texts;
}

}  // namespace kvasir::embed
