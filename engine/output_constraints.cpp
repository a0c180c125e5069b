#include "engine/output_constraints.hpp"

#include "engine/json_document.hpp"
#include "engine/schema_rules.hpp"

#include <utility>

namespace kvasir::engine {
namespace {

constexpr std::size_t kMaxSchemaBytes = 512 * 1024;
constexpr std::size_t kMaxWork = 4'000'000;  // some 50 ms
constexpr std::size_t kMaxEntries = 32;
constexpr std::size_t kMaxEntryNodes = 400'000;  // of all of them together

Error refuse(std::string message) {
  return {ErrorCode::bad_request, std::move(message), "response_format", 0};
}

Result<std::shared_ptr<const Grammar>> grammar_of(const Json& schema) {
  GrammarBuilder builder;
  WorkBudget budget(kMaxWork);
  SchemaRules rules(builder, budget);
  const auto rule = rules.add(schema);
  if (!rule) return refuse("Invalid schema: " + rule.error().message + ".");
  auto grammar = builder.finish();
  if (!grammar) return refuse("Invalid schema: no JSON value of up to 64 levels can fit it.");
  return grammar;
}

}  // namespace

Result<std::shared_ptr<const Grammar>> json_object_grammar() {
  return grammar_of(Json{{"type", "object"}});
}

Result<std::shared_ptr<const Grammar>> json_schema_grammar(std::string_view schema) {
  if (schema.size() > kMaxSchemaBytes) return refuse("Invalid schema: it is larger than 512 KiB.");
  const auto parsed = parse_json(schema);
  if (!parsed) return refuse("Invalid schema: it " + parsed.error().message + ".");
  return grammar_of(*parsed);
}

OutputConstraints::OutputConstraints(const Tokenizer& tokenizer)
    : trie_(std::make_shared<const TokenTrie>(tokenizer)) {}

Result<std::shared_ptr<TokenConstraint>> OutputConstraints::of(const OutputFormat& format) {
  switch (format.kind) {
    case OutputFormat::Kind::text:
      break;
    case OutputFormat::Kind::json_object:
      return find_or_make("object", json_object_grammar);
    case OutputFormat::Kind::json_schema:
      return find_or_make("schema " + format.schema, [&] { return json_schema_grammar(format.schema); });
  }
  return std::shared_ptr<TokenConstraint>();
}

Result<std::shared_ptr<TokenConstraint>> OutputConstraints::find_or_make(std::string key, const Compile& compile) {
  const std::lock_guard lock(mutex_);
  for (auto entry = entries_.begin(); entry != entries_.end(); ++entry) {
    if (entry->key != key) continue;
    entries_.splice(entries_.begin(), entries_, entry);
    return entry->constraint;
  }
  if (!trie_->spells_json())
    return refuse("This model's vocabulary cannot spell JSON, so it keeps no format.");
  auto grammar = compile();
  if (!grammar) return grammar.error();
  const std::size_t nodes = (*grammar)->nodes();
  auto constraint = std::make_shared<TokenConstraint>(std::move(*grammar), trie_);
  entries_.push_front({std::move(key), constraint, nodes});
  nodes_ += nodes;
  while (entries_.size() > kMaxEntries || (nodes_ > kMaxEntryNodes && entries_.size() > 1)) {
    nodes_ -= entries_.back().nodes;
    entries_.pop_back();
  }
  return constraint;
}

}  // namespace kvasir::engine
