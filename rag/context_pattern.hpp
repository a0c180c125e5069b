// Prompts that a framework puts together from retrieved passages and a question, described by the text around them.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace kvasir::rag {

// A prompt's form: literal text, and {documents}, {question} or {anything}, which stand for any text. Without
// {question} the form is a system prompt's.
//
//   Use these passages.\n\n{documents}\n\nAsked: {question}
//
// What stands before {documents} ends at its first occurrence, what stands behind it begins at its last one, so that a
// passage may contain such words itself. ASCII letters match in any case. White space around what a placeholder holds
// is not part of it. A line break at the front of a literal also matches the start of the text.
class ContextPattern {
 public:
  // What is wrong with it, or empty: no {documents}, one twice, two side by side, an unknown one.
  static std::string complaint(std::string_view form);
  // `form` has no complaint.
  explicit ContextPattern(std::string_view form);

  struct Match {
    std::string_view documents;
    std::string_view question;  // empty for a system prompt's form
    std::string rest;           // everything else, so that prompts that differ in it are told apart
  };
  // A text made ready for many patterns. Matches point into it.
  class Text {
   public:
    explicit Text(std::string_view text);

   private:
    friend class ContextPattern;
    std::string framed_;  // behind a line break
    std::string lower_;
    bool has_context_ = false;  // the word, which most patterns need: most texts are done with after one look
  };
  // False if the text has another form, or one of the two is empty. Time: linear in the text.
  bool match(const Text& text, Match& found) const;

  bool asks() const { return asks_; }

 private:
  enum class Kind { literal, documents, question, anything };
  struct Part {
    Kind kind = Kind::literal;
    std::string text;  // of a literal, in lower case
  };
  struct Held {
    Kind kind;
    std::string_view text;
  };

  static std::vector<Part> parse(std::string_view form, std::string& complaint);
  bool match_front(std::string_view text, std::string_view lower, std::size_t& at, std::vector<Held>& held) const;
  bool match_back(std::string_view text, std::string_view lower, std::size_t& end, std::vector<Held>& held) const;

  std::vector<Part> parts_;
  std::size_t documents_ = 0;  // its part
  bool asks_ = false;
  bool needs_context_ = false;
};

// The forms that are looked for, in their order.
struct ContextPatterns {
  std::vector<ContextPattern> user;
  std::vector<ContextPattern> system;

  // `form` has no complaint. It is tried after those that are there already.
  void add(std::string_view form);
  // The default prompts of LangChain and LlamaIndex, and "Context: … Question: …".
  static const ContextPatterns& built_in();
  // Those of an operator, tried before the built-in ones.
  static ContextPatterns with(const std::vector<std::string>& forms);
};

}  // namespace kvasir::rag
