// What a request wants its answer to look like, made into something that a sequence can follow.
#pragma once

#include "engine/engine.hpp"
#include "engine/error.hpp"
#include "engine/token_masks.hpp"
#include "engine/tool_calls.hpp"

#include <cstddef>
#include <functional>
#include <list>
#include <memory>
#include <mutex>
#include <string>

namespace kvasir::engine {

// Compiles formats for one vocabulary and keeps the latest, so that requests with the same schema share its masks. Any
// thread. Compiling is bounded in work and memory: a schema that is too large or too tangled is an error.
class OutputConstraints {
 public:
  explicit OutputConstraints(const Tokenizer& tokenizer);

  // Null for text without calls. Error: bad_request; the message names the keyword and its place in the schema.
  Result<std::shared_ptr<TokenConstraint>> of(const OutputFormat& format, const ToolUse& tools, ToolForm form);

 private:
  using Compile = std::function<Result<std::shared_ptr<const Grammar>>()>;
  struct Entry {
    std::string key;
    std::shared_ptr<TokenConstraint> constraint;
    std::size_t nodes = 0;
  };
  Result<std::shared_ptr<TokenConstraint>> find_or_make(std::string key, const Compile& compile);

  std::shared_ptr<const TokenTrie> trie_;
  std::mutex mutex_;
  std::list<Entry> entries_;  // the one used last in front
  std::size_t nodes_ = 0;
};

// The grammars themselves, for any vocabulary.
Result<std::shared_ptr<const Grammar>> format_grammar(const OutputFormat& format);
Result<std::shared_ptr<const Grammar>> tool_grammar(const OutputFormat& format, const ToolUse& tools, ToolForm form);

}  // namespace kvasir::engine
