// Where the parts of a prompt are found among its tokens, whatever the template does with them.
#include "engine/prompt_places.hpp"

#include <gtest/gtest.h>

namespace kvasir::engine {
namespace {

using std::chrono::hours;
using std::chrono::minutes;
using std::chrono::seconds;

constexpr std::string_view kChatMl =
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content | trim }}"
    "{% for c in m.tool_calls %}<tool_call>{{ c.function.name }}</tool_call>{% endfor %}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}";

GenerateInput chat(std::vector<rag::Message> messages, std::vector<rag::Document> documents = {}) {
  GenerateInput input;
  input.prompt = rag::analyse(std::move(messages), std::move(documents));
  return input;
}

Breakpoint behind_message(std::size_t index, seconds ttl = minutes(5)) {
  return {Breakpoint::Of::message, index, ttl, {}};
}

// A rendered prompt, one token a byte.
struct Rendered {
  Rendered(std::string_view source, GenerateInput of)
      : chat(std::move(*ChatTemplate::parse(source, "", ""))), input(std::move(of)) {
    text = *renderer.render(input.prompt, input.tools);
    for (std::size_t i = 0; i < text.size(); ++i) ends.push_back(i + 1);
  }
  std::vector<PinMark> find(const std::vector<Breakpoint>& breakpoints) const {
    return find_breakpoints(renderer, input, breakpoints, text, ends);
  }
  // The text that is kept, without what whole blocks cut off its end.
  std::string kept(const Breakpoint& breakpoint) const {
    const auto marks = find({breakpoint});
    return marks.empty() ? "" : text.substr(0, static_cast<std::size_t>(marks.front().tokens));
  }

  ChatTemplate chat;
  PromptRenderer renderer{chat};
  GenerateInput input;
  std::string text;
  std::vector<std::size_t> ends;
};

// What is kept ends less than a block before `end`, and not behind it.
void expect_kept_up_to(const Rendered& prompt, const Breakpoint& breakpoint, std::string_view end) {
  const std::size_t at = prompt.text.find(end);
  ASSERT_NE(at, std::string::npos) << prompt.text;
  const std::size_t whole = at + end.size();
  EXPECT_EQ(prompt.kept(breakpoint).size(), whole / 16 * 16) << prompt.text;
}

TEST(Breakpoints, stand_behind_what_is_rendered_of_a_message) {
  const Rendered prompt(kChatMl, chat({{rag::Role::system, "You are a terse and friendly helper.  \n", ""},
                                       {rag::Role::user, "Where do ravens sleep in winter?", ""}}));
  expect_kept_up_to(prompt, behind_message(0), "helper.<|im_end|>\n");
  expect_kept_up_to(prompt, behind_message(1), "in winter?<|im_end|>\n");
}

TEST(Breakpoints, stand_behind_a_part_of_a_message) {
  const Rendered prompt(kChatMl, chat({{rag::Role::user, "A long first part of the text.\nWhat does it say?", ""}}));
  expect_kept_up_to(prompt, {Breakpoint::Of::message, 0, minutes(5), 30}, "of the text.");
}

TEST(Breakpoints, stand_behind_the_calls_of_an_assistant) {
  rag::Message caller{rag::Role::assistant, "", ""};
  caller.tool_calls.push_back({"c", "look_up_the_weather_of_tomorrow", "{}"});
  const Rendered prompt(kChatMl, chat({{rag::Role::user, "And?", ""}, caller, {rag::Role::tool, "Rain", ""}}));
  // What tells of tools is spelled out in front where a template knows none.
  EXPECT_NE(prompt.kept(behind_message(1)).find("look_up_the_weather"), std::string::npos) << prompt.text;
  EXPECT_EQ(prompt.kept(behind_message(1)).find("Rain"), std::string::npos);
}

TEST(Breakpoints, are_found_where_a_template_moves_the_system_prompt) {
  constexpr std::string_view kSystemLast =
      "{% for m in messages %}{% if m.role != 'system' %}[{{ m.role }}]{% if loop.last %}{{ messages[0].content }}"
      "{% endif %} {{ m.content }}{% endif %}{% endfor %}";
  const Rendered prompt(kSystemLast, chat({{rag::Role::system, "Answer like a pirate of the northern seas.", ""},
                                           {rag::Role::user, "Who are you?", ""},
                                           {rag::Role::assistant, "A sailor, and no other.", ""},
                                           {rag::Role::user, "Where to?", ""}}));
  expect_kept_up_to(prompt, behind_message(0), "northern seas.");
}

TEST(Breakpoints, are_found_where_a_template_knows_no_system_prompt) {
  constexpr std::string_view kNoSystem =
      "{% for m in messages %}{% if m.role == 'system' %}{{ raise_exception('no system') }}{% endif %}"
      "<start>{{ m.role }} {{ m.content }}<end>{% endfor %}";
  const Rendered prompt(kNoSystem, chat({{rag::Role::system, "Answer like a pirate of the northern seas.", ""},
                                         {rag::Role::user, "Who are you?", ""}}));
  expect_kept_up_to(prompt, behind_message(0), "northern seas.");
}

TEST(Breakpoints, stand_behind_documents_in_text_and_in_the_template) {
  const std::vector<rag::Document> documents{{"a", "Ravens sleep in high trees.", "", "", ""},
                                             {"b", "Owls do not sleep at night.", "", "", ""}};
  const Breakpoint behind_a{Breakpoint::Of::document, 0, minutes(5), {}};
  const GenerateInput input = chat({{rag::Role::user, "Where?", ""}}, documents);
  expect_kept_up_to(Rendered(kChatMl, input), behind_a, "in high trees.");
  constexpr std::string_view kDocumentsFirst =
      "{% for d in documents %}<doc>{{ d.text | trim }}</doc>{% endfor %}"
      "{% for m in messages %}<{{ m.role }}>{{ m.content }}{% endfor %}";
  expect_kept_up_to(Rendered(kDocumentsFirst, input), behind_a, "in high trees.");
}

TEST(Breakpoints, that_the_template_hides_are_left_out) {
  constexpr std::string_view kLastOnly = "The last message says: {{ messages[-1].content }} What now?";
  const Rendered prompt(kLastOnly, chat({{rag::Role::user, "Never shown.", ""},
                                         {rag::Role::assistant, "Hm.", ""},
                                         {rag::Role::user, "Shown.", ""}}));
  EXPECT_TRUE(prompt.find({{Breakpoint::Of::message, 1, minutes(5), 2}}).empty());
  EXPECT_TRUE(prompt.find({{Breakpoint::Of::document, 0, minutes(5), {}}, behind_message(9)}).empty());
}

TEST(Breakpoints, at_one_block_are_one_with_the_longest_ttl) {
  const Rendered prompt(kChatMl, chat({{rag::Role::system, "You are a terse and friendly helper.", ""},
                                       {rag::Role::user, "Where do ravens sleep in winter?", ""}}));
  const auto marks = prompt.find({behind_message(1), behind_message(0), behind_message(0, hours(1))});
  ASSERT_EQ(marks.size(), 2U);
  EXPECT_EQ(marks[0].ttl, hours(1));
  EXPECT_EQ(marks[1].ttl, minutes(5));
  EXPECT_LT(marks[0].tokens, marks[1].tokens);
}

}  // namespace
}  // namespace kvasir::engine
