#include "gateway/responses_request.hpp"

#include "gateway/field_reader.hpp"
#include "gateway/json_body.hpp"
#include "gateway/response_items.hpp"

#include <set>
#include <unordered_map>
#include <utility>

namespace kvasir::gateway {
namespace {

using json = nlohmann::json;

constexpr std::int64_t kMaxTokens = 1 << 30;

json json_of(Json value) {
  return json::parse(simdjson::minify(value));
}

class ResponsesReader : private FieldReader {
 public:
  explicit ResponsesReader(ResponsesRequest& request) : request_(&request) {}

  std::optional<ApiError> read(simdjson::dom::object object) {
    request_->shown = {{"instructions", nullptr},
                       {"max_output_tokens", nullptr},
                       {"max_tool_calls", nullptr},
                       {"metadata", json::object()},
                       {"parallel_tool_calls", true},
                       {"previous_response_id", nullptr},
                       {"reasoning", {{"effort", nullptr}, {"summary", nullptr}}},
                       {"service_tier", "default"},
                       {"temperature", 1.0},
                       {"tool_choice", "auto"},
                       {"tools", json::array()},
                       {"text", {{"format", {{"type", "text"}}}, {"verbosity", "medium"}}},
                       {"top_logprobs", 0},
                       {"top_p", 1.0},
                       {"truncation", "disabled"},
                       {"user", nullptr},
                       {"background", false}};
    for (const auto field : object) {
      if (field.value.is_null()) continue;
      if (!(this->*handler_of(field.key))(field.key, field.value)) return error_;
    }
    finish();
    return error_;
  }

 private:
  using Handler = bool (ResponsesReader::*)(std::string_view name, Json value);

  static Handler handler_of(std::string_view name) {
    using R = ResponsesReader;
    static const std::unordered_map<std::string_view, Handler> handlers{
        {"model", &R::passed_text},
        {"input", &R::input},
        {"instructions", &R::instructions},
        {"previous_response_id", &R::previous},
        {"store", &R::store},
        {"stream", &R::stream},
        {"stream_options", &R::stream_options},
        {"background", &R::background},
        {"max_output_tokens", &R::max_output_tokens},
        {"max_tool_calls", &R::max_tool_calls},
        {"temperature", &R::temperature},
        {"top_p", &R::top_p},
        {"top_logprobs", &R::top_logprobs},
        {"text", &R::text_options},
        {"tools", &R::tools},
        {"tool_choice", &R::tool_choice},
        {"parallel_tool_calls", &R::parallel_tool_calls},
        {"truncation", &R::truncation},
        {"metadata", &R::metadata},
        {"include", &R::include},
        {"reasoning", &R::reasoning},
        {"user", &R::passed_text},
        {"safety_identifier", &R::passed_text},
        {"service_tier", &R::passed_text},
        {"prompt_cache_key", &R::passed_text},
        {"prompt_cache_retention", &R::passed_text},
        {"conversation", &R::not_served},
        {"prompt", &R::not_served},
        {"context_management", &R::not_served},
        {"moderation", &R::not_served},
        {"background_options", &R::not_served},
        {"access_programs", &R::not_served},
        {"messages", &R::of_chats},
        {"n", &R::of_chats},
        {"max_tokens", &R::of_chats},
        {"max_completion_tokens", &R::of_chats},
        {"response_format", &R::of_chats},
        {"logprobs", &R::of_chats},
        {"functions", &R::of_chats},
        {"function_call", &R::of_chats},
    };
    const auto found = handlers.find(name);
    return found == handlers.end() ? &R::passed : found->second;
  }

