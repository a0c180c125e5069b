#include "gateway/response_events.hpp"

#include "gateway/http_message.hpp"
#include "gateway/json_text.hpp"

#include <algorithm>

namespace kvasir::gateway {
namespace {

using json = nlohmann::json;

json logprobs_json(const std::string& items) {
  return json::parse("[" + items + "]", nullptr, false);
}

}  // namespace

std::string text_of(const json& value) {
  return value.dump(-1, ' ', false, json::error_handler_t::replace);
}

std::string replay_events(const json& response) {
  std::string out;
  ResponseEvents events;
  json begun = response;
  for (const char* later : {"usage", "error", "incomplete_details"}) begun[later] = nullptr;
  for (const char* later : {"completed_at", "cached", "kvasir"}) begun.erase(later);
  begun["output"] = json::array();
  begun["status"] = "in_progress";
  events.lifecycle(out, "response.created", begun);
  events.lifecycle(out, "response.in_progress", begun);
  events.replay(out, response.at("output"));
  events.lifecycle(out, "response." + response.at("status").get<std::string>(), response);
  return out;
}

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
  close_open_ones(out, "completed");
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
  const bool open_message =
      !items_.empty() && items_.back().kind == Kind::message && items_.back().status == "in_progress";
  Item& item =
      open_message ? items_.back() : open(out, {Kind::message, random_id("msg_"), "in_progress", {}, 0, "", "", ""});
  add_text(out, item, delta, logprobs, refusal);
}

void ResponseEvents::add_text(std::string& out, Item& item, std::string_view delta, std::string_view logprobs,
                              bool refusal) {
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
  item.status = "in_progress";  // a server may write two calls at once: this one is not over yet
  if (!piece.arguments.empty()) add_arguments(out, item, piece.arguments);
}

void ResponseEvents::add_arguments(std::string& out, Item& item, const std::string& delta) {
  item.arguments += delta;
  event(out, "response.function_call_arguments.delta",
        {{"item_id", item.id}, {"output_index", index_of(item)}, {"delta", delta}});
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

void ResponseEvents::close_open_ones(std::string& out, std::string_view last_status) {
  for (std::size_t i = 0; i < items_.size(); ++i) {
    Item& item = items_[i];
    if (item.status != "in_progress") continue;
    item.status = i + 1 == items_.size() ? last_status : "completed";
    if (item.kind == Kind::message) {
      close_message(out, item, i);
    } else {
      event(out, "response.function_call_arguments.done",
            {{"item_id", item.id}, {"output_index", i}, {"name", item.name}, {"arguments", item.arguments}});
    }
    event(out, "response.output_item.done", {{"output_index", i}, {"item", item_json(item)}});
  }
}

void ResponseEvents::close(std::string& out, std::string_view status) {
  if (items_.empty()) text(out, "", "", false);
  close_open_ones(out, status);
}

void ResponseEvents::replay(std::string& out, const json& items) {
  for (const json& known : items) {
    const bool call = known.at("type") == "function_call";
    Item& item = open(out, {call ? Kind::call : Kind::message,
                            known.at("id").get<std::string>(),
                            "in_progress",
                            {},
                            0,
                            known.value("call_id", ""),
                            known.value("name", ""),
                            ""});
    if (call) add_arguments(out, item, known.at("arguments").get<std::string>());
    for (const json& part : known.value("content", json::array())) {
      const bool refusal = part.at("type") == "refusal";
      const std::string logprobs = refusal ? "[]" : text_of(part.at("logprobs"));
      add_text(out, item, part.at(refusal ? "refusal" : "text").get_ref<const std::string&>(),
               std::string_view(logprobs).substr(1, logprobs.size() - 2), refusal);
    }
    close_open_ones(out, known.at("status") == "incomplete" ? "incomplete" : "completed");
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
