// What tests of grammars share: texts against grammars, and random answers.
#pragma once

#include "engine/output_constraints.hpp"
#include "tests/test_files.hpp"

#include <memory>
#include <random>
#include <stdexcept>
#include <string>
#include <string_view>

namespace kvasir::engine {

inline std::shared_ptr<const Grammar> schema_grammar(std::string_view schema) {
  auto grammar = format_grammar({OutputFormat::Kind::json_schema, std::string(schema)});
  if (!grammar) throw std::runtime_error(grammar.error().message);
  return *grammar;
}

// The refusal of a schema; empty if it is taken.
inline std::string refusal(std::string_view schema) {
  const auto grammar = format_grammar({OutputFormat::Kind::json_schema, std::string(schema)});
  return grammar ? "" : grammar.error().message;
}

inline bool accepts(const std::shared_ptr<const Grammar>& grammar, std::string_view text) {
  GrammarStates states(grammar);
  GrammarStates::StateId state = states.start();
  for (const char c : text) {
    if (state == GrammarStates::kDead) return false;
    state = states.row(state)[static_cast<std::uint8_t>(c)];
  }
  return state != GrammarStates::kDead && states.accepting(state);
}

inline bool accepts(std::string_view schema, std::string_view text) {
  return accepts(schema_grammar(schema), text);
}

inline std::unique_ptr<Tokenizer> smollm2_tokenizer() {
  const auto file = ModelFile::open(model_path(kSmolLm2).string());
  if (!file) return nullptr;
  auto tokenizer = Tokenizer::from(*file);
  return tokenizer ? std::move(*tokenizer) : nullptr;
}

// An answer of tokens drawn evenly from those allowed; with `hurry`, ends and closing characters first where there are
// any, from that many tokens on.
inline std::string random_answer(const Tokenizer& tokenizer, const std::shared_ptr<TokenConstraint>& constraint,
                                 std::mt19937& random, int hurry = 60, int limit = 3000) {
  TokenMatcher matcher(constraint);
  std::string text;
  for (int i = 0; i < limit && !matcher.complete(); ++i) {
    std::vector<TokenId> choices;
    matcher.allowed().for_each([&](TokenId token) { choices.push_back(token); });
    if (choices.empty()) throw std::runtime_error("nothing is allowed behind " + text);
    TokenId chosen = choices[random() % choices.size()];
    if (i >= hurry) {
      if (matcher.may_end()) return text;
      for (const TokenId token : choices) {
        const std::string_view bytes = tokenizer.bytes(token);
        if (bytes == "\"" || bytes == "}" || bytes == "]") chosen = token;
      }
    }
    if (tokenizer.ends_generation(chosen)) {
      if (!matcher.may_end()) throw std::runtime_error("an end is allowed behind " + text);
      return text;
    }
    text += tokenizer.bytes(chosen);
    matcher.accept(tokenizer.bytes(chosen));
    if (!matcher.alive()) throw std::runtime_error("an allowed token leads nowhere behind " + text);
  }
  return matcher.complete() ? text : "";
}

}  // namespace kvasir::engine
