#include "rag/context_pattern.hpp"

#include <algorithm>
#include <array>
#include <cassert>
#include <cstring>
#include <iterator>

namespace kvasir::rag {
namespace {

constexpr std::string_view kBlank = " \t\n\r";
constexpr std::string_view kContext = "context";

// LlamaIndex: text QA prompts of its query engines and the context chat engine. LangChain: hub prompt rlm/rag-prompt,
// the "stuff" chains' prompts for completion and chat models, and the prompts of its RAG tutorials.
constexpr std::string_view kBuiltIn[] = {
    "{anything}\nContext information is below.\n{documents}\nGiven the context{anything}\nQuery:{question}\nAnswer:",
    "{anything}\nContext information is below.\n{documents}\nGiven the context{anything}the question:{question}",
    "{anything}\nQuestion:{question}\nContext:{documents}\nAnswer:",
    "{anything}\nQuestion:{question}\nContext:{documents}",
    "{anything}to answer the question at the end.{anything}\n\n{documents}\n\nQuestion:{question}\nHelpful Answer:",
    "{anything}to answer the question at the end.{anything}\n\n{documents}\n\nQuestion:{question}",
    "{anything}on the following context:\n{documents}\n\nQuestion:{question}",
    "{anything}\nContext:{documents}\nQuestion:{question}\nHelpful Answer:",
    "{anything}\nContext:{documents}\nQuestion:{question}\nAnswer:",
    "{anything}\nContext:{documents}\n\nQuestion:{question}",

    "{anything}Use the following pieces of context to answer{anything}\n----------------\n{documents}",
    "{anything}Use the following pieces of retrieved context to answer{anything}\n\n{documents}",
    "{anything}Use the context information below to assist the user.{documents}",
    "{anything}on the following context:\n{documents}",
    "{anything}\nContext:{documents}"};

std::string lower_case(std::string_view text) {
  std::string lower(text);
  for (char& c : lower)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c + ('a' - 'A'));
  return lower;
}

// As rfind, which looks at every place.
std::size_t find_last(std::string_view text, std::string_view literal, std::size_t last) {
  for (std::size_t end = std::min(last + 1, text.size()); end > 0;) {
    const void* at = memrchr(text.data(), literal.front(), end);
    if (at == nullptr) return std::string_view::npos;
    end = static_cast<std::size_t>(static_cast<const char*>(at) - text.data());
    if (text.substr(end).starts_with(literal)) return end;
  }
  return std::string_view::npos;
}

std::string_view trim(std::string_view text) {
  const auto first = text.find_first_not_of(kBlank);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(kBlank) - first + 1);
}

// Without the ruled lines ("-----") that fence it.
std::string_view unfenced(std::string_view text) {
  const auto ruled = [](std::string_view line) {
    line = trim(line);
    return line.size() >= 3 && line.find_first_not_of("-=") == std::string_view::npos;
  };
  text = trim(text);
  while (!text.empty() && ruled(text.substr(0, text.find('\n')))) {
    text.remove_prefix(std::min(text.find('\n'), text.size()));
    text = trim(text);
  }
  while (!text.empty()) {
    const auto line = text.rfind('\n');
    const auto begin = line == std::string_view::npos ? 0 : line + 1;
    if (!ruled(text.substr(begin))) break;
    text = trim(text.substr(0, begin));
  }
  return text;
}

}  // namespace

std::vector<ContextPattern::Part> ContextPattern::parse(std::string_view form, std::string& complaint) {
  constexpr std::array<std::pair<std::string_view, Kind>, 3> placeholders{
      {{"{documents}", Kind::documents}, {"{question}", Kind::question}, {"{anything}", Kind::anything}}};
  std::vector<Part> parts;
  std::string literal;
  const auto end_literal = [&] {
    if (!literal.empty()) parts.push_back({Kind::literal, lower_case(literal)});
    literal.clear();
  };
  while (!form.empty()) {
    const auto placeholder =
        std::ranges::find_if(placeholders, [&](const auto& known) { return form.starts_with(known.first); });
    if (placeholder == placeholders.end()) {
      literal += form.front();
      form.remove_prefix(1);
      continue;
    }
    end_literal();
    if (!parts.empty() && parts.back().kind != Kind::literal) complaint = "there must be text between two placeholders";
    parts.push_back({placeholder->second, {}});
    form.remove_prefix(placeholder->first.size());
  }
  end_literal();
  const auto times = [&](Kind kind) { return std::ranges::count(parts, kind, &Part::kind); };
  if (times(Kind::documents) != 1) complaint = "it must have {documents} once";
  if (times(Kind::question) > 1) complaint = "it may have {question} once only";
  if (times(Kind::literal) == 0) complaint = "it must have text besides its placeholders";
  return parts;
}

