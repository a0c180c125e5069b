#include "gateway/response_events.hpp"

#include "gateway/http_message.hpp"
#include "gateway/json_text.hpp"

#include <algorithm>

namespace kvasir::gateway {
namespace {

using json = nlohmann::json;

std::string text_of(const json& value) {
  return value.dump(-1, ' ', false, json::error_handler_t::replace);
}

json logprobs_json(const std::string& items) {
  return json::parse("[" + items + "]", nullptr, false);
}

}  // namespace

void ResponseEvents::begin_event(std::string& out, std::string_view type) {
  out.append("event: ").append(type).append("\ndata: {\"type\":\"").append(type).append("\",\"sequence_number\":");
  append_number(out, sequence_number_++);
}

void ResponseEvents::event(std::string& out, std::string_view type, const json& fields) {
  begin_event(out, type);
  for (const auto& [name, value] : fields.items()) out.append(",\"").append(name).append("\":").append(text_of(value));
  out += "}\n\n";
}

void ResponseEvents::lifecycle(std::string& out, std::string_view type, const json& response) {
  event(out, type, {{"response", response}});
}

std::size_t ResponseEvents::index_of(const Item& item) const {
  const auto found = std::find_if(items_.begin(), items_.end(), [&](const Item& other) { return &other == &item; });
  return static_cast<std::size_t>(found - items_.begin());
}

ResponseEvents::Item& ResponseEvents::open(std::string& out, Item item) {
  items_.push_back(std::move(item));
  event(out, "response.output_item.added", {{"output_index", items_.size() - 1}, {"item", item_json(items_.back())}});
  return items_.back();
}

void ResponseEvents::piece(std::string& out, const ChatPiece& piece) {
  if (!piece.text.empty() || !piece.logprobs.empty()) text(out, piece.text, piece.logprobs, false);
  if (!piece.refusal.empty()) text(out, piece.refusal, "", true);
  for (const ToolCallPiece& part : piece.tool_calls) call(out, part);
}

void ResponseEvents::text(std::string& out, std::string_view delta, std::string_view logprobs, bool refusal) {
  const auto found =
      std::find_if(items_.begin(), items_.end(), [](const Item& item) { return item.kind == Kind::message; });
  Item& item =
      found != items_.end() ? *found : open(out, {Kind::message, random_id("msg_"), "in_progress", {}, 0, "", "", ""});
  const std::size_t index = index_of(item);
  if (item.parts.empty() || item.parts.back().refusal != refusal) {
    item.parts.push_back({refusal, "", ""});
    event(out, "response.content_part.added",
          {{"item_id", item.id},
           {"output_index", index},
           {"content_index", item.parts.size() - 1},
           {"part", part_json(item.parts.back())}});
  }
  Part& part = item.parts.back();
  part.text += delta;
  if (!logprobs.empty()) part.logprobs.append(part.logprobs.empty() ? "" : ",").append(logprobs);
  begin_event(out, refusal ? "response.refusal.delta" : "response.output_text.delta");
  out.append(R"(,"item_id":")").append(item.id).append(R"(","output_index":)");
  append_number(out, index);
  out += R"(,"content_index":)";
  append_number(out, item.parts.size() - 1);
  out += R"(,"delta":)";
  append_json_string(out, delta);
  if (!refusal) out.append(R"(,"logprobs":[)").append(logprobs).append("]");
  out += "}\n\n";
}

void ResponseEvents::call(std::string& out, const ToolCallPiece& piece) {
  const auto found = std::find_if(items_.begin(), items_.end(), [&](const Item& item) {
    return item.kind == Kind::call && item.call_index == piece.index;
  });
  Item& item = found != items_.end() ? *found
                                     : open(out, {Kind::call,
                                                  random_id("fc_"),
                                                  "in_progress",
                                                  {},
                                                  piece.index,
                                                  piece.id.empty() ? random_id("call_") : piece.id,
                                                  piece.name,
                                                  ""});
  if (piece.arguments.empty()) return;
  item.arguments += piece.arguments;
  event(out, "response.function_call_arguments.delta",
        {{"item_id", item.id}, {"output_index", index_of(item)}, {"delta", piece.arguments}});
}

void ResponseEvents::close_message(std::string& out, const Item& item, std::size_t index) {
  for (std::size_t i = 0; i < item.parts.size(); ++i) {
    const Part& part = item.parts[i];
    json fields{{"item_id", item.id}, {"output_index", index}, {"content_index", i}};
    json whole = fields;
    whole["part"] = part_json(part);
    fields[part.refusal ? "refusal" : "text"] = part.text;
    if (!part.refusal) fields["logprobs"] = logprobs_json(part.logprobs);
    event(out, part.refusal ? "response.refusal.done" : "response.output_text.done", fields);
    event(out, "response.content_part.done", whole);
  }
}

void ResponseEvents::close(std::string& out, std::string_view status) {
  if (items_.empty()) text(out, "", "", false);
  for (std::size_t i = 0; i < items_.size(); ++i) {
    Item& item = items_[i];
    item.status = i + 1 == items_.size() ? status : "completed";
    if (item.kind == Kind::message) {
      close_message(out, item, i);
    } else {
      event(out, "response.function_call_arguments.done",
            {{"item_id", item.id}, {"output_index", i}, {"name", item.name}, {"arguments", item.arguments}});
    }
    event(out, "response.output_item.done", {{"output_index", i}, {"item", item_json(item)}});
  }
}

json ResponseEvents::part_json(const Part& part) {
  if (part.refusal) return {{"type", "refusal"}, {"refusal", part.text}};
  return {{"type", "output_text"},
          {"text", part.text},
          {"annotations", json::array()},
          {"logprobs", logprobs_json(part.logprobs)}};
}

json ResponseEvents::item_json(const Item& item) {
  if (item.kind == Kind::call) {
    return {{"id", item.id},           {"type", "function_call"}, {"status", item.status},
            {"call_id", item.call_id}, {"name", item.name},       {"arguments", item.arguments}};
  }
  json content = json::array();
  for (const Part& part : item.parts) content.push_back(part_json(part));
  return {{"id", item.id},
          {"type", "message"},
          {"status", item.status},
          {"role", "assistant"},
          {"content", std::move(content)}};
}

json ResponseEvents::output() const {
  json items = json::array();
  for (const Item& item : items_) items.push_back(item_json(item));
  return items;
}

}  // namespace kvasir::gateway
