#include "engine/prompt_places.hpp"

#include "kernels/kernels.hpp"

#include <algorithm>
#include <string>
#include <utility>

namespace kvasir::engine {
namespace {

// U+E000, of private use: no text is expected to go on like this.
constexpr std::string_view kChange = "\xEE\x80\x80";

// Takes off `rest` what the token says; false if the text does not go on like that.
bool take_token(const Tokenizer& tokenizer, std::string_view& rest, TokenId token, bool first) {
  const bool control = tokenizer.is_control(token);
  std::string_view says = control ? tokenizer.piece(token) : tokenizer.bytes(token);
  // The tokenizer put BOS there, and a space in front of texts.
  if (first && token == tokenizer.bos() && !rest.starts_with(says)) return true;
  if (tokenizer.adds_space() && !control && says.starts_with(' ') && !rest.starts_with(says)) says.remove_prefix(1);
  // Some special tokens swallow the white space behind them.
  if (!rest.starts_with(says)) rest.remove_prefix(std::min(rest.find_first_not_of(" \t\n\v\f\r"), rest.size()));
  if (!rest.starts_with(says)) return false;
  rest.remove_prefix(says.size());
  return true;
}

std::size_t common_bytes(std::string_view a, std::string_view b) {
  const auto limit = static_cast<std::ptrdiff_t>(std::min(a.size(), b.size()));
  return static_cast<std::size_t>(std::mismatch(a.begin(), a.begin() + limit, b.begin()).first - a.begin());
}

// The prompt with a change right behind the breakpoint.
rag::Prompt changed_at(rag::Prompt prompt, const Breakpoint& at) {
  if (at.of == Breakpoint::Of::document) {
    std::vector<rag::Document> documents = prompt.documents.in_order();
    documents[at.index].text += kChange;
    prompt.documents = rag::DocumentSet(std::move(documents));
  } else {
    std::string& text = prompt.messages[at.index].text;
    text.insert(std::min(at.text_end.value_or(text.size()), text.size()), kChange);
  }
  return prompt;
}

// Bytes of `text` up to the breakpoint; 0: it cannot be found.
std::size_t find_end(const PromptRenderer& renderer, const GenerateInput& input, const Breakpoint& at,
                     std::string_view text) {
  const bool document = at.of == Breakpoint::Of::document;
  const std::size_t count = document ? input.prompt.documents.in_order().size() : input.prompt.messages.size();
  if (at.index >= count) return 0;
  std::size_t end = 0;
  const auto changed = renderer.render(changed_at(input.prompt, at), input.tools);
  if (changed && *changed != text) end = common_bytes(*changed, text);
  if (document || at.text_end) return end;
  // What a template writes of a message behind its text: the calls of an assistant, the mark of its end.
  const auto beginning = renderer.render_beginning(input.prompt, input.tools, at.index + 1);
  return beginning ? std::max(end, common_bytes(*beginning, text)) : end;
}

}  // namespace

std::vector<std::size_t> token_ends(const Tokenizer& tokenizer, std::string_view text,
                                    std::span<const TokenId> tokens) {
  std::vector<std::size_t> ends(tokens.size(), text.size());
  std::string_view rest = text;
  for (std::size_t i = 0; i < tokens.size() && take_token(tokenizer, rest, tokens[i], i == 0); ++i)
    ends[i] = text.size() - rest.size();
  return ends;
}

std::vector<DocumentMark> find_documents(std::string_view text, std::span<const std::size_t> ends,
                                         const rag::DocumentSet& documents) {
  std::vector<DocumentMark> marks;
  for (const rag::Document& document : documents.in_order()) {
    const std::size_t at = text.find(document.text);
    // A template that rewrites the text hides where it lies: the mark then covers the whole prompt.
    const auto token = std::upper_bound(ends.begin(), ends.end(), at == std::string_view::npos ? 0 : at);
    if (token != ends.end()) marks.push_back({static_cast<int>(token - ends.begin()), document.key()});
  }
  std::ranges::sort(marks, {}, [](const DocumentMark& mark) { return std::tie(mark.token, mark.key); });
  return marks;
}

std::vector<PinMark> find_breakpoints(const PromptRenderer& renderer, const GenerateInput& input,
                                      std::span<const Breakpoint> breakpoints, std::string_view text,
                                      std::span<const std::size_t> ends) {
  std::vector<PinMark> marks;
  for (const Breakpoint& breakpoint : breakpoints) {
    const std::size_t end = find_end(renderer, input, breakpoint, text);
    const auto token = std::upper_bound(ends.begin(), ends.end(), end);
    marks.push_back({static_cast<int>(token - ends.begin()) / kernels::kKvBlock * kernels::kKvBlock, breakpoint.ttl});
  }
  std::ranges::sort(marks, {}, [](const PinMark& mark) { return std::pair(mark.tokens, -mark.ttl); });
  const auto same = std::ranges::unique(marks, {}, &PinMark::tokens);
  marks.erase(same.begin(), same.end());
  std::erase_if(marks, [](const PinMark& mark) { return mark.tokens == 0; });
  return marks;
}

std::optional<Breakpoint> end_of_system(const rag::Prompt& prompt, std::chrono::seconds ttl) {
  const auto turn = std::ranges::find_if_not(prompt.messages, [](const rag::Message& message) {
    return message.role == rag::Role::system || message.role == rag::Role::developer;
  });
  if (turn == prompt.messages.begin()) return std::nullopt;
  return Breakpoint{Breakpoint::Of::message, static_cast<std::size_t>(turn - prompt.messages.begin()) - 1, ttl, {}};
}

}  // namespace kvasir::engine
