// Functions that a model may ask its caller to run, as plain values.
#pragma once

#include <string>
#include <vector>

namespace kvasir::engine {

struct Tool {
  std::string name;        // letters, digits, '_' and '-'
  std::string parameters;  // JSON Schema of an object; empty: there are none
  std::string definition;  // JSON as the caller wrote it, {"type": "function", "function": {…}}: what templates show
};

struct ToolUse {
  enum class Choice {
    none,       // text only; the model does not hear of the tools
    automatic,  // text, or text and calls
    required,   // one call at least
    named,      // one call of `name`
  };
  std::vector<Tool> tools;
  Choice choice = Choice::none;
  std::string name;
  bool parallel = true;  // several calls in one answer

  bool in_play() const { return choice != Choice::none && !tools.empty(); }
};

// A piece of a call. The first of each index brings the name, the others more of the arguments' JSON text.
struct ToolCallDelta {
  int index = 0;
  std::string name;
  std::string arguments;
};

}  // namespace kvasir::engine
