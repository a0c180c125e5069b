#include "engine/lora_library.hpp"

#include <algorithm>
#include <bit>
#include <cstdint>

#include <fmt/core.h>

namespace kvasir::engine {

Result<LoraLibrary> LoraLibrary::load(std::span<const LoraSettings> settings, const Model& model) {
  LoraLibrary library;
  for (const LoraSettings& one : settings) {
    auto adapter = LoraAdapter::load(one.path, model);
    if (!adapter) return adapter.error();
    library.entries_.push_back({one.name, one.scale, std::move(*adapter)});
  }
  return library;
}

std::vector<std::string> LoraLibrary::names() const {
  std::vector<std::string> names;
  for (const Entry& entry : entries_) names.push_back(entry.name);
  return names;
}

Result<std::vector<LoraUse>> LoraLibrary::resolve(std::span<const LoraRequest> wanted) const {
  std::vector<LoraUse> uses;
  for (const LoraRequest& one : wanted) {
    const auto found =
        std::find_if(entries_.begin(), entries_.end(), [&](const Entry& entry) { return entry.name == one.name; });
    if (found == entries_.end())
      return Error{ErrorCode::bad_request, fmt::format("This model has no adapter '{}'.", one.name), "lora", 0};
    uses.push_back({found->adapter.get(), found->scale * one.scale});
  }
  return uses;
}

std::string lora_salt(std::span<const LoraRequest> wanted) {
  std::string salt;
  for (const LoraRequest& one : wanted)
    salt += fmt::format("\n{}:{}:{:08x}", one.name.size(), one.name, std::bit_cast<std::uint32_t>(one.scale));
  return salt;
}

}  // namespace kvasir::engine