  bool finish() {
    if (request_->input.is_null()) return missing("input");
    if (has_stream_options_ && !request_->chat.value("stream", false)) {
      return fail("The 'stream_options' parameter is only allowed when 'stream' is enabled.", "stream_options");
    }
    if (logprobs_) {
      request_->chat["logprobs"] = true;
      request_->chat["top_logprobs"] = request_->shown.at("top_logprobs");
    }
    // A choice of tools means nothing without tools, and chat servers refuse it.
    if (!request_->chat.contains("tools")) {
      const json choice = request_->chat.value("tool_choice", json("auto"));
      if (choice.is_object() || choice == "required") {
        return fail("Invalid value for 'tool_choice': it is only allowed when 'tools' are specified.", "tool_choice");
      }
      request_->chat.erase("tool_choice");
      request_->chat.erase("parallel_tool_calls");
    }
    return true;
  }

  bool passed(std::string_view name, Json value) {
    request_->chat[std::string(name)] = json_of(value);
    return true;
  }
  bool passed_text(std::string_view name, Json value) {
    if (!value.is_string()) return fail_type(name, "a string", value);
    if (name != "model") request_->shown[std::string(name)] = json_of(value);
    return passed(name, value);
  }
  bool not_served(std::string_view name, Json) {
    return fail("'" + std::string(name) + "' is not served here.", name, "unsupported_parameter");
  }
  bool of_chats(std::string_view name, Json) {
    return fail("Unknown parameter: '" + std::string(name) + "'.", name, "unknown_parameter");
  }

  bool input(std::string_view, Json value) {
    error_ = read_response_input(value, request_->input);
    return !error_;
  }
  bool instructions(std::string_view name, Json value) {
    if (!value.is_string()) return fail_type(name, "a string", value);
    request_->shown["instructions"] = json_of(value);
    return true;
  }
  bool previous(std::string_view name, Json value) {
    if (!text(name, value, request_->previous)) return false;
    request_->shown["previous_response_id"] = request_->previous;
    return true;
  }
  bool store(std::string_view name, Json value) { return boolean(name, value, request_->store); }
  bool stream(std::string_view name, Json value) {
    bool stream = false;
    if (!boolean(name, value, stream)) return false;
    request_->chat["stream"] = stream;
    return true;
  }
  bool stream_options(std::string_view name, Json value) {
    has_stream_options_ = true;
    if (!value.is_object()) return fail_type(name, "an object", value);
    Json obfuscation;
    if (value["include_obfuscation"].get(obfuscation) != simdjson::SUCCESS || obfuscation.is_bool()) return true;
    return fail_type("stream_options.include_obfuscation", "a boolean", obfuscation);
  }
  bool background(std::string_view name, Json value) {
    bool background = false;
    if (!boolean(name, value, background)) return false;
    return !background || fail("'background' is not served here.", name, "unsupported_parameter");
  }
  bool max_output_tokens(std::string_view name, Json value) {
    std::int64_t limit = 0;
    if (!integer(name, value, 1, kMaxTokens, limit)) return false;
    request_->shown["max_output_tokens"] = limit;
    request_->chat["max_completion_tokens"] = limit;
    return true;
  }
  // Speaks of tools that OpenAI runs itself; none are served here.
  bool max_tool_calls(std::string_view name, Json value) {
    std::int64_t limit = 0;
    if (!integer(name, value, 1, kMaxTokens, limit)) return false;
    request_->shown["max_tool_calls"] = limit;
    return true;
  }
  bool temperature(std::string_view name, Json value) { return sampling(name, value, 2.0); }
  bool top_p(std::string_view name, Json value) { return sampling(name, value, 1.0); }
  bool sampling(std::string_view name, Json value, double most) {
    double number = 0;
    if (!this->number(name, value, 0.0, most, number)) return false;
    request_->shown[std::string(name)] = number;
    return passed(name, value);
  }
  bool top_logprobs(std::string_view name, Json value) {
    std::int64_t count = 0;
    if (!integer(name, value, 0, 20, count)) return false;
    request_->shown["top_logprobs"] = count;
    return true;
  }
  bool parallel_tool_calls(std::string_view name, Json value) {
    bool parallel = true;
    if (!boolean(name, value, parallel)) return false;
    request_->shown["parallel_tool_calls"] = parallel;
    request_->chat["parallel_tool_calls"] = parallel;
    return true;
  }
  bool truncation(std::string_view name, Json value) {
    std::string word;
    if (!text(name, value, word)) return false;
    if (word != "auto" && word != "disabled") return fail_range(name, "'auto' or 'disabled'");
    request_->shown["truncation"] = word;
    if (word == "auto") request_->chat["context_window_strategy"] = "auto";
    return true;
  }

