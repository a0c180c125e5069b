// Calls in an answer: how models write them, the grammar that keeps them whole, and the way back from text to calls.
#pragma once

#include "engine/error.hpp"
#include "engine/grammar.hpp"
#include "engine/tool_use.hpp"

#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace kvasir::engine {

class SchemaRules;

// As model families write a call.
enum class ToolForm : std::uint8_t {
  tagged,  // Hermes and Qwen: <tool_call>\n{"name": "f", "arguments": {…}}\n</tool_call>, several one below the other
  bare,    // Llama 3: the answer is {"name": "f", "parameters": {…}}
};

// Adds the rule of an answer that may call, or must: `text` is the rule of an answer without calls.
// Error: bad_request; the message names the function, the keyword and its place.
Result<GrammarBuilder::Rule> add_tool_rules(GrammarBuilder& builder, WorkBudget& budget, const ToolUse& use,
                                            ToolForm form, GrammarBuilder::Rule text);
// Any text that holds no beginning of a call.
GrammarBuilder::Rule add_free_text(GrammarBuilder& builder, ToolForm form);

// Reads an answer that keeps to those rules, piece by piece as it comes.
class ToolCallReader {
 public:
  struct Piece {
    std::string content;  // or, if empty,
    std::vector<ToolCallDelta> calls;
  };

  ToolCallReader(const ToolUse& use, ToolForm form);
  // What is certain by now: text that may become a call is held back.
  Piece push(std::string_view text);
  // What was held back, when the answer ends here.
  Piece finish();
  int calls() const { return calls_; }
  // The caller named the function: OpenAI then reports the end as `stop`.
  bool forced() const { return forced_; }

 private:
  enum class State : std::uint8_t { content, head, arguments, tail };
  bool read_content(Piece& piece);
  bool read_head(Piece& piece);
  bool read_arguments(Piece& piece);
  bool read_tail();

  ToolForm form_;
  bool forced_;
  std::vector<std::string> heads_;  // what a call begins with, name included; in the order of the tools
  std::vector<std::string> names_;
  State state_ = State::content;
  std::string held_;
  int calls_ = 0;
  bool shown_ = false;  // some content was
  int depth_ = 0;       // of the arguments' brackets
  bool in_string_ = false;
  bool escaped_ = false;
};

}  // namespace kvasir::engine
