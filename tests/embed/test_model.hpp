// Where the tests of embed/ find the real model, the shared texts and the golden files.
#pragma once

#include "tests/test_files.hpp"

#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

namespace kvasir::embed {

inline std::filesystem::path minilm_folder() {
  return model_path("all-minilm-l6-v2");
}

inline bool has_minilm() {
  return std::filesystem::exists(minilm_folder() / "model.safetensors");
}

inline nlohmann::json golden(const std::string& name) {
  std::ifstream file(std::filesystem::path(KVASIR_SOURCE_DIR) / "tests" / "embed" / name);
  return nlohmann::json::parse(file);
}

inline std::filesystem::path xquad_file(const std::string& language) {
  return shared_data() / "xquad" / ("xquad." + language + ".json");
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
