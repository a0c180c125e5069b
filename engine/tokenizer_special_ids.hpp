// The tokens that a model file gives a meaning.
#pragma once

#include "engine/error.hpp"
#include "engine/model_file.hpp"
#include "engine/tokenizer_vocabulary.hpp"

#include <vector>

namespace kvasir::engine {

struct SpecialIds {  // -1: none
  TokenId bos = -1;
  TokenId eos = -1;
  TokenId unknown = -1;
  std::vector<TokenId> ends_generation = {};  // sorted

  // `defaults`: what a family takes for ids that the file does not give. Error: bad_model_file; the message does not
  // name the file.
  static Result<SpecialIds> from(const ModelFile& file, const Vocabulary& vocabulary, const SpecialIds& defaults);
};

}  // namespace kvasir::engine
