// The fields of a chat request that speak of functions: tools, the choice among them, and calls of earlier turns.
#include "gateway/request_reader.hpp"

#include <algorithm>
#include <cctype>

namespace kvasir::gateway {
namespace {

using simdjson::SUCCESS;

constexpr std::size_t kMaxTools = 128;
constexpr std::size_t kMaxName = 64;

bool is_given(Json object, std::string_view key, Json& field) {
  return object[key].get(field) == SUCCESS && !field.is_null();
}

}  // namespace

bool usable_name(std::string_view name) {
  return !name.empty() && name.size() <= kMaxName && std::all_of(name.begin(), name.end(), [](unsigned char c) {
    return std::isalnum(c) != 0 || c == '_' || c == '-';
  });
}

bool RequestReader::required(std::string_view place, Json object, std::string_view key, Json& field) {
  if (object[key].get(field) == SUCCESS) return true;
  const std::string name = std::string(place) + "." + std::string(key);
  return missing(name);
}

// Of both, an empty list is as good as none.
bool RequestReader::tools(std::string_view name, Json value) {
  simdjson::dom::array list;
  if (value.get(list) != SUCCESS) return fail_type(name, "an array", value);
  if (list.size() == 0) return true;
  if (list.size() > kMaxTools) return fail("Invalid '" + std::string(name) + "': at most 128 functions.", name);
  tools_.emplace_back(std::string(name), canonical_json(value));
  has_tools_ = true;
  if (name == "functions") {
    refuse_for_engine(name, "models served in this process read 'tools' instead");
    return true;
  }
  for (const Json item : list) {
    if (!tool(element_name(name, request_->tool_use.tools.size()), item)) return false;
  }
  return true;
}

bool RequestReader::tool(const std::string& place, Json value) {
  if (!value.is_object()) return fail_type(place, "an object", value);
  engine::Tool& tool = request_->tool_use.tools.emplace_back();
  Json field;
  std::string type;
  if (!required(place, value, "type", field) || !text(place + ".type", field, type)) return false;
  if (type != "function") {
    refuse_for_engine(place + ".type", "models served in this process know tools of type 'function' only");
    return true;
  }
  Json function;
  const std::string where = place + ".function";
  if (!required(place, value, "function", function)) return false;
  if (!function.is_object()) return fail_type(where, "an object", function);
  if (!required(where, function, "name", field) || !text(where + ".name", field, tool.name)) return false;
  if (!usable_name(tool.name)) return fail_range(where + ".name", std::string(kUsableNames));
  const auto named_so = [&](const engine::Tool& other) { return &other != &tool && other.name == tool.name; };
  const std::vector<engine::Tool>& all = request_->tool_use.tools;
  if (std::any_of(all.begin(), all.end(), named_so)) refuse_for_engine(where + ".name", "another function has it");
  std::string description;
  if (is_given(function, "description", field) && !text(where + ".description", field, description)) return false;
  bool strict = false;
  if (is_given(function, "strict", field) && !boolean(where + ".strict", field, strict)) return false;
  if (is_given(function, "parameters", field)) {
    if (!field.is_object()) return fail_type(where + ".parameters", "an object", field);
    tool.parameters = simdjson::minify(field);
  }
  tool.definition = simdjson::minify(value);
  return true;
}

bool RequestReader::tool_choice(std::string_view name, Json value) {
  using Choice = engine::ToolUse::Choice;
  tools_.emplace_back(std::string(name), canonical_json(value));
  std::string_view word;
  if (value.get(word) == SUCCESS) {
    if (word != "none" && word != "auto" && word != "required") {
      return fail_range(name, "'none', 'auto', 'required' or an object that names a function");
    }
    tool_choice_ = word == "none" ? Choice::none : word == "auto" ? Choice::automatic : Choice::required;
    return true;
  }
  if (!value.is_object()) return fail_type(name, "a string or an object", value);
  tool_choice_ = Choice::named;
  Json field;
  std::string type;
  if (!required(name, value, "type", field) || !text("tool_choice.type", field, type)) return false;
  if (type != "function") {
    refuse_for_engine(name, "models served in this process can be made to call a function by its name only");
    return true;
  }
  Json function;
  if (!required(name, value, "function", function)) return false;
  if (!function.is_object()) return fail_type("tool_choice.function", "an object", function);
  std::string& chosen = request_->tool_use.name;
  if (!required("tool_choice.function", function, "name", field) || !text("tool_choice.function.name", field, chosen)) {
    return false;
  }
  return usable_name(chosen) || fail_range("tool_choice.function.name", std::string(kUsableNames));
}

bool RequestReader::parallel_tool_calls(std::string_view name, Json value) {
  tools_.emplace_back(std::string(name), canonical_json(value));
  return boolean(name, value, request_->tool_use.parallel);
}

// The field of a time before tools.
bool RequestReader::function_call(std::string_view name, Json value) {
  std::string_view word;
  if (value.get(word) == SUCCESS && word == "none") return true;
  tools_.emplace_back(std::string(name), canonical_json(value));
  refuse_for_engine(name, "models served in this process read 'tool_choice' instead");
  return true;
}

bool RequestReader::finish_tools() {
  engine::ToolUse& use = request_->tool_use;
  if (!has_tools_) {
    if (tool_choice_ && *tool_choice_ != engine::ToolUse::Choice::none) {
      return fail("Invalid value for 'tool_choice': it is only allowed when 'tools' are specified.", "tool_choice");
    }
    return true;
  }
  use.choice = tool_choice_.value_or(engine::ToolUse::Choice::automatic);
  const auto known = [&](const engine::Tool& tool) { return tool.name == use.name; };
  if (!use.name.empty() && std::none_of(use.tools.begin(), use.tools.end(), known)) {
    return fail("Invalid value for 'tool_choice': no function of 'tools' is named so.", "tool_choice");
  }
  return true;
}

// Of an assistant's turn. An upstream may know calls of other types.
bool RequestReader::tool_calls(const std::string& place, Json value, rag::Message& message) {
  simdjson::dom::array list;
  if (value.get(list) != SUCCESS) return fail_type(place, "an array", value);
  for (const Json item : list) {
    const std::string where = element_name(place, message.tool_calls.size());
    rag::ToolCall& call = message.tool_calls.emplace_back();
    if (!item.is_object()) return fail_type(where, "an object", item);
    Json field;
    if (!required(where, item, "id", field) || !text(where + ".id", field, call.id)) return false;
    Json function;
    if (item["function"].get(function) != SUCCESS) {
      refuse_for_engine(where, "models served in this process know calls of functions only");
      continue;
    }
    if (!function.is_object()) return fail_type(where + ".function", "an object", function);
    if (!required(where + ".function", function, "name", field) || !text(where + ".function.name", field, call.name)) {
      return false;
    }
    if (is_given(function, "arguments", field) && !text(where + ".function.arguments", field, call.arguments)) {
      return false;
    }
  }
  return true;
}

}  // namespace kvasir::gateway