  bool metadata(std::string_view name, Json value) {
    if (!pairs(name, value)) return false;
    request_->shown["metadata"] = json_of(value);
    return true;
  }

  bool include(std::string_view name, Json value) {
    static const std::set<std::string_view> known{"message.output_text.logprobs",
                                                  "reasoning.encrypted_content",
                                                  "file_search_call.results",
                                                  "web_search_call.results",
                                                  "web_search_call.action.sources",
                                                  "message.input_image.image_url",
                                                  "computer_call_output.output.image_url",
                                                  "code_interpreter_call.outputs"};
    simdjson::dom::array list;
    if (value.get(list) != simdjson::SUCCESS) return fail_type(name, "an array of strings", value);
    std::size_t index = 0;
    for (const Json item : list) {
      const std::string place = element_name(name, index++);
      std::string what;
      if (!text(place, item, what)) return false;
      if (!known.contains(what)) return fail_range(place, "a part of a response that this API knows");
      logprobs_ = logprobs_ || what == "message.output_text.logprobs";
    }
    return true;
  }

  bool reasoning(std::string_view name, Json value) {
    if (!value.is_object()) return fail_type(name, "an object", value);
    for (const char* key : {"effort", "summary"}) {
      Json word;
      if (value[key].get(word) != simdjson::SUCCESS || word.is_null()) continue;
      if (!word.is_string()) return fail_type("reasoning." + std::string(key), "a string", word);
      request_->shown["reasoning"][key] = json_of(word);
      if (std::string_view(key) == "effort") request_->chat["reasoning_effort"] = json_of(word);
    }
    return true;
  }

  bool text_options(std::string_view name, Json value) {
    simdjson::dom::object options;
    if (value.get(options) != simdjson::SUCCESS) return fail_type(name, "an object", value);
    for (const auto option : options) {
      if (option.value.is_null()) continue;
      if (option.key == "verbosity") {
        std::string word;
        if (!text("text.verbosity", option.value, word)) return false;
        if (word != "low" && word != "medium" && word != "high") {
          return fail_range("text.verbosity", "'low', 'medium' or 'high'");
        }
        request_->shown["text"]["verbosity"] = word;
        request_->chat["verbosity"] = word;
      } else if (option.key == "format" && !format(option.value)) {
        return false;
      }
    }
    return true;
  }

  bool format(Json value) {
    Json named;
    std::string type;
    if (!value.is_object()) return fail_type("text.format", "an object", value);
    if (value["type"].get(named) != simdjson::SUCCESS) {
      return missing("text.format.type");
    }
    if (!text("text.format.type", named, type)) return false;
    request_->shown["text"]["format"] = json_of(value);
    if (type == "json_schema") return json_schema(value);
    if (type == "json_object") request_->response_format = R"({"type":"json_object"})";
    return type == "text" || type == "json_object" ||
           fail_range("text.format.type", "'text', 'json_object' or 'json_schema'");
  }

  bool json_schema(Json format) {
    std::string described;
    for (const std::string_view key : {"name", "schema", "strict", "description"}) {
      const std::string place = "text.format." + std::string(key);
      Json part;
      if (format[key].get(part) != simdjson::SUCCESS || part.is_null()) {
        if (key != "name" && key != "schema") continue;
        return missing(place);
      }
      described.append(described.empty() ? "\"" : ",\"").append(key).append("\":").append(simdjson::minify(part));
    }
    request_->response_format = R"({"type":"json_schema","json_schema":{)" + described + "}}";
    return true;
  }

