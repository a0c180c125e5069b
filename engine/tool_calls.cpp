#include "engine/tool_calls.hpp"

#include "engine/json_document.hpp"
#include "engine/schema_rules.hpp"

#include <algorithm>
#include <array>
#include <list>
#include <utility>

#include <fmt/core.h>

namespace kvasir::engine {
namespace {

constexpr std::string_view kOpen = "<tool_call>";
constexpr std::string_view kTaggedTail = "}\n</tool_call>";
constexpr std::string_view kBareTail = "}";

std::string head_of(const std::string& name, ToolForm form) {
  if (form == ToolForm::tagged) return fmt::format("{}\n{{\"name\": \"{}\", \"arguments\": ", kOpen, name);
  return fmt::format("{{\"name\": \"{}\", \"parameters\": ", name);
}

std::string_view tail_of(ToolForm form) {
  return form == ToolForm::tagged ? kTaggedTail : kBareTail;
}

bool callable(const ToolUse& use, const Tool& tool) {
  return use.choice != ToolUse::Choice::named || tool.name == use.name;
}

Result<Json> parameters_of(const Tool& tool) {
  const auto refuse = [&](const std::string& what) {
    return Error{ErrorCode::bad_request, fmt::format("Invalid schema for function '{}': {}.", tool.name, what), "tools",
                 0};
  };
  if (tool.parameters.empty()) return parse_json(R"({"type": "object", "properties": {}})");
  auto schema = parse_json(tool.parameters);
  if (!schema) return refuse("it " + schema.error().message);
  const bool object = schema->is_object() && (!schema->contains("type") || (*schema)["type"] == "object");
  if (!object) return refuse("'parameters' must describe an object");
  if (!schema->contains("type")) (*schema)["type"] = "object";
  return schema;
}

constexpr GrammarBuilder::Node kNowhere = UINT32_MAX;

// Adds an edge for each run of bytes that lead to the same node.
void add_edges(GrammarBuilder& builder, GrammarBuilder::Node from,
               const std::array<GrammarBuilder::Node, 256>& targets) {
  for (std::size_t first = 0; first < 256;) {
    std::size_t last = first;
    while (last + 1 < 256 && targets[last + 1] == targets[first]) ++last;
    const auto byte = [](std::size_t value) { return static_cast<std::uint8_t>(value); };
    if (targets[first] != kNowhere) builder.add_edge(from, byte(first), byte(last), targets[first]);
    first = last + 1;
  }
}

}  // namespace

GrammarBuilder::Rule add_free_text(GrammarBuilder& builder, ToolForm form) {
  using Node = GrammarBuilder::Node;
  const auto rule = builder.add_rule();
  const Node start = builder.add_node();
  builder.begin(rule, start);
  builder.leave(start);
  std::array<Node, 256> targets{};
  if (form == ToolForm::bare) {
    // A call is a whole answer, so that only its first byte matters.
    const Node rest = builder.add_node();
    builder.leave(rest);
    targets.fill(rest);
    add_edges(builder, rest, targets);
    targets['{'] = kNowhere;
    add_edges(builder, start, targets);
    return rule;
  }
  // How much of the mark stands at the end of the text (Knuth, Morris & Pratt, 1977; '<' is in it once, so that every
  // other byte leads back to the start). The mark itself is never completed.
  std::vector<Node> matched{start};
  for (std::size_t i = 1; i < kOpen.size(); ++i) {
    matched.push_back(builder.add_node());
    builder.leave(matched.back());
  }
  for (std::size_t i = 0; i < kOpen.size(); ++i) {
    targets.fill(start);
    targets['<'] = matched[1];
    targets[static_cast<std::uint8_t>(kOpen[i])] = i + 1 < kOpen.size() ? matched[i + 1] : kNowhere;
    add_edges(builder, matched[i], targets);
  }
  return rule;
}

Result<GrammarBuilder::Rule> add_tool_rules(GrammarBuilder& builder, WorkBudget& budget, const ToolUse& use,
                                            ToolForm form, GrammarBuilder::Rule text) {
  using Node = GrammarBuilder::Node;
  const auto rule = builder.add_rule();
  const auto calls = builder.add_rule();
  const Node call = builder.add_node();
  const Node called = builder.add_node();
  builder.begin(calls, call);
  builder.leave(called);
  std::list<Json> schemas;  // their rules are written from them
  SchemaRules rules(builder, budget);
  for (const Tool& tool : use.tools) {
    if (!callable(use, tool)) continue;
    auto schema = parameters_of(tool);
    if (!schema) return schema.error();
    schemas.push_back(std::move(*schema));
    const auto arguments = rules.add(schemas.back());
    if (!arguments) {
      return Error{ErrorCode::bad_request,
                   fmt::format("Invalid schema for function '{}': {}.", tool.name, arguments.error().message), "tools",
                   0};
    }
    const Node head = builder.add_node();
    const Node tail = builder.add_node();
    builder.go(call, head);
    builder.call(builder.text(head, head_of(tool.name, form)), *arguments, tail);
    const Node end = builder.text(tail, tail_of(form));
    builder.go(end, called);
  }
  if (use.parallel && use.choice != ToolUse::Choice::named && form == ToolForm::tagged) {
    const Node again = builder.add_node();
    builder.add_edge(called, '\n', '\n', again);
    builder.go(again, call);
  }
  const Node start = builder.add_node();
  const Node end = builder.add_node();
  const Node may_call = builder.add_node();
  builder.begin(rule, start);
  builder.leave(end);
  builder.go(start, may_call);
  builder.call(may_call, calls, end);
  if (use.choice == ToolUse::Choice::automatic) {
    const Node words = builder.add_node();
    const Node spoken = builder.add_node();
    builder.go(start, words);
    builder.call(words, text, spoken);
    builder.go(spoken, end);
    if (form == ToolForm::tagged) builder.go(spoken, may_call);
  }
  return rule;
}

ToolCallReader::ToolCallReader(const ToolUse& use, ToolForm form)
    : form_(form), forced_(use.choice == ToolUse::Choice::named) {
  for (const Tool& tool : use.tools) {
    if (!callable(use, tool)) continue;
    heads_.push_back(head_of(tool.name, form));
    names_.push_back(tool.name);
  }
}

ToolCallReader::Piece ToolCallReader::push(std::string_view text) {
  held_ += text;
  Piece piece;
  bool more = true;
  while (more) {
    switch (state_) {
      case State::content:
        more = read_content(piece);
        break;
      case State::head:
        more = read_head(piece);
        break;
      case State::arguments:
        more = read_arguments(piece);
        break;
      case State::tail:
        more = read_tail();
        break;
    }
  }
  return piece;
}

ToolCallReader::Piece ToolCallReader::finish() {
  Piece piece;
  // A head that was cut is no content either.
  if (state_ == State::content && calls_ == 0) piece.content = std::move(held_);
  held_.clear();
  return piece;
}

// Each of these takes what it can from held_, and says whether another may go on.
bool ToolCallReader::read_content(Piece& piece) {
  if (form_ == ToolForm::bare) {
    // Only a whole answer is a call.
    const auto begins = [&](const std::string& head) {
      const std::size_t same = std::min(head.size(), held_.size());
      return head.compare(0, same, held_, 0, same) == 0;
    };
    if (!shown_ && calls_ == 0 && std::any_of(heads_.begin(), heads_.end(), begins)) {
      state_ = State::head;
      return true;
    }
    shown_ = shown_ || !held_.empty();
    piece.content += std::exchange(held_, {});
    return false;
  }
  if (const std::size_t mark = held_.find(kOpen); mark != std::string::npos) {
    if (calls_ == 0) piece.content += held_.substr(0, mark);
    held_.erase(0, mark);
    state_ = State::head;
    return true;
  }
  std::size_t keep = std::min(kOpen.size() - 1, held_.size());
  while (keep > 0 && kOpen.substr(0, keep) != std::string_view(held_).substr(held_.size() - keep)) --keep;
  const std::size_t certain = held_.size() - keep;
  // Between calls there are line ends only.
  if (calls_ == 0) piece.content += held_.substr(0, certain);
  held_.erase(0, certain);
  return false;
}

bool ToolCallReader::read_head(Piece& piece) {
  bool may_come = false;
  for (std::size_t i = 0; i < heads_.size(); ++i) {
    if (held_.starts_with(heads_[i])) {
      piece.calls.push_back({calls_++, names_[i], ""});
      held_.erase(0, heads_[i].size());
      state_ = State::arguments;
      depth_ = 0;
      in_string_ = escaped_ = false;
      return true;
    }
    may_come = may_come || heads_[i].starts_with(held_);
  }
  if (may_come) return false;
  // An answer in a format of its own that only began like a call.
  state_ = State::content;
  shown_ = true;
  piece.content += std::exchange(held_, {});
  return false;
}

bool ToolCallReader::read_arguments(Piece& piece) {
  std::size_t end = 0;
  bool whole = false;
  while (end < held_.size() && !whole) {
    const char c = held_[end++];
    if (in_string_) {
      in_string_ = escaped_ || c != '"';
      escaped_ = !escaped_ && c == '\\';
    } else if (c == '"') {
      in_string_ = true;
    } else if (c == '{' || c == '[') {
      ++depth_;
    } else if (c == '}' || c == ']') {
      whole = --depth_ == 0;
    }
  }
  if (end > 0) piece.calls.push_back({calls_ - 1, "", held_.substr(0, end)});
  held_.erase(0, end);
  if (whole) state_ = State::tail;
  return whole;
}

bool ToolCallReader::read_tail() {
  const std::string_view tail = tail_of(form_);
  if (held_.size() < tail.size()) return false;
  held_.erase(0, tail.size());
  state_ = State::content;
  return true;
}

}  // namespace kvasir::engine
