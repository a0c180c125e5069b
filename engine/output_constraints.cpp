#include "engine/output_constraints.hpp"

#include "engine/json_document.hpp"
#include "engine/schema_rules.hpp"

#include <utility>

#include <fmt/core.h>

namespace kvasir::engine {
namespace {

constexpr std::size_t kMaxSchemaBytes = 512 * 1024;
constexpr std::size_t kMaxWork = 4'000'000;  // some 50 ms
constexpr std::size_t kMaxEntries = 32;
constexpr std::size_t kMaxEntryNodes = 400'000;  // of all of them together

Error refuse(std::string message) {
  return {ErrorCode::bad_request, std::move(message), "response_format", 0};
}

Error refuse_tools(std::string message) {
  return {ErrorCode::bad_request, std::move(message), "tools", 0};
}

Result<Json> schema_of(const OutputFormat& format) {
  if (format.kind == OutputFormat::Kind::json_object) return parse_json(R"({"type": "object"})");
  if (format.schema.size() > kMaxSchemaBytes) return refuse("Invalid schema: it is larger than 512 KiB.");
  auto parsed = parse_json(format.schema);
  if (!parsed) return refuse("Invalid schema: it " + parsed.error().message + ".");
  return parsed;
}

Result<GrammarBuilder::Rule> add_schema(GrammarBuilder& builder, WorkBudget& budget, const Json& schema) {
  auto rule = SchemaRules(builder, budget).add(schema);
  if (!rule) return refuse("Invalid schema: " + rule.error().message + ".");
  return rule;
}

}  // namespace

Result<std::shared_ptr<const Grammar>> format_grammar(const OutputFormat& format) {
  const auto schema = schema_of(format);
  if (!schema) return schema.error();
  GrammarBuilder builder;
  WorkBudget budget(kMaxWork);
  const auto rule = add_schema(builder, budget, *schema);
  if (!rule) return rule.error();
  auto grammar = builder.finish(*rule);
  if (!grammar) return refuse("Invalid schema: no JSON value of up to 64 levels can fit it.");
  return grammar;
}

Result<std::shared_ptr<const Grammar>> tool_grammar(const OutputFormat& format, const ToolUse& tools, ToolForm form) {
  GrammarBuilder builder;
  WorkBudget budget(kMaxWork);
  Result<GrammarBuilder::Rule> text = GrammarBuilder::Rule{0};
  if (format.kind == OutputFormat::Kind::text) {
    text = add_free_text(builder, form);
  } else {
    const auto schema = schema_of(format);
    if (!schema) return schema.error();
    text = add_schema(builder, budget, *schema);
  }
  if (!text) return text.error();
  std::size_t bytes = 0;
  for (const Tool& tool : tools.tools) bytes += tool.parameters.size();
  if (bytes > kMaxSchemaBytes) return refuse_tools("The schemas of the functions are larger than 512 KiB.");
  const auto rule = add_tool_rules(builder, budget, tools, form, *text);
  if (!rule) return rule.error();
  auto grammar = builder.finish(*rule);
  if (!grammar) return refuse_tools("No call of up to 64 levels can fit the schemas of the functions.");
  return grammar;
}

OutputConstraints::OutputConstraints(const Tokenizer& tokenizer)
    : trie_(std::make_shared<const TokenTrie>(tokenizer)) {}

Result<std::shared_ptr<TokenConstraint>> OutputConstraints::of(const OutputFormat& format, const ToolUse& tools,
                                                               ToolForm form) {
  const bool text = format.kind == OutputFormat::Kind::text;
  const std::string key = fmt::format("{} {}", static_cast<int>(format.kind), format.schema);
  if (!tools.in_play()) {
    if (text) return std::shared_ptr<TokenConstraint>();
    return find_or_make(key, [&] { return format_grammar(format); });
  }
  std::string tools_key = fmt::format("tools {} {} {} {}", static_cast<int>(form), static_cast<int>(tools.choice),
                                      tools.parallel, tools.name);
  for (const Tool& tool : tools.tools)
    tools_key += fmt::format(" {}:{}{}:{}", tool.name.size(), tool.name, tool.parameters.size(), tool.parameters);
  return find_or_make(tools_key + key, [&] { return tool_grammar(format, tools, form); });
}

Result<std::shared_ptr<TokenConstraint>> OutputConstraints::find_or_make(std::string key, const Compile& compile) {
  const std::lock_guard lock(mutex_);
  for (auto entry = entries_.begin(); entry != entries_.end(); ++entry) {
    if (entry->key != key) continue;
    entries_.splice(entries_.begin(), entries_, entry);
    return entry->constraint;
  }
  if (!trie_->spells_json()) return refuse("This model's vocabulary cannot spell JSON, so it keeps no format.");
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