  bool tools(std::string_view name, Json value) {
    simdjson::dom::array list;
    if (value.get(list) != simdjson::SUCCESS) return fail_type(name, "an array", value);
    json functions = json::array();
    for (const Json tool : list) {
      const std::string place = element_name(name, functions.size());
      if (!tool.is_object()) return fail_type(place, "an object", tool);
      json given = json_of(tool);
      if (given.value("type", json()) != "function") {
        return fail("Invalid value for '" + place + ".type': only tools of type 'function' are served.",
                    place + ".type");
      }
      if (!given.value("name", json()).is_string()) {
        return missing(place + ".name");
      }
      json function = json::object();
      for (const char* key : {"name", "description", "parameters", "strict"}) {
        if (const auto part = given.find(key); part != given.end() && !part->is_null()) function[key] = *part;
      }
      functions.push_back({{"type", "function"}, {"function", std::move(function)}});
    }
    request_->shown["tools"] = json_of(value);
    if (!functions.empty()) request_->chat["tools"] = std::move(functions);
    return true;
  }

  bool tool_choice(std::string_view name, Json value) {
    const json given = json_of(value);
    request_->shown["tool_choice"] = given;
    if (given == "none" || given == "auto" || given == "required") {
      request_->chat["tool_choice"] = given;
      return true;
    }
    const bool function = given.is_object() && given.value("type", json()) == "function";
    if (!function) return fail_range(name, "'none', 'auto', 'required' or a function's name");
    if (!given.value("name", json()).is_string()) {
      return missing("tool_choice.name");
    }
    request_->chat["tool_choice"] = {{"type", "function"}, {"function", {{"name", given.at("name")}}}};
    return true;
  }

  ResponsesRequest* request_;
  bool has_stream_options_ = false;
  bool logprobs_ = false;
};

}  // namespace

Result<ResponsesRequest> parse_responses_request(std::string& body) {
  ResponsesRequest request;
  auto error =
      read_json_object(body, [&](simdjson::dom::object object) { return ResponsesReader(request).read(object); });
  if (error) return std::move(*error);
  return request;
}

std::string chat_body(const ResponsesRequest& request, const json& conversation) {
  json chat = request.chat;
  json& messages = chat["messages"] = json::array();
  if (const json& instructions = request.shown.at("instructions"); instructions.is_string()) {
    messages.push_back({{"role", "system"}, {"content", instructions}});
  }
  append_chat_messages(messages, conversation);
  append_chat_messages(messages, request.input);
  std::string body = chat.dump();
  if (request.response_format.empty()) return body;
  body.back() = ',';
  return body.append("\"response_format\":").append(request.response_format).append("}");
}

void rename_to_response(ApiError& error) {
  static constexpr std::pair<std::string_view, std::string_view> kNames[] = {
      {"messages", "input"},
      {"max_completion_tokens", "max_output_tokens"},
      {"response_format.json_schema.name", "text.format.name"},
      {"response_format.json_schema.schema", "text.format.schema"},
      {"response_format.json_schema.strict", "text.format.strict"},
      {"response_format", "text.format"},
      {"reasoning_effort", "reasoning.effort"},
      {"verbosity", "text.verbosity"},
      {"context_window_strategy", "truncation"}};
  const std::string quoted = "'" + error.param + "'";
  // A tool is flat here, in a chat its function is an object of its own.
  constexpr std::string_view kFunction = "].function";
  if (const auto at = error.param.find(kFunction); error.param.starts_with("tools[") && at != std::string::npos) {
    error.param.erase(at + 1, kFunction.size() - 1);
  }
  for (const auto& [chat, response] : kNames) {
    if (!error.param.starts_with(chat)) continue;
    error.param = response;
    break;
  }
  if (const auto at = error.message.find(quoted); at != std::string::npos) {
    error.message.replace(at, quoted.size(), "'" + error.param + "'");
  }
}

}  // namespace kvasir::gateway
