#include "engine/chat_template.hpp"

#include "engine/jinja_evaluator.hpp"
#include "engine/jinja_parser.hpp"

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

constexpr std::string_view kChatMl =
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>\\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}";

bool instructs(const rag::Message& message) {
  return message.role == rag::Role::system || message.role == rag::Role::developer;
}

// Models were trained before the developer's role had its name.
jinja::Value to_value(const rag::Message& message) {
  const rag::Role role = instructs(message) ? rag::Role::system : message.role;
  jinja::Dict dict{{{"role", rag::to_string(role)}, {"content", message.text}}};
  if (!message.name.empty()) dict.set("name", message.name);
  return dict;
}

jinja::Value to_value(const rag::Document& document) {
  return jinja::Dict{
      {{"id", document.key()}, {"doc_id", document.key()}, {"title", document.title}, {"text", document.text}}};
}

template <typename T>
jinja::Value to_list(std::span<const T> elements) {
  jinja::List list;
  for (const T& element : elements) list.push_back(to_value(element));
  return list;
}

std::size_t text_bytes(std::span<const rag::Message> messages, std::span<const rag::Document> documents) {
  std::size_t bytes = 0;
  for (const auto& message : messages) bytes += message.text.size() + message.name.size();
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
  bool knows_system = true;

  std::string render(std::span<const rag::Message> messages, std::span<const rag::Document> documents,
                     bool add_generation_prompt) const {
    jinja::Dict variables;
    variables.set("messages", to_list(messages));
    variables.set("documents", documents.empty() ? jinja::Value(jinja::None{}) : to_list(documents));
    variables.set("tools", jinja::None{});
    variables.set("add_generation_prompt", add_generation_prompt);
    variables.set("bos_token", bos);
    variables.set("eos_token", eos);
    const auto count = static_cast<std::int64_t>(messages.size() + documents.size());
    const auto bytes = static_cast<std::int64_t>(text_bytes(messages, documents));
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
    auto impl = std::make_unique<Impl>(Impl{jinja::parse(source), std::move(bos), std::move(eos)});
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

ChatTemplate ChatTemplate::chatml() {
  return *parse(kChatMl, "", "");
}

bool ChatTemplate::knows_documents() const {
  return impl_->parsed.names.contains("documents");
}

Result<std::string> ChatTemplate::render(std::span<const rag::Message> messages,
                                         std::span<const rag::Document> documents, bool add_generation_prompt) const {
  const auto failure = [](std::string message) {
    return Error{.code = ErrorCode::bad_request, .message = std::move(message), .param = "messages"};
  };
  try {
    if (impl_->knows_system || std::none_of(messages.begin(), messages.end(), instructs)) {
      return impl_->render(messages, documents, add_generation_prompt);
    }
    return impl_->render(fold_system(messages), documents, add_generation_prompt);
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
