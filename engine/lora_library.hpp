// The adapters that an engine has, by name.
#pragma once

#include "engine/engine.hpp"
#include "engine/lora.hpp"

#include <memory>
#include <span>
#include <string>
#include <vector>

namespace kvasir::engine {

// Immutable after load; any thread.
class LoraLibrary {
 public:
  // Errors: those of LoraAdapter::load.
  static Result<LoraLibrary> load(std::span<const LoraSettings> settings, const Model& model);

  std::vector<std::string> names() const;
  // In the same order. Error: bad_request, for a name that is not known.
  Result<std::vector<LoraUse>> resolve(std::span<const LoraRequest> wanted) const;

 private:
  struct Entry {
    std::string name;
    float scale;
    std::unique_ptr<LoraAdapter> adapter;
  };
  std::vector<Entry> entries_;
};

// What tells the KV of one choice of adapters from that of another: their names, order and scales. Empty for none.
std::string lora_salt(std::span<const LoraRequest> wanted);

}  // namespace kvasir::engine
