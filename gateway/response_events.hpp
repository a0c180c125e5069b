// The output of a response as it grows, and the events that tell of it (OpenAI's ladder; `sequence_number` from 0).
#pragma once

#include "gateway/chat_piece.hpp"

#include <cstddef>
#include <deque>
#include <optional>
#include <string>
#include <string_view>

#include <nlohmann/json.hpp>

namespace kvasir::gateway {

// Appends whole events: created, in_progress, then for each item output_item.added … output_item.done, then the end.
class ResponseEvents {
 public:
  // response.created, response.completed, …: an event that carries the whole response.
  void lifecycle(std::string& out, std::string_view type, const nlohmann::json& response);
  // New text, refusal or parts of calls; items open when something of theirs comes first.
  void piece(std::string& out, const ChatPiece& piece);
  // Closes the last item. `status`: "completed" or "incomplete". Without any output there will be an empty message.
  void close(std::string& out, std::string_view status);

  // Whole items as `output` shows them, each from its opening to its end.
  void replay(std::string& out, const nlohmann::json& items);

  // The items, as `output` shows them.
  nlohmann::json output() const;

 private:
  enum class Kind { message, call };
  struct Part {
    bool refusal = false;
    std::string text;
    std::string logprobs;  // items
  };
  struct Item {
    Kind kind = Kind::message;
    std::string id;
    std::string_view status = "in_progress";  // until it is closed
    std::deque<Part> parts;                   // of a message
    int call_index = 0;                       // in the chat's words
    std::string call_id;
    std::string name;
    std::string arguments;
  };

  void event(std::string& out, std::string_view type, const nlohmann::json& fields);
  void begin_event(std::string& out, std::string_view type);
  // Whatever was open before is complete.
  Item& open(std::string& out, Item item);
  void close_open_ones(std::string& out, std::string_view last_status);
  void text(std::string& out, std::string_view delta, std::string_view logprobs, bool refusal);
  void add_text(std::string& out, Item& item, std::string_view delta, std::string_view logprobs, bool refusal);
  void add_arguments(std::string& out, Item& item, const std::string& delta);
  void call(std::string& out, const ToolCallPiece& piece);
  void close_message(std::string& out, const Item& item, std::size_t index);
  static nlohmann::json part_json(const Part& part);
  static nlohmann::json item_json(const Item& item);
  std::size_t index_of(const Item& item) const;

  std::deque<Item> items_;
  int sequence_number_ = 0;
};

// As JSON text; what is not UTF-8 is replaced.
std::string text_of(const nlohmann::json& value);
// The whole ladder of a response that is over.
std::string replay_events(const nlohmann::json& response);

}  // namespace kvasir::gateway