std::string ContextPattern::complaint(std::string_view form) {
  std::string wrong;
  parse(form, wrong);
  return wrong;
}

ContextPattern::ContextPattern(std::string_view form) {
  std::string wrong;
  parts_ = parse(form, wrong);
  assert(wrong.empty());
  const auto documents = std::ranges::find(parts_, Kind::documents, &Part::kind);
  documents_ = static_cast<std::size_t>(documents - parts_.begin());
  asks_ = std::ranges::find(parts_, Kind::question, &Part::kind) != parts_.end();
  needs_context_ =
      std::ranges::any_of(parts_, [](const Part& part) { return part.text.find(kContext) != part.text.npos; });
}

bool ContextPattern::match_front(std::string_view text, std::string_view lower, std::size_t& at,
                                 std::vector<Held>& held) const {
  for (std::size_t i = 0; i < documents_; ++i) {
    const Part& part = parts_[i];
    if (part.kind != Kind::literal) continue;
    const bool after_placeholder = i > 0;
    const auto found = after_placeholder              ? lower.find(part.text, at)
                       : lower.starts_with(part.text) ? std::size_t{0}
                                                      : std::string_view::npos;
    if (found == std::string_view::npos) return false;
    if (after_placeholder) held.push_back({parts_[i - 1].kind, text.substr(at, found - at)});
    at = found + part.text.size();
  }
  return true;
}

bool ContextPattern::match_back(std::string_view text, std::string_view lower, std::size_t& end,
                                std::vector<Held>& held) const {
  for (std::size_t i = parts_.size(); i-- > documents_ + 1;) {
    const Part& part = parts_[i];
    if (part.kind != Kind::literal) continue;
    const bool last = i + 1 == parts_.size();
    if (end < part.text.size()) return false;
    std::size_t found = end - part.text.size();
    if (!last) found = find_last(lower, part.text, found);
    if (found == std::string_view::npos || lower.substr(found, part.text.size()) != part.text) return false;
    if (!last)
      held.push_back({parts_[i + 1].kind, text.substr(found + part.text.size(), end - found - part.text.size())});
    end = found;
  }
  return true;
}

ContextPattern::Text::Text(std::string_view text) : framed_("\n") {
  framed_ += trim(text);
  lower_ = lower_case(framed_);
  has_context_ = lower_.find(kContext) != std::string::npos;
}

bool ContextPattern::match(const Text& text, Match& found) const {
  if (needs_context_ && !text.has_context_) return false;
  std::string_view view = text.framed_;
  std::string_view lower = text.lower_;
  const Part& first = parts_.front();
  if (first.kind == Kind::literal && !first.text.starts_with('\n')) {
    view.remove_prefix(1);
    lower.remove_prefix(1);
  }
  std::vector<Held> held;
  std::size_t at = 0;
  std::size_t end = view.size();
  // What is sooner told comes first.
  const Part& last = parts_.back();
  if (last.kind == Kind::literal && !lower.ends_with(last.text)) return false;
  if (!match_front(view, lower, at, held) || !match_back(view, lower, end, held) || at > end) return false;
  found = {unfenced(view.substr(at, end - at)), {}, {}};
  for (const Part& part : parts_) found.rest.append(part.text).append(1, '\0');
  for (const Held& piece : held) {
    if (piece.kind == Kind::question) {
      found.question = trim(piece.text);
    } else {
      found.rest.append(trim(piece.text)).append(1, '\0');
    }
  }
  return !found.documents.empty() && (!asks_ || !found.question.empty());
}

void ContextPatterns::add(std::string_view form) {
  ContextPattern pattern(form);
  auto& patterns = pattern.asks() ? user : system;
  patterns.push_back(std::move(pattern));
}

const ContextPatterns& ContextPatterns::built_in() {
  static const ContextPatterns known = with({});
  return known;
}

ContextPatterns ContextPatterns::with(const std::vector<std::string>& forms) {
  ContextPatterns patterns;
  for (const std::string& form : forms) patterns.add(form);
  for (const std::string_view form : kBuiltIn) patterns.add(form);
  return patterns;
}

}  // namespace kvasir::rag
