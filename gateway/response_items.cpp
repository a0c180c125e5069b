#include "gateway/response_items.hpp"

#include "gateway/http_message.hpp"

namespace kvasir::gateway {
namespace {

using json = nlohmann::json;

json json_of(Json value) {
  return json::parse(simdjson::minify(value));
}

// What a client gave, or a new id; and a status, as items of the API have them.
void complete(json& item, std::string_view id_prefix) {
  if (const auto id = item.find("id"); id == item.end() || !id->is_string()) item["id"] = random_id(id_prefix);
  if (const auto status = item.find("status"); status == item.end() || !status->is_string()) {
    item["status"] = "completed";
  }
}

class ItemReader : private FieldReader {
 public:
  explicit ItemReader(json& items) : items_(&items) {}

  std::optional<ApiError> read(Json value) {
    if (value.is_string()) {
      add_message("user", json::array({{{"type", "input_text"}, {"text", json_of(value)}}}), json::object());
      return std::nullopt;
    }
    simdjson::dom::array list;
    if (value.get(list) != simdjson::SUCCESS) {
      fail_type("input", "a string or an array of items", value);
      return error_;
    }
    if (list.size() == 0) fail("Invalid 'input': expected at least one item.", "input");
    std::size_t index = 0;
    for (const Json one : list) {
      if (!item(element_name("input", index++), one)) break;
    }
    return error_;
  }

 private:
  bool item(const std::string& place, Json value) {
    if (!value.is_object()) return fail_type(place, "an object", value);
    std::string type = "message";
    Json given;
    if (value["type"].get(given) == simdjson::SUCCESS && !text(place + ".type", given, type)) return false;
    if (type == "message") return message(place, value);
    if (type == "function_call") return function_call(place, value);
    if (type == "function_call_output") return function_call_output(place, value);
    if (type == "reasoning") {
      json item = json_of(value);
      complete(item, "rs_");
      items_->push_back(std::move(item));
      return true;
    }
    return fail("Invalid value for '" + place + ".type': items of type '" + type +
                    "' are not served; use message, function_call or function_call_output.",
                place + ".type");
  }

  bool message(const std::string& place, Json value) {
    std::string role;
    if (!required_text(place, value, "role", role)) return false;
    if (role != "user" && role != "assistant" && role != "system" && role != "developer") {
      return fail_range(place + ".role", "'user', 'assistant', 'system' or 'developer'");
    }
    Json content;
    if (value["content"].get(content) != simdjson::SUCCESS) return missing(place + ".content");
    json parts = json::array();
    simdjson::dom::array list;
    if (content.is_string()) {
      parts.push_back({{"type", role == "assistant" ? "output_text" : "input_text"}, {"text", json_of(content)}});
      if (role == "assistant") parts.back()["annotations"] = json::array();
    } else if (content.get(list) == simdjson::SUCCESS) {
      for (const Json part : list) {
        if (!this->part(element_name(place + ".content", parts.size()), part, parts)) return false;
      }
    } else {
      return fail_type(place + ".content", "a string or an array of parts", content);
    }
    json item = json_of(value);
    item.erase("content");
    add_message(role, std::move(parts), std::move(item));
    return true;
  }

  void add_message(std::string_view role, json parts, json item) {
    item["type"] = "message";
    item["role"] = role;
    item["content"] = std::move(parts);
    complete(item, "msg_");
    items_->push_back(std::move(item));
  }

  bool part(const std::string& place, Json value, json& parts) {
    if (!value.is_object()) return fail_type(place, "an object", value);
    std::string type;
    std::string ignored;
    if (!required_text(place, value, "type", type)) return false;
    if (type == "input_text" || type == "output_text") {
      if (!required_text(place, value, "text", ignored)) return false;
    } else if (type == "refusal") {
      if (!required_text(place, value, "refusal", ignored)) return false;
    } else if (type == "input_image") {
      if (!required_text(place, value, "image_url", ignored)) return false;
    } else if (type != "input_file" && type != "input_audio") {
      return fail_range(place + ".type", "'input_text', 'output_text', 'refusal', 'input_image' or 'input_file'");
    }
    parts.push_back(json_of(value));
    return true;
  }

  bool function_call(const std::string& place, Json value) {
    std::string ignored;
    for (const std::string_view name : {"call_id", "name", "arguments"}) {
      if (!required_text(place, value, name, ignored)) return false;
    }
    json item = json_of(value);
    complete(item, "fc_");
    items_->push_back(std::move(item));
    return true;
  }

