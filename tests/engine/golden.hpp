// A model with everything it needs to run a step.
#pragma once

#include "engine/step_runner.hpp"
#include "tests/test_files.hpp"

#include <memory>
#include <span>
#include <stdexcept>
#include <string>
#include <vector>

namespace kvasir::engine {

struct LoadedModel {
  std::unique_ptr<Model> model;
  KvStorage storage;
  kernels::ThreadPool threads{2};
  std::unique_ptr<StepRunner> runner;
  std::vector<kernels::BlockRef> table;
  std::vector<TokenId> in_kv;
  std::vector<LoraUse> lora;

  LoadedModel(const std::string& path, int blocks, const kernels::Kernels& kernels = kernels::best(),
              kernels::KvType type = kernels::KvType::f16) {
    auto file = ModelFile::open(path);
    if (!file) throw std::runtime_error(file.error().message);
    const auto shape = read_shape(*file);
    if (!shape) throw std::runtime_error(shape.error().message);
    auto loaded = Model::load(std::make_shared<const ModelFile>(std::move(*file)), *shape);
    if (!loaded) throw std::runtime_error(loaded.error().message);
    model = std::move(*loaded);
    auto memory = KvStorage::reserve(type, model->shape().layers, model->shape().attention, blocks);
    if (!memory) throw std::runtime_error(memory.error().message);
    storage = std::move(*memory);
    runner = std::make_unique<StepRunner>(*model, storage, threads, kernels);
    for (int i = 0; i < blocks; ++i) table.push_back({blocks - 1 - i, 0});
  }

  // Logits of every position.
  std::vector<float> all_logits(std::span<const TokenId> tokens) {
    std::vector<float> all;
    for (std::size_t i = 0; i < tokens.size(); ++i) {
      const auto logits = last_logits(tokens.first(i + 1));
      all.insert(all.end(), logits.begin(), logits.end());
    }
    return all;
  }

  // Logits after the last token; what an earlier call left in the KV is used where it is a prefix.
  std::span<const float> last_logits(std::span<const TokenId> tokens) {
    std::size_t same = 0;
    while (same < in_kv.size() && same + 1 < tokens.size() && in_kv[same] == tokens[same]) ++same;
    const Segment segment{tokens.subspan(same), static_cast<int>(same), table, 1, lora};
    in_kv.assign(tokens.begin(), tokens.end());
    return runner->run({&segment, 1});
  }
};

}  // namespace kvasir::engine
