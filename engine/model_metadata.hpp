// Numbers of an architecture's metadata ("llama.block_count"), with one error for the first that is missing or absurd.
#pragma once

#include "engine/error.hpp"
#include "engine/model_file.hpp"

#include <cstdint>
#include <optional>
#include <string>

namespace kvasir::engine {

// "FILE: what"
Error bad_model(const ModelFile& file, const std::string& what);
Error unsupported_model(const ModelFile& file, const std::string& what);

class ModelMetadata {
 public:
  ModelMetadata(const ModelFile& file, std::string architecture)
      : file_(file), prefix_(std::move(architecture) + ".") {}

  // In [1, most], `absent` as well; without `absent` it must be there.
  int count(const std::string& key, std::int64_t most, std::optional<std::int64_t> absent = {});
  // In (0, most].
  double positive(const std::string& key, double most, std::optional<double> absent = {});
  const std::string* text(const std::string& key) const { return file_.text(prefix_ + key); }
  bool has(const std::string& key) const { return file_.number(prefix_ + key).has_value(); }

  const std::optional<Error>& error() const { return error_; }

 private:
  void fail(const std::string& key, bool missing);

  const ModelFile& file_;
  std::string prefix_;
  std::optional<Error> error_;
};

}  // namespace kvasir::engine
