// The parts of a chat request that are lists: messages, documents, tags.
#include "gateway/request_reader.hpp"

namespace kvasir::gateway {
namespace {

std::optional<rag::Role> role_of(std::string_view name) {
  if (name == "user") return rag::Role::user;
  if (name == "system") return rag::Role::system;
  if (name == "assistant") return rag::Role::assistant;
  if (name == "developer") return rag::Role::developer;
  if (name == "tool" || name == "function") return rag::Role::tool;
  return std::nullopt;
}

}  // namespace

bool RequestReader::messages(std::string_view name, Json value) {
  has_messages_ = true;
  simdjson::dom::array list;
  if (value.get(list) != simdjson::SUCCESS) return fail("Invalid type for 'messages': expected an array.", name);
  if (list.size() == 0) return fail("Invalid 'messages': expected at least one message.", name);
  request_->messages.clear();
  request_->messages.reserve(list.size());
  for (const Json item : list) {
    if (!message(element_name(name, request_->messages.size()), item)) return false;
  }
  if (!request_->text_only) add_extra(name, value);
  return true;
}

bool RequestReader::message(const std::string& place, Json value) {
  simdjson::dom::object object;
  if (value.get(object) != simdjson::SUCCESS)
    return fail("Invalid type for '" + place + "': expected an object.", place);
  std::string_view role_name;
  if (object["role"].get(role_name) != simdjson::SUCCESS) {
    return fail("Missing or invalid '" + place + ".role'.", place + ".role");
  }
  const auto role = role_of(role_name);
  if (!role) {
    return fail(
        "Invalid value for '" + place + ".role': must be one of 'system', 'developer', 'user', 'assistant', 'tool'.",
        place + ".role");
  }
  rag::Message message{*role, "", ""};
  bool has_content = false;
  bool may_lack_content = role_name == "function";
  Json answered;
  if (role_name == "tool" && object["tool_call_id"].get(answered) != simdjson::SUCCESS) {
    return missing(place + ".tool_call_id");
  }
  for (const auto field : object) {
    if (field.value.is_null() || field.key == "role") continue;
    if (field.key == "content") {
      has_content = true;
      if (!content(place + ".content", field.value, message)) return false;
    } else if (field.key == "name") {
      if (!text(place + ".name", field.value, message.name)) return false;
    } else if (field.key == "tool_calls") {
      if (!tool_calls(place + ".tool_calls", field.value, message)) return false;
      may_lack_content = may_lack_content || *role == rag::Role::assistant;
      request_->text_only = false;
    } else if (field.key == "function_call" || field.key == "refusal" || field.key == "audio") {
      may_lack_content = may_lack_content || *role == rag::Role::assistant;
      request_->text_only = false;
      refuse_for_engine(place + "." + std::string(field.key), "models served in this process read text messages only");
    } else if (field.key == "tool_call_id") {
      if (!text(place + ".tool_call_id", field.value, message.tool_call_id)) return false;
      request_->text_only = false;
    } else if (field.key != "cache_control") {
      request_->text_only = false;  // whatever an upstream knows
    }
  }
  if (!has_content && !may_lack_content) {
    return fail("Invalid value for '" + place + ".content': expected a string or an array of parts, got null.",
                place + ".content");
  }
  if (!breakpoint(place, value, {engine::Breakpoint::Of::message, request_->messages.size(), {}, {}})) return false;
  request_->messages.push_back(std::move(message));
  return true;
}

bool RequestReader::content(const std::string& place, Json value, rag::Message& message) {
  if (value.is_string()) return text(place, value, message.text);
  simdjson::dom::array parts;
  if (value.get(parts) != simdjson::SUCCESS) {
    return fail("Invalid type for '" + place + "': expected a string or an array of parts.", place);
  }
  if (parts.size() == 0) return fail("Invalid '" + place + "': expected at least one part.", place);
  std::size_t index = 0;
  for (const Json part : parts) {
    const std::string where = element_name(place, index++);
    std::string_view type;
    if (!part.is_object() || part["type"].get(type) != simdjson::SUCCESS) {
      return fail("Missing or invalid '" + where + ".type'.", where + ".type");
    }
    if (type != "text") {
      request_->text_only = false;
      request_->media_bytes += simdjson::minify(part).size();
      refuse_for_engine(where, "models served in this process read text parts only");
    } else {
      Json words;
      if (part["text"].get(words) != simdjson::SUCCESS) {
        return missing(where + ".text");
      }
      std::string one;
      if (!text(where + ".text", words, one)) return false;
      if (index > 1) message.text += '\n';
      message.text += one;
    }
    const engine::Breakpoint here{engine::Breakpoint::Of::message, request_->messages.size(), {}, message.text.size()};
    if (!breakpoint(where, part, here)) return false;
  }
  return true;
}

bool RequestReader::documents(std::string_view name, Json value) {
  simdjson::dom::array list;
  if (value.get(list) != simdjson::SUCCESS) return fail("Invalid type for 'documents': expected an array.", name);
  for (const Json item : list) {
    const std::string place = element_name(name, request_->documents.size());
    if (!item.is_object()) return fail("Invalid type for '" + place + "': expected an object.", place);
    rag::Document document;
    const std::pair<const char*, std::string*> fields[] = {{"id", &document.id},
                                                           {"text", &document.text},
                                                           {"title", &document.title},
                                                           {"version", &document.version},
                                                           {"group", &document.group}};
    for (const auto& [key, target] : fields) {
      Json field;
      if (item[key].get(field) != simdjson::SUCCESS || field.is_null()) continue;
      if (!text(place + "." + key, field, *target)) return false;
    }
    if (document.text.empty()) {
      return missing(place + ".text");
    }
    if (!breakpoint(place, item, {engine::Breakpoint::Of::document, request_->documents.size(), {}, {}})) return false;
    request_->documents.push_back(std::move(document));
  }
  return true;
}

bool RequestReader::cache_ttl(std::string_view name, Json value) {
  std::int64_t seconds = 0;
  if (!integer(name, value, 1, 366LL * 24 * 3600, seconds)) return false;
  request_->cache_ttl = std::chrono::seconds{seconds};
  return true;
}

bool RequestReader::cache_tags(std::string_view name, Json value) {
  simdjson::dom::array list;
  if (value.get(list) != simdjson::SUCCESS) return fail("Invalid type for 'cache_tags': expected an array.", name);
  if (list.size() > 32) return fail("Invalid 'cache_tags': at most 32 tags.", name);
  for (const Json item : list) {
    std::string tag;
    if (!text(name, item, tag)) return false;
    request_->cache_tags.push_back(std::move(tag));
  }
  return true;
}

bool RequestReader::cache_scope(std::string_view name, Json value) {
  std::string scope;
  if (!text(name, value, scope)) return false;
  if (scope != "tenant" && scope != "user") {
    return fail("Invalid value for 'cache_scope': must be 'tenant' or 'user'.", name);
  }
  request_->user_scope = scope == "user";
  return true;
}

}  // namespace kvasir::gateway
