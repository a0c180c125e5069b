#include "rag/prompt.hpp"

#include <set>

#include <gtest/gtest.h>

namespace kvasir::rag {
namespace {

Message system(std::string text) {
  return {Role::system, std::move(text), ""};
}
Message user(std::string text) {
  return {Role::user, std::move(text), ""};
}
Message assistant(std::string text) {
  return {Role::assistant, std::move(text), ""};
}

Document document(std::string id, std::string text) {
  Document made;
  made.id = std::move(id);
  made.text = std::move(text);
  return made;
}

TEST(Prompt, SeparatesSystemHistoryAndQuestion) {
  const Prompt prompt = analyse({system("Be brief."), user("Hi"), assistant("Hello"), user("Where is Hue?")}, {});
  EXPECT_EQ(prompt.system, "Be brief.");
  EXPECT_EQ(prompt.history, (std::vector<Message>{user("Hi"), assistant("Hello")}));
  EXPECT_EQ(prompt.question, "Where is Hue?");
  EXPECT_EQ(prompt.messages.size(), 4U);
}

TEST(Prompt, JoinsSystemAndDeveloperMessages) {
  const Prompt prompt = analyse({system("A"), {Role::developer, "B", ""}, user("q")}, {});
  EXPECT_EQ(prompt.system, "A\n\nB");
}

TEST(Prompt, HasNoQuestionWhenTheLastTurnIsNotTheUsers) {
  const Prompt prompt = analyse({user("Tell me"), assistant("Once upon")}, {});
  EXPECT_EQ(prompt.question, "");
  EXPECT_EQ(prompt.history.size(), 2U);
}

TEST(Prompt, FindsTheQuestionInFrontOfATrailingSystemMessage) {
  const Prompt prompt = analyse({user("q"), system("Answer in French.")}, {});
  EXPECT_EQ(prompt.question, "q");
  EXPECT_TRUE(prompt.history.empty());
}

TEST(Prompt, MayBeEmpty) {
  const Prompt prompt = analyse({}, {});
  EXPECT_EQ(prompt.question, "");
  EXPECT_EQ(prompt.history_identity(), analyse({}, {}).history_identity());
}

TEST(Prompt, TakesDocumentsOutOfTheLastUserMessageOnly) {
  const std::string context = "Context:\n[Document 1]: a\n\nQuestion: ";
  const Prompt prompt = analyse({user(context + "old"), assistant("x"), user(context + "new")}, {});
  EXPECT_EQ(prompt.question, "new");
  EXPECT_TRUE(prompt.documents_in_text);
  ASSERT_EQ(prompt.documents.in_order().size(), 1U);
  EXPECT_EQ(prompt.history.front().text, context + "old");
}

TEST(Prompt, LeavesTheTextAloneWhenDocumentsCameInTheField) {
  const std::string text = "Context:\n[Document 1]: a\n\nQuestion: q";
  const Prompt prompt = analyse({user(text)}, {document("d", "b")});
  EXPECT_EQ(prompt.question, text);
  EXPECT_FALSE(prompt.documents_in_text);
  EXPECT_EQ(prompt.documents.keys(), std::vector<std::string>{"d"});
}

TEST(Prompt, ComparesTheInstructionInFrontOfAContext) {
  const std::string context = "Context:\n[Document 1]: a\n\nQuestion: q";
  const Prompt plain = analyse({user(context)}, {});
  const Prompt yes = analyse({user("Say yes.\n" + context)}, {});
  const Prompt no = analyse({user("Say no.\n" + context)}, {});
  EXPECT_EQ(yes.instruction, "Say yes.");
  EXPECT_EQ(yes.question, no.question);
  EXPECT_EQ((std::set{plain.system_identity(), yes.system_identity(), no.system_identity()}.size()), 3U);
}

TEST(Prompt, DoesNotTakeAnInstructionForASystemPrompt) {
  const std::string context = "Context:\n[Document 1]: a\n\nQuestion: q";
  EXPECT_NE(analyse({user("Say yes.\n" + context)}, {}).system_identity(),
            analyse({system("Say yes."), user(context)}, {}).system_identity());
}

TEST(Prompt, TellsSystemPromptsApartByWordsRoleAndPlace) {
  const std::set ids{
      analyse({system("A"), user("x"), assistant("y"), user("q")}, {}).system_identity(),
      analyse({user("x"), system("A"), assistant("y"), user("q")}, {}).system_identity(),
      analyse({{Role::developer, "A", ""}, user("x"), assistant("y"), user("q")}, {}).system_identity(),
      analyse({system("A\n\nB"), user("q")}, {}).system_identity(),
      analyse({system("A"), system("B"), user("q")}, {}).system_identity(),
      analyse({user("q")}, {}).system_identity(),
  };
  EXPECT_EQ(ids.size(), 6U);
}

TEST(Prompt, TellsHistoriesApartByTextRoleOrderAndSpeaker) {
  const std::set ids{
      analyse({user("q")}, {}).history_identity(),
      analyse({{Role::user, "q", "ann"}}, {}).history_identity(),
      analyse({user("a"), assistant("b"), user("q")}, {}).history_identity(),
      analyse({assistant("a"), user("b"), user("q")}, {}).history_identity(),
      analyse({assistant("b"), user("a"), user("q")}, {}).history_identity(),
      analyse({{Role::user, "a", "ann"}, assistant("b"), user("q")}, {}).history_identity(),
  };
  EXPECT_EQ(ids.size(), 6U);
}

TEST(Prompt, LeavesTheQuestionOutOfItsIdentities) {
  const Prompt first = analyse({system("s"), user("h"), assistant("i"), user("one")}, {});
  const Prompt second = analyse({system("s"), user("h"), assistant("i"), user("two")}, {});
  EXPECT_EQ(first.system_identity(), second.system_identity());
  EXPECT_EQ(first.history_identity(), second.history_identity());
}

TEST(DocumentSet, IsTheSameInAnyOrderAndWithDuplicates) {
  const Document a = document("a", "x");
  const Document b = document("b", "y");
  EXPECT_EQ(DocumentSet({a, b}).identity(), DocumentSet({b, a}).identity());
  EXPECT_EQ(DocumentSet({a, b}).identity(), DocumentSet({b, a, b}).identity());
}

TEST(DocumentSet, ChangesWithIdVersionTextAndTitle) {
  const Document plain = document("a", "x");
  Document version = plain;
  version.version = "2";
  Document title = plain;
  title.title = "x";
  const std::set ids{DocumentSet().identity(),
                     DocumentSet({plain}).identity(),
                     DocumentSet({version}).identity(),
                     DocumentSet({title}).identity(),
                     DocumentSet({document("b", "x")}).identity(),
                     DocumentSet({document("a", "y")}).identity()};
  EXPECT_EQ(ids.size(), 6U);
}

TEST(Document, IsKnownByItsContentWhenTheCallerNamesNone) {
  EXPECT_EQ(document("", "x").key(), document("", "x").content().hex());
  EXPECT_EQ(document("mine", "x").key(), "mine");
}

TEST(MessagesWithContext, PutsFieldDocumentsInFrontOfTheLastUserMessage) {
  Document titled = document("b", "y");
  titled.title = "T";
  const Prompt prompt = analyse({system("s"), user("q")}, {document("a", "x"), titled});
  const auto messages = messages_with_context(prompt);
  ASSERT_EQ(messages.size(), 2U);
  EXPECT_EQ(messages[1].text, "Context:\n[Document 1]: x\n\n[Document 2]: T\ny\n\nQuestion: q");
}

TEST(MessagesWithContext, LeavesMessagesAloneThatHoldTheirDocumentsAlready) {
  const Prompt prompt = analyse({user("Context:\n[Document 1]: a\n\nQuestion: q")}, {});
  EXPECT_EQ(messages_with_context(prompt), prompt.messages);
}

TEST(MessagesWithContext, GivesDocumentsAMessageWhenNoUserSpoke) {
  const auto messages = messages_with_context(analyse({system("Summarise.")}, {document("a", "x")}));
  ASSERT_EQ(messages.size(), 2U);
  EXPECT_EQ(messages[1].role, Role::user);
  EXPECT_EQ(messages[1].text, "Context:\n[Document 1]: x");
}

}  // namespace
}  // namespace kvasir::rag
