// The forms in which frameworks write retrieved passages into a prompt.
#include "rag/context.hpp"

#include <algorithm>
#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace kvasir::rag {
namespace {

using Texts = std::vector<std::string>;

Texts texts(const std::vector<Document>& documents) {
  Texts all;
  for (const Document& document : documents) all.push_back(document.text);
  return all;
}

Message says(Role role, std::string text) {
  return {role, std::move(text), ""};
}

const std::string llama_index =
    "Context information is below.\n---------------------\nfile_path: a.md\n\nHanoi is the capital.\n\n"
    "file_path: b.md\n\nHue was it once.\n---------------------\nGiven the context information and not prior "
    "knowledge, answer the query.\nQuery: Which city is the capital?\nAnswer: ";
const std::string langchain_hub =
    "You are an assistant for question-answering tasks. Use the following pieces of retrieved context to answer the "
    "question. If you don't know the answer, just say that you don't know. Use three sentences maximum and keep the "
    "answer concise.\nQuestion: Which city is the capital? \nContext: Hanoi is the capital.\n\nHue was it once. "
    "\nAnswer:";
const std::string langchain_stuff =
    "Use the following pieces of context to answer the question at the end. If you don't know the answer, just say "
    "that you don't know, don't try to make up an answer.\n\nHanoi is the capital.\n\nHue was it once.\n\nQuestion: "
    "Which city is the capital?\nHelpful Answer:";
const std::string langchain_tutorial =
    "Answer the question based only on the following context:\nHanoi is the capital.\n\nHue was it once.\n\n"
    "Question: Which city is the capital?\n";
const std::string plain = "Context:\nHanoi is the capital.\n\nHue was it once.\n\nQuestion: Which city is the capital?";

TEST(ContextForms, DefaultPromptsOfFrameworksAreTakenApart) {
  for (const std::string& text : {langchain_hub, langchain_stuff, langchain_tutorial, plain}) {
    const auto context = recognise_context(text);
    ASSERT_TRUE(context) << text;
    EXPECT_EQ(texts(context->documents), (Texts{"Hanoi is the capital.", "Hue was it once."})) << text;
    EXPECT_EQ(context->question, "Which city is the capital?") << text;
  }
}

TEST(ContextForms, MetadataStaysWithItsPassage) {
  const auto context = recognise_context(llama_index);
  ASSERT_TRUE(context);
  EXPECT_EQ(texts(context->documents),
            (Texts{"file_path: a.md\n\nHanoi is the capital.", "file_path: b.md\n\nHue was it once."}));
  EXPECT_EQ(context->question, "Which city is the capital?");
}

TEST(ContextForms, PassagesInAnotherOrderAreTheSameDocuments) {
  for (const std::string& text : {langchain_hub, langchain_stuff, langchain_tutorial, plain}) {
    std::string swapped = text;
    const std::string both = "Hanoi is the capital.\n\nHue was it once.";
    swapped.replace(swapped.find(both), both.size(), "Hue was it once.\n\nHanoi is the capital.");
    const Prompt first = analyse({says(Role::user, text)}, {});
    const Prompt second = analyse({says(Role::user, swapped)}, {});
    EXPECT_EQ(first.documents.identity(), second.documents.identity()) << text;
    EXPECT_EQ(first.system_identity(), second.system_identity()) << text;
    EXPECT_TRUE(first.documents_in_text);
  }
}

TEST(ContextForms, WhatStandsAroundThePassagesIsPartOfTheInstruction) {
  std::string brief = langchain_stuff;
  brief.replace(brief.find("don't try to make up an answer"), 30, "answer in one single French word");
  const Prompt first = analyse({says(Role::user, langchain_stuff)}, {});
  const Prompt second = analyse({says(Role::user, brief)}, {});
  EXPECT_EQ(first.question, second.question);
  EXPECT_NE(first.system_identity(), second.system_identity());
  // The same passages and question in two forms are two prompts.
  EXPECT_NE(first.system_identity(), analyse({says(Role::user, plain)}, {}).system_identity());
}

TEST(ContextForms, ASystemPromptMayHoldThePassages) {
  const std::string chains[] = {
      "Use the following pieces of context to answer the user's question. \nIf you don't know the answer, just say "
      "that "
      "you don't know, don't try to make up an answer.\n----------------\n",
      "You are an assistant for question-answering tasks. Use the following pieces of retrieved context to answer the "
      "question. If you don't know the answer, say that you don't know.\n\n",
      "You help customers.\nContext: "};
  for (const std::string& chain : chains) {
    const auto prompt = [&](const char* passages, const char* question) {
      return analyse({says(Role::system, chain + passages), says(Role::user, question)}, {});
    };
    const Prompt first = prompt("Tea is hot.\n\nIce is cold.", "What is hot?");
    EXPECT_EQ(texts(first.documents.in_order()), (Texts{"Tea is hot.", "Ice is cold."})) << chain;
    EXPECT_EQ(first.question, "What is hot?");
    EXPECT_EQ(first.messages.front().text, chain + "Tea is hot.\n\nIce is cold.");
    const Prompt swapped = prompt("Ice is cold.\n\nTea is hot.", "What is hot?");
    EXPECT_EQ(first.system_identity(), swapped.system_identity()) << chain;
    EXPECT_EQ(first.documents.identity(), swapped.documents.identity()) << chain;
    const Prompt other = prompt("Ice is cold.", "What is hot?");
    EXPECT_EQ(first.system_identity(), other.system_identity()) << chain;
    EXPECT_NE(first.documents.identity(), other.documents.identity()) << chain;
  }
}

TEST(ContextForms, ASystemPromptOfNoKnownFormIsComparedWhole) {
  const Prompt first = analyse({says(Role::system, "Be kind.\n\nBe brief."), says(Role::user, "q")}, {});
  const Prompt second = analyse({says(Role::system, "Be brief.\n\nBe kind."), says(Role::user, "q")}, {});
  EXPECT_TRUE(first.documents.empty());
  EXPECT_NE(first.system_identity(), second.system_identity());
}

TEST(ContextForms, OtherSystemMessagesStillCount) {
  const auto prompt = [](const char* more) {
    return analyse({says(Role::system, more), says(Role::system, "Context: tea"), says(Role::user, "q")}, {});
  };
  EXPECT_FALSE(prompt("Be kind.").documents.empty());
  EXPECT_NE(prompt("Be kind.").system_identity(), prompt("Be brief.").system_identity());
}

TEST(ContextForms, TaggedDocumentsAreTakenApart) {
  for (const char* text :
       {"<documents>\n<document index=\"1\">\nA\n</document>\n<document index=\"2\">\nB\n"
        "</document>\n</documents>\n\nWhich one?",
        "<document>A</document>\n<document>B</document>\nWhich one?",
        "Which one?\n<documents><document id='0'>A</document><document id='1'>B</document></documents>"}) {
    const auto context = recognise_context(text);
    ASSERT_TRUE(context) << text;
    EXPECT_EQ(texts(context->documents), (Texts{"A", "B"})) << text;
    EXPECT_EQ(context->question, "Which one?") << text;
    EXPECT_TRUE(std::ranges::all_of(context->documents, [](const Document& d) { return d.title.empty(); })) << text;
  }
}

TEST(ContextForms, AttributesThatTellSomethingArePartOfADocument) {
  const auto document = [](const char* tag) {
    return recognise_context(std::string("Answer.\n") + tag + "A</document>\nWhich?")->documents.front();
  };
  EXPECT_EQ(document("<document index=\"1\" source=\"a.txt\">").title, "source=\"a.txt\"");
  EXPECT_NE(document("<document source=\"a.txt\">").key(), document("<document source=\"b.txt\">").key());
  EXPECT_EQ(document("<document index=\"1\" source=\"a.txt\">").key(), document("<document source=\"a.txt\">").key());
  // A number that is not its place is its name.
  EXPECT_NE(document("<document id=\"7\">").key(), document("<document id=\"8\">").key());
}

TEST(ContextForms, TagsThatDoNotCloseAreText) {
  for (const char* text : {"<documents><document>A</document> q", "<document>A q", "<document A</document> q",
                           "<documents></documents> q", "<document_content>A</document_content> q"}) {
    EXPECT_FALSE(recognise_context(text)) << text;
  }
}

TEST(ContextForms, AnOperatorMayAddItsOwn) {
  const auto patterns = ContextPatterns::with({"Passages >>\n{documents}\n<< Asked: {question}", "KB|{documents}|KB"});
  const std::string text = "passages >>\nA\n\nB\n<< asked: Which one?";
  EXPECT_FALSE(recognise_context(text));
  const auto context = recognise_context(text, ContextPlace::user, patterns);
  ASSERT_TRUE(context);
  EXPECT_EQ(texts(context->documents), (Texts{"A", "B"}));
  EXPECT_EQ(context->question, "Which one?");
  const auto in_system = recognise_context("KB|A\n\nB|KB", ContextPlace::system, patterns);
  ASSERT_TRUE(in_system);
  EXPECT_EQ(texts(in_system->documents), (Texts{"A", "B"}));
}

TEST(ContextForms, APassageMayContainTheWordsAroundIt) {
  const auto context = recognise_context("Context: see\nQuestion: old?\nAnswer: no\n\nQuestion: new?");
  ASSERT_TRUE(context);
  EXPECT_EQ(context->question, "new?");
}

TEST(ContextPattern, SaysWhatIsWrongWithAForm) {
  EXPECT_EQ(ContextPattern::complaint("x {documents} y {question}"), "");
  EXPECT_NE(ContextPattern::complaint("x {question}"), "");
  EXPECT_NE(ContextPattern::complaint("x {documents}{question}"), "");
  EXPECT_NE(ContextPattern::complaint("{documents} x {documents}"), "");
  EXPECT_NE(ContextPattern::complaint("{documents}"), "");
  EXPECT_NE(ContextPattern::complaint("x {question} y {question} z {documents}"), "");
}

TEST(ContextForms, NoTextIsTooStrange) {
  for (const std::string& text : {std::string(), std::string("\n"), std::string("context"), std::string("Context:"),
                                  std::string("Context:\n\nQuestion:"), std::string(5, '\0'), std::string("<document"),
                                  "Context:" + std::string(100'000, '\n') + "Question: q", std::string(100'000, '<')}) {
    const auto context = recognise_context(text);
    EXPECT_FALSE(context && context->documents.empty());
    recognise_context(text, ContextPlace::system);
  }
}

}  // namespace
}  // namespace kvasir::rag
