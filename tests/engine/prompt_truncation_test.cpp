// What goes when a prompt is too long, and what stays.
#include "engine/prompt_truncation.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace kvasir::engine {
namespace {

using rag::Role;
using testing::ElementsAre;

// A token is a byte.
int bytes(std::string_view text, int most) {
  return std::min(static_cast<int>(text.size()), most);
}

rag::Message says(Role role, std::string text) {
  return {role, std::move(text), ""};
}

//  system │ one ▶ first (10) │ two ▶ call, result ▶ second (10) │ asked
std::vector<rag::Message> conversation() {
  rag::Message caller = says(Role::assistant, "");
  caller.tool_calls.push_back({"c", "look", "{}"});
  return {says(Role::system, "rules"),
          says(Role::user, "one.."),
          says(Role::assistant, "first"),
          says(Role::user, "two"),
          caller,
          says(Role::tool, "r"),
          says(Role::assistant, "second"),
          says(Role::user, "asked")};
}

std::vector<rag::Document> documents() {
  return {{"a", "best", "", "", ""}, {"b", "good", "", "", ""}, {"c", "last", "", "", ""}};
}

std::vector<std::string> texts(const rag::Prompt& prompt) {
  std::vector<std::string> texts;
  for (const rag::Message& message : prompt.messages) texts.push_back(message.text);
  return texts;
}

struct Given {
  explicit Given(const PriorityTokens& priority = {}, std::vector<rag::Message> messages = conversation())
      : prompt(rag::analyse(std::move(messages), documents())), truncation(prompt, priority, 1000, bytes) {}
  rag::Prompt prompt;
  PromptTruncation truncation;
};

TEST(PromptTruncation, DropsTheOldestTurnsFirstAndThenTheLastDocuments) {
  const Given given;
  ASSERT_EQ(given.truncation.parts(), 5U);
  EXPECT_EQ(given.truncation.without(0).messages, given.prompt.messages);
  EXPECT_THAT(texts(given.truncation.without(1)), ElementsAre("rules", "two", "", "r", "second", "asked"));
  EXPECT_EQ(given.truncation.without(2).documents.in_order().size(), 3U);
  EXPECT_THAT(given.truncation.without(4).documents.keys(), ElementsAre("a"));
  EXPECT_THAT(texts(given.truncation.without(5)), ElementsAre("rules", "asked"));
  EXPECT_EQ(given.truncation.dropped(4).messages, 6);
  EXPECT_EQ(given.truncation.dropped(4).documents, 2);
}

TEST(PromptTruncation, DropsCallsWithTheirResults) {
  const Given given;
  EXPECT_THAT(texts(given.truncation.without(2)), ElementsAre("rules", "asked"));
}

TEST(PromptTruncation, KeepsSystemMessagesBetweenTurnsAndWhatFollowsTheLastQuestion) {
  const Given given({}, {says(Role::user, "old"), says(Role::developer, "mind this"), says(Role::assistant, "yes"),
                         says(Role::user, "asked"), says(Role::assistant, "thinking"), says(Role::tool, "result")});
  EXPECT_THAT(texts(given.truncation.without(given.truncation.parts())),
              ElementsAre("mind this", "asked", "thinking", "result"));
}

TEST(PromptTruncation, KeepsDocumentsThatStandInTheQuestion) {
  const rag::Prompt prompt =
      rag::analyse({says(Role::user, "Context:\n[Document 1]: a\n\n[Document 2]: b\n\nQuestion: c?")}, {});
  ASSERT_TRUE(prompt.documents_in_text);
  EXPECT_EQ(PromptTruncation(prompt, {}, 1000, bytes).parts(), 0U);
}

TEST(PromptTruncation, LeavesTheMostRecentTokensWithTheirTurns) {
  EXPECT_EQ(Given({1, {}}).truncation.parts(), 4U);
  EXPECT_EQ(Given({10, {}}).truncation.parts(), 4U);
  EXPECT_EQ(Given({11, {}}).truncation.parts(), 3U);
  EXPECT_EQ(Given({1 << 30, {}}).truncation.parts(), 3U);
}

TEST(PromptTruncation, LeavesTheRangesThatAreAskedFor) {
  EXPECT_THAT(texts(Given({0, {{9, 10}}}).truncation.without(4)), ElementsAre("rules", "one..", "first", "asked"));
  EXPECT_THAT(texts(Given({0, {{10, 11}}}).truncation.without(4)),
              ElementsAre("rules", "two", "", "r", "second", "asked"));
  EXPECT_EQ(Given({0, {{9, 11}}}).truncation.parts(), 3U);
  EXPECT_EQ(Given({0, {{5, 5}, {20, 1 << 20}}}).truncation.parts(), 5U);
}

TEST(PromptTruncation, MovesBreakpointsWithWhatIsLeft) {
  const Given given;
  using Of = Breakpoint::Of;
  const std::vector<Breakpoint> breakpoints{{Of::message, 0, {}, {}},
                                            {Of::message, 2, {}, {}},
                                            {Of::message, 6, {}, 3},
                                            {Of::document, 0, {}, {}},
                                            {Of::document, 2, {}, {}}};
  EXPECT_EQ(given.truncation.move(breakpoints, 0).size(), 5U);
  const auto moved = given.truncation.move(breakpoints, 1);
  ASSERT_EQ(moved.size(), 4U);
  EXPECT_EQ(moved[1].index, 4U);
  EXPECT_EQ(moved[1].text_end, 3U);
  EXPECT_EQ(given.truncation.move(breakpoints, 3).size(), 2U);
}

}  // namespace
}  // namespace kvasir::engine
