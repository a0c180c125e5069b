#include "engine/chat_defaults.hpp"

#include <algorithm>
#include <cctype>
#include <string>
#include <vector>

namespace kvasir::engine {
namespace {

struct Named {
  std::string_view name;
  std::string_view source;
};

// None writes BOS in front: the tokenizer adds it where the file says so. Where a family knows no system role, its text
// goes in front of the first message, as that family's own template has it.
constexpr std::array<Named, kChatTemplateNames.size()> kTemplates{{
    {"chatml", R"({% for message in messages -%}
{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>\n' }}
{%- endfor %}
{%- if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %})"},
    {"gemma", R"({% set system = messages[0]['content'] + '\n\n' if messages[0]['role'] == 'system' else '' -%}
{% for message in messages -%}
{% if not (loop.first and system) -%}
{{ '<start_of_turn>' + ('model' if message['role'] == 'assistant' else 'user') + '\n' }}
{%- if system and loop.index0 == 1 %}{{ system }}{% endif -%}
{{ message['content'] | trim + '<end_of_turn>\n' }}
{%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}{{ '<start_of_turn>model\n' }}{% endif %})"},
    {"llama2", R"({% set system = messages[0]['content'] if messages[0]['role'] == 'system' else '' -%}
{% for message in messages -%}
{% if message['role'] == 'assistant' -%}
{{ ' ' + message['content'] | trim + ' ' + eos_token }}
{%- elif not (loop.first and system) -%}
{{ bos_token + '[INST] ' }}
{%- if system and loop.index0 == 1 %}{{ '<<SYS>>\n' + system + '\n<</SYS>>\n\n' }}{% endif -%}
{{ message['content'] | trim + ' [/INST]' }}
{%- endif %}
{%- endfor %})"},
    {"llama3", R"({% for message in messages -%}
{{ '<|start_header_id|>' + message['role'] + '<|end_header_id|>\n\n' + message['content'] | trim + '<|eot_id|>' }}
{%- endfor %}
{%- if add_generation_prompt %}{{ '<|start_header_id|>assistant<|end_header_id|>\n\n' }}{% endif %})"},
    {"phi3", R"({% for message in messages -%}
{{ '<|' + message['role'] + '|>\n' + message['content'] + '<|end|>\n' }}
{%- endfor %}
{%- if add_generation_prompt %}{{ '<|assistant|>\n' }}{% endif %})"},
    {"mistral", R"({% set system = messages[0]['content'] + '\n\n' if messages[0]['role'] == 'system' else '' -%}
{% for message in messages -%}
{% if message['role'] == 'assistant' -%}
{{ ' ' + message['content'] | trim + eos_token }}
{%- elif not (loop.first and system) -%}
{{ '[INST] ' }}
{%- if system and loop.index0 == 1 %}{{ system }}{% endif -%}
{{ message['content'] | trim + ' [/INST]' }}
{%- endif %}
{%- endfor %})"},
    {"plain", R"({% for message in messages -%}
{% if message['role'] == 'system' %}{{ message['content'] + '\n\n' }}
{%- elif message['role'] == 'assistant' %}{{ 'Assistant: ' + message['content'] + '\n' }}
{%- else %}{{ 'User: ' + message['content'] + '\n' }}{% endif %}
{%- endfor %}
{%- if add_generation_prompt %}{{ 'Assistant:' }}{% endif %})"},
}};

bool is_token(const Tokenizer& tokenizer, std::string_view mark) {
  const std::vector<TokenId> tokens = tokenizer.encode(mark, true);
  return std::any_of(tokens.begin(), tokens.end(), [&](TokenId token) { return tokenizer.piece(token) == mark; });
}

struct Marks {
  std::string_view name;
  std::array<std::string_view, 2> tokens;
};
constexpr std::array<Marks, 5> kMarks{{{"chatml", {"<|im_start|>", "<|im_end|>"}},
                                       {"gemma", {"<start_of_turn>", "<end_of_turn>"}},
                                       {"llama3", {"<|start_header_id|>", "<|eot_id|>"}},
                                       {"phi3", {"<|assistant|>", "<|end|>"}},
                                       {"mistral", {"[INST]", "[/INST]"}}}};

}  // namespace

std::string_view chat_template_source(std::string_view name) {
  const auto* found =
      std::find_if(kTemplates.begin(), kTemplates.end(), [&](const Named& known) { return known.name == name; });
  return found == kTemplates.end() ? std::string_view() : found->source;
}

std::string_view default_chat_template(const ModelFile& file, const Tokenizer& tokenizer) {
  for (const auto& [name, tokens] : kMarks) {
    if (is_token(tokenizer, tokens[0]) && is_token(tokenizer, tokens[1])) return name;
  }
  // Both families write [INST] as text.
  std::string name = file.text("general.name") == nullptr ? "" : *file.text("general.name");
  for (char& letter : name) letter = static_cast<char>(std::tolower(static_cast<unsigned char>(letter)));
  const auto says = [&](std::string_view word) { return name.find(word) != name.npos; };
  if (says("mistral") && says("instruct")) return "mistral";
  if ((says("llama-2") || says("llama 2") || says("llama2")) && says("chat")) return "llama2";
  return "plain";
}

}  // namespace kvasir::engine
