#include "engine/chat_template.hpp"

#include "engine/jinja_evaluator.hpp"
#include "engine/jinja_parser.hpp"
#include "engine/json_document.hpp"
#include "engine/tool_prompt.hpp"

#include <algorithm>
#include <new>
#include <stdexcept>
#include <utility>
#include <vector>

#include <fmt/core.h>

namespace kvasir::engine {
namespace {

constexpr std::size_t kMaxSourceBytes = 1 << 20;
// A conversation costs some steps and copies for each message and byte, whatever the template.
constexpr std::int64_t kSteps = 1'000'000;
constexpr std::int64_t kStepsPerMessage = 10'000;
constexpr std::int64_t kBytes = 16 << 20;
constexpr std::int64_t kBytesPerByte = 64;
constexpr std::int64_t kBytesPerStep = 4;  // of the conversation, for reading through it again and again

bool instructs(const rag::Message& message) {
  return message.role == rag::Role::system || message.role == rag::Role::developer;
}

jinja::Value to_value(const Json& json) {
  switch (json.type()) {
    case Json::value_t::boolean:
      return json.get<bool>();
    case Json::value_t::number_integer:
    case Json::value_t::number_unsigned:
      return json.get<std::int64_t>();
    case Json::value_t::number_float:
      return json.get<double>();
    case Json::value_t::string:
      return json.get<std::string>();
    case Json::value_t::array: {
      jinja::List list;
      for (const Json& element : json) list.push_back(to_value(element));
      return list;
    }
    case Json::value_t::object: {
      jinja::Dict dict;
      for (const auto& [key, value] : json.items()) dict.entries.emplace_back(key, to_value(value));
      return dict;
    }
    default:
      return jinja::None{};
  }
}

// Templates write JSON themselves and want its values; what is none stays text.
jinja::Value json_value(const std::string& text) {
  const auto json = parse_json(text);
  return json ? to_value(*json) : jinja::Value(text);
}

// Models were trained before the developer's role had its name.
jinja::Value to_value(const rag::Message& message) {
  const rag::Role role = instructs(message) ? rag::Role::system : message.role;
  jinja::Dict dict{{{"role", rag::to_string(role)}, {"content", message.text}}};
  if (!message.name.empty()) dict.set("name", message.name);
  if (!message.tool_call_id.empty()) dict.set("tool_call_id", message.tool_call_id);
  if (message.tool_calls.empty()) return dict;
  jinja::List calls;
  for (const rag::ToolCall& call : message.tool_calls) {
    const jinja::Dict function{{{"name", call.name}, {"arguments", json_value(call.arguments)}}};
    calls.push_back(jinja::Dict{{{"id", call.id}, {"type", "function"}, {"function", function}}});
  }
  dict.set("tool_calls", std::move(calls));
  return dict;
}

jinja::Value to_value(const rag::Document& document) {
  return jinja::Dict{
      {{"id", document.key()}, {"doc_id", document.key()}, {"title", document.title}, {"text", document.text}}};
}

jinja::Value to_value(const Tool& tool) {
  return json_value(tool.definition);
}

template <typename T>
jinja::Value to_list(std::span<const T> elements) {
  jinja::List list;
  for (const T& element : elements) list.push_back(to_value(element));
  return list;
}

std::size_t text_bytes(std::span<const rag::Message> messages, std::span<const rag::Document> documents,
                       std::span<const Tool> tools) {
  std::size_t bytes = 0;
  for (const auto& message : messages) {
    bytes += message.text.size() + message.name.size();
    for (const auto& call : message.tool_calls) bytes += call.name.size() + call.arguments.size();
  }
  for (const auto& tool : tools) bytes += tool.definition.size();
  for (const auto& document : documents) bytes += document.text.size() + document.title.size();
  return bytes;
}

// For templates that know no system role: its text goes in front of the first user message.
std::vector<rag::Message> fold_system(std::span<const rag::Message> messages) {
  std::string system;
  std::vector<rag::Message> folded;
  for (const rag::Message& message : messages) {
    if (instructs(message)) {
      system += message.text + "\n";
    } else {
      folded.push_back(message);
    }
  }
  const auto user = std::find_if(folded.begin(), folded.end(), [](const auto& m) { return m.role == rag::Role::user; });
  if (user != folded.end()) user->text = system + user->text;
  return folded;
}

}  // namespace

struct ChatTemplate::Impl {
  jinja::Template parsed;
  std::string bos;
  std::string eos;
  ToolForm tool_form = ToolForm::tagged;
  bool knows_tools = false;
  bool knows_system = true;

