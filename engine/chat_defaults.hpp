// Chat templates by name, for files that have none or one that is not wanted.
#pragma once

#include "engine/model_file.hpp"
#include "engine/tokenizer.hpp"

#include <array>
#include <string_view>

namespace kvasir::engine {

inline constexpr std::array<std::string_view, 7> kChatTemplateNames{"chatml", "gemma",   "llama2", "llama3",
                                                                    "phi3",   "mistral", "plain"};

// The Jinja text of one of these names; empty for any other.
std::string_view chat_template_source(std::string_view name);

// The name of the template whose marks the vocabulary has as tokens, or that the model's name tells of; "plain" if
// nothing does: a model that was trained for no chat still answers after "Assistant:".
std::string_view default_chat_template(const ModelFile& file, const Tokenizer& tokenizer);

}  // namespace kvasir::engine