  bool function_call_output(const std::string& place, Json value) {
    std::string ignored;
    if (!required_text(place, value, "call_id", ignored)) return false;
    Json output;
    if (value["output"].get(output) != simdjson::SUCCESS) return missing(place + ".output");
    simdjson::dom::array list;
    if (output.get(list) == simdjson::SUCCESS) {
      json parts = json::array();
      for (const Json part : list) {
        if (!this->part(element_name(place + ".output", parts.size()), part, parts)) return false;
      }
    } else if (!output.is_string()) {
      return fail_type(place + ".output", "a string or an array of parts", output);
    }
    json item = json_of(value);
    complete(item, "fc_");
    items_->push_back(std::move(item));
    return true;
  }

  bool required_text(const std::string& place, Json object, std::string_view key, std::string& target) {
    const std::string name = place + "." + std::string(key);
    Json value;
    if (object[key].get(value) != simdjson::SUCCESS) return missing(name);
    return text(name, value, target);
  }

  json* items_;
};

json image_part(const json& part) {
  json image{{"url", part.at("image_url")}};
  if (const auto detail = part.find("detail"); detail != part.end() && detail->is_string()) image["detail"] = *detail;
  return {{"type", "image_url"}, {"image_url", std::move(image)}};
}

json file_part(const json& part) {
  json file = json::object();
  for (const char* key : {"file_data", "file_id", "filename"}) {
    if (const auto value = part.find(key); value != part.end()) file[key] = *value;
  }
  return {{"type", "file"}, {"file", std::move(file)}};
}

// Parts of a chat message; one text alone is a string, which every server reads.
json chat_content(const json& parts) {
  if (parts.is_string()) return parts;
  json content = json::array();
  for (const json& part : parts) {
    const std::string type = part.value("type", "");
    if (type == "input_text" || type == "output_text") {
      content.push_back({{"type", "text"}, {"text", part.at("text")}});
    } else if (type == "input_image") {
      content.push_back(image_part(part));
    } else if (type == "input_file") {
      content.push_back(file_part(part));
    } else if (type == "input_audio") {
      content.push_back(part);
    }
  }
  if (content.size() == 1 && content[0].at("type") == "text") return content[0].at("text");
  return content;
}

json assistant_message(const json& parts) {
  std::string text;
  std::string refusal;
  for (const json& part : parts) {
    // Only the key that belongs to a part's type was checked.
    const std::string& type = part.at("type").get_ref<const std::string&>();
    if (type == "refusal") refusal += part.at("refusal").get_ref<const std::string&>();
    if (type == "output_text" || type == "input_text") text += part.at("text").get_ref<const std::string&>();
  }
  json message{{"role", "assistant"}, {"content", std::move(text)}};
  if (!refusal.empty()) message["refusal"] = std::move(refusal);
  return message;
}

// Calls of one turn, and the text before them, are one message of a chat.
void append_call(json& messages, const json& item) {
  if (messages.empty() || messages.back().at("role") != "assistant") {
    messages.push_back({{"role", "assistant"}, {"content", nullptr}});
  }
  json& message = messages.back();
  json& content = message.at("content");
  if (content.is_string() && content.get_ref<const std::string&>().empty()) content = nullptr;
  message["tool_calls"].push_back({{"id", item.at("call_id")},
                                   {"type", "function"},
                                   {"function", {{"name", item.at("name")}, {"arguments", item.at("arguments")}}}});
}

}  // namespace

std::optional<ApiError> read_response_input(Json value, json& items) {
  items = json::array();
  return ItemReader(items).read(value);
}

void append_chat_messages(json& messages, const json& items) {
  for (const json& item : items) {
    const std::string type = item.value("type", "");
    if (type == "function_call") {
      append_call(messages, item);
    } else if (type == "function_call_output") {
      messages.push_back(
          {{"role", "tool"}, {"tool_call_id", item.at("call_id")}, {"content", chat_content(item.at("output"))}});
    } else if (type == "message" && item.at("role") == "assistant") {
      messages.push_back(assistant_message(item.at("content")));
    } else if (type == "message") {
      messages.push_back({{"role", item.at("role")}, {"content", chat_content(item.at("content"))}});
    }
  }
}

}  // namespace kvasir::gateway