  std::string render(std::span<const rag::Message> messages, std::span<const rag::Document> documents,
                     bool add_generation_prompt, std::span<const Tool> tools = {}) const {
    jinja::Dict variables;
    variables.set("messages", to_list(messages));
    variables.set("documents", documents.empty() ? jinja::Value(jinja::None{}) : to_list(documents));
    variables.set("tools", tools.empty() ? jinja::Value(jinja::None{}) : to_list(tools));
    variables.set("add_generation_prompt", add_generation_prompt);
    variables.set("bos_token", bos);
    variables.set("eos_token", eos);
    const auto count = static_cast<std::int64_t>(messages.size() + documents.size() + tools.size());
    const auto bytes = static_cast<std::int64_t>(text_bytes(messages, documents, tools));
    return jinja::evaluate(
        parsed, std::move(variables),
        jinja::Budget(kSteps + kStepsPerMessage * count + bytes / kBytesPerStep, kBytes + kBytesPerByte * bytes));
  }

  // Whether a system message reaches the text. Some templates refuse it, some leave it out without a word.
  bool shows_system() const {
    constexpr std::string_view kProbe = "Speak like a raven.";
    const std::vector<rag::Message> messages{{rag::Role::system, std::string(kProbe), ""},
                                             {rag::Role::user, "Hello", ""}};
    try {
      return render(messages, {}, true).find(kProbe) != std::string::npos;
    } catch (const jinja::TemplateError& error) {
      return error.kind() != jinja::TemplateError::Kind::raised;
    }
  }
};

ChatTemplate::ChatTemplate(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
ChatTemplate::ChatTemplate(ChatTemplate&&) noexcept = default;
ChatTemplate& ChatTemplate::operator=(ChatTemplate&&) noexcept = default;
ChatTemplate::~ChatTemplate() = default;

Result<ChatTemplate> ChatTemplate::parse(std::string_view source, std::string bos, std::string eos) {
  if (source.size() > kMaxSourceBytes) {
    return Error{
        .code = ErrorCode::unsupported_model, .message = "the chat template is larger than 1 MiB", .param = {}};
  }
  const auto failure = [](std::string message) {
    return Error{.code = ErrorCode::unsupported_model, .message = std::move(message), .param = {}};
  };
  try {
    auto impl =
        std::make_unique<Impl>(Impl{.parsed = jinja::parse(source), .bos = std::move(bos), .eos = std::move(eos)});
    // A template that shows tools, but whose calls would look like neither form, is not asked to.
    const bool tagged = source.find("<tool_call>") != std::string_view::npos;
    const bool bare = source.find("\"parameters\"") != std::string_view::npos;
    impl->knows_tools = impl->parsed.names.contains("tools") && (tagged || bare);
    impl->tool_form = impl->knows_tools && !tagged ? ToolForm::bare : ToolForm::tagged;
    impl->knows_system = impl->shows_system();
    return ChatTemplate(std::move(impl));
  } catch (const jinja::TemplateError& error) {
    return failure(fmt::format("the chat template cannot be read, {}", error.what()));
  } catch (const std::bad_alloc&) {
    return failure("the chat template cannot be read with the memory that is left");
  } catch (const std::length_error&) {
    return failure("the chat template makes text that is too long");
  }
}

bool ChatTemplate::knows_documents() const {
  return impl_->parsed.names.contains("documents");
}

ToolForm ChatTemplate::tool_form() const {
  return impl_->tool_form;
}

Result<std::string> ChatTemplate::render(std::span<const rag::Message> messages,
                                         std::span<const rag::Document> documents, bool add_generation_prompt,
                                         std::span<const Tool> tools) const {
  const auto failure = [](std::string message) {
    return Error{.code = ErrorCode::bad_request, .message = std::move(message), .param = "messages"};
  };
  const bool tells_of_tools = !tools.empty() || std::any_of(messages.begin(), messages.end(), [](const auto& message) {
    return !message.tool_calls.empty() || !message.tool_call_id.empty();
  });
  std::vector<rag::Message> spelled_out;
  if (tells_of_tools && !impl_->knows_tools) {
    spelled_out = spell_out_tools(messages, tools);
    messages = spelled_out;
    tools = {};
  }
  try {
    if (impl_->knows_system || std::none_of(messages.begin(), messages.end(), instructs)) {
      return impl_->render(messages, documents, add_generation_prompt, tools);
    }
    return impl_->render(fold_system(messages), documents, add_generation_prompt, tools);
  } catch (const jinja::TemplateError& error) {
    const bool raised = error.kind() == jinja::TemplateError::Kind::raised;
    return failure(raised ? error.what() : fmt::format("the chat template fails, {}", error.what()));
  } catch (const std::bad_alloc&) {
    return failure("the messages cannot be rendered with the memory that is left");
  } catch (const std::length_error&) {
    return failure("the chat template makes text of the messages that is too long");
  }
}

}  // namespace kvasir::engine
