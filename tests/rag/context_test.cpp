#include "rag/context.hpp"

#include <string>

#include <gtest/gtest.h>

namespace kvasir::rag {
namespace {

std::vector<std::string> texts(const std::vector<Document>& documents) {
  std::vector<std::string> all;
  for (const Document& document : documents) all.push_back(document.text);
  return all;
}

using Texts = std::vector<std::string>;

TEST(Context, IsTakenApartIntoDocumentsAndQuestion) {
  const auto context = recognise_context(
      "Context:\n[Document 1]: Hanoi is the capital.\n\n[Document 2]: Hue was the capital.\n\nQuestion: Which city is "
      "it?");
  ASSERT_TRUE(context);
  EXPECT_EQ(texts(context->documents), (Texts{"Hanoi is the capital.", "Hue was the capital."}));
  EXPECT_EQ(context->question, "Which city is it?");
  EXPECT_EQ(context->instruction, "");
}

TEST(Context, MayHaveDocumentsOnConsecutiveLines) {
  const auto context = recognise_context("Context:\n[Document 1]: a\n[Document 2]: b\n\nQuestion: c");
  ASSERT_TRUE(context);
  EXPECT_EQ(texts(context->documents), (Texts{"a", "b"}));
}

TEST(Context, KeepsParagraphsInsideADocumentAndTrimsItsEnds) {
  const auto context =
      recognise_context("Context:\n[Document 1]:  one\n\ntwo \n\n\n[Document 2]: three\t\n\nQuestion: q");
  ASSERT_TRUE(context);
  EXPECT_EQ(texts(context->documents), (Texts{"one\n\ntwo", "three"}));
}

TEST(Context, ReadsWindowsLinesAsTheSameDocuments) {
  const std::string unix_lines = "Context:\n[Document 1]: a\nb\n\n[Document 2]: c\n\nQuestion: d\ne";
  std::string windows_lines;
  for (const char c : unix_lines) windows_lines += c == '\n' ? std::string("\r\n") : std::string(1, c);
  const auto first = recognise_context(unix_lines);
  const auto second = recognise_context(windows_lines);
  ASSERT_TRUE(first && second);
  EXPECT_EQ(first->documents, second->documents);
  EXPECT_EQ(first->question, second->question);
}

TEST(Context, EndsAtTheLastQuestionSoThatADocumentMayContainOne) {
  const auto context =
      recognise_context("Context:\n[Document 1]: FAQ\n\nQuestion: Why?\nBecause.\n\n[Document 2]: b\n\nQuestion: How?");
  ASSERT_TRUE(context);
  EXPECT_EQ(texts(context->documents), (Texts{"FAQ\n\nQuestion: Why?\nBecause.", "b"}));
  EXPECT_EQ(context->question, "How?");
}

TEST(Context, KeepsTheInstructionInFrontOfIt) {
  const auto context =
      recognise_context("Answer in one word.\nContext: see below\n\nContext:\n[Document 1]: a\n\nQuestion: b");
  ASSERT_TRUE(context);
  EXPECT_EQ(context->instruction, "Answer in one word.\nContext: see below");
  EXPECT_EQ(texts(context->documents), (Texts{"a"}));
}

TEST(Context, CountsPastNine) {
  std::string text = "Context:\n";
  for (int i = 1; i <= 12; ++i) text += "[Document " + std::to_string(i) + "]: d" + std::to_string(i) + "\n\n";
  const auto context = recognise_context(text + "\n\nQuestion: q");
  ASSERT_TRUE(context);
  ASSERT_EQ(context->documents.size(), 12U);
  EXPECT_EQ(context->documents[11].text, "d12");
}

TEST(Context, OnlyCountsMarkersAtTheStartOfALine) {
  const auto context = recognise_context("Context:\n[Document 1]: see [Document 7]: below\n\nQuestion: q");
  ASSERT_TRUE(context);
  EXPECT_EQ(texts(context->documents), (Texts{"see [Document 7]: below"}));
}

TEST(Context, IsNotSeenInTextOfAnotherForm) {
  for (const std::string text : {
           "", "What does Context: mean?",
           "Context:\nsomething\n\nQuestion: q",                           // no document
           "Context:\n[Document 2]: a\n\nQuestion: q",                     // does not start at 1
           "Context:\n[Document 1]: a\n\n[Document 3]: b\n\nQuestion: q",  // a gap
           "Context:\n[Document 1]: a\n\n[Document 1]: b\n\nQuestion: q",  // a repetition
           "Context:\n[Document 01]: a\n\nQuestion: q",                    // not written so
           "Context:\n[Document 1]: a\n\n[Document 99999999999999999999]: b\n\nQuestion: q",
           "Context:\n[Document 1]: a",                              // no question
           "Context:\n[Document 1]: a\nQuestion: q",                 // no blank line
           "Context:\n[Document 1]: a\n\nQuestion:  \n",             // an empty question
           "See Context:\n[Document 1]: a\n\nQuestion: q",           // not at the start of a line
           "\n\nQuestion: q\nContext:\n[Document 1]: a",             // the wrong way round
           "Context:\nBy the way:\n[Document 1]: a\n\nQuestion: q",  // text that would be lost
       }) {
    EXPECT_FALSE(recognise_context(text, ContextPlace::user, ContextPatterns{})) << text;
  }
}

TEST(Context, IsReadBackAsItWasWritten) {
  std::vector<Document> documents(2);
  documents[0].text = "Đà Nẵng nằm ở miền Trung.";
  documents[1].title = "Huế";
  documents[1].text = "Cố đô.";
  const auto context = recognise_context(render_context(documents, "Ở đâu?"));
  ASSERT_TRUE(context);
  EXPECT_EQ(texts(context->documents), (Texts{"Đà Nẵng nằm ở miền Trung.", "Huế\nCố đô."}));
  EXPECT_EQ(context->question, "Ở đâu?");
}

}  // namespace
}  // namespace kvasir::rag
