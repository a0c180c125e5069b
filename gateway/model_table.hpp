// The models that are served, by the name that clients use.
#pragma once

#include "gateway/backend.hpp"
#include "gateway/money.hpp"

#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace kvasir::gateway {

class ModelTable {
 public:
  struct Model {
    std::string name;
    std::shared_ptr<Backend> backend;  // shared with the tables before and after a reload
    Price price = {};
    cache::DocumentMode documents = cache::DocumentMode::same;
  };

  ModelTable(std::vector<Model> models, std::string default_model)
      : models_(std::move(models)), default_(std::move(default_model)) {}

  // An empty name is the default model's. Null if unknown.
  const Model* find(std::string_view name) const {
    if (name.empty()) name = default_;
    for (const Model& model : models_) {
      if (model.name == name) return &model;
    }
    return nullptr;
  }
  const std::vector<Model>& all() const { return models_; }
  void close() const {
    for (const Model& model : models_) model.backend->close();
  }

 private:
  std::vector<Model> models_;
  std::string default_;
};

}  // namespace kvasir::gateway
