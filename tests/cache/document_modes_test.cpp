// Whose documents may differ from those that an answer came from.
#include "tests/cache/support.hpp"

#include <gtest/gtest.h>

namespace kvasir::cache::test {
namespace {

rag::Document document(const std::string& id, const std::string& text = "text", const std::string& version = "") {
  return {id, text, "", version, ""};
}

Asked asked(DocumentMode mode, std::vector<rag::Document> documents) {
  Asked made("What is it?");
  made.request.documents = mode;
  made.documents = std::move(documents);
  return made;
}

class DocumentModes : public testing::Test {
 protected:
  // The reason of the exact tier and of the semantic one, which must agree on a hit.
  bool serves(const Asked& request) {
    const bool exact = cache_->find_exact(request.key(), {}).entry != nullptr;
    const Decision semantic = cache_->find_semantic(request.key(), at_angle(5), {});
    EXPECT_EQ(exact, semantic.entry != nullptr);
    if (!exact && semantic.similarity) {
      EXPECT_EQ(semantic.reason, "documents");
    }
    return exact;
  }
  void keep(const Asked& request, const char* text = "a") {
    ASSERT_TRUE(
        store(*cache_, request.key(), answer(text), {.vector = at_angle(0), .generation = cache_->generation()}));
  }

  std::unique_ptr<ResponseCache> cache_ = open_cache(in_memory());
};

TEST_F(DocumentModes, SameWantsTheSameSetInAnyOrder) {
  const auto mode = DocumentMode::same;
  keep(asked(mode, {document("a"), document("b")}));
  EXPECT_TRUE(serves(asked(mode, {document("b"), document("a")})));
  EXPECT_FALSE(serves(asked(mode, {document("a")})));
  EXPECT_FALSE(serves(asked(mode, {document("a"), document("b"), document("c")})));
}

TEST_F(DocumentModes, SupersetWantsEveryDocumentThatTheAnswerCameFrom) {
  const auto mode = DocumentMode::superset;
  keep(asked(mode, {document("a"), document("b")}));
  EXPECT_TRUE(serves(asked(mode, {document("c"), document("b"), document("a")})));
  EXPECT_FALSE(serves(asked(mode, {document("a"), document("c")})));
  EXPECT_FALSE(serves(asked(mode, {document("a", "other text"), document("b"), document("c")})));
  EXPECT_FALSE(serves(asked(mode, {document("a", "text", "2"), document("b")})));
  EXPECT_FALSE(serves(asked(mode, {})));
}

TEST_F(DocumentModes, AnAnswerWithoutDocumentsIsNotOneFromSomeOfThem) {
  keep(asked(DocumentMode::superset, {}));
  EXPECT_FALSE(serves(asked(DocumentMode::superset, {document("a")})));
  EXPECT_TRUE(serves(asked(DocumentMode::superset, {})));
}

TEST_F(DocumentModes, IgnoreWantsNoneButRefusesAChangedOne) {
  const auto mode = DocumentMode::ignore;
  keep(asked(mode, {document("a"), document("b")}));
  EXPECT_TRUE(serves(asked(mode, {})));
  EXPECT_TRUE(serves(asked(mode, {document("c")})));
  EXPECT_TRUE(serves(asked(mode, {document("a"), document("c")})));
  EXPECT_FALSE(serves(asked(mode, {document("a", "other text")})));
  EXPECT_FALSE(serves(asked(mode, {document("b", "text", "2"), document("c")})));
}

TEST_F(DocumentModes, NeverMeetEachOther) {
  keep(asked(DocumentMode::ignore, {document("a")}));
  EXPECT_FALSE(cache_->find_exact(asked(DocumentMode::same, {document("a")}).key(), {}).entry);
  EXPECT_FALSE(cache_->find_exact(asked(DocumentMode::superset, {document("a")}).key(), {}).entry);
}

TEST_F(DocumentModes, AnAnswerFromFewerDocumentsTakesThePlaceOfOneFromMore) {
  const auto mode = DocumentMode::superset;
  keep(asked(mode, {document("a"), document("b")}), "of both");
  keep(asked(mode, {document("a")}), "of one");
  EXPECT_EQ(cache_->stats().entries, 1U);
  keep(asked(mode, {document("b")}), "of the other");
  EXPECT_EQ(cache_->stats().entries, 2U);
  EXPECT_EQ(text_of(cache_->find_exact(asked(mode, {document("a")}).key(), {})), "of one");
}

TEST_F(DocumentModes, OneQuestionWithCountlessSetsStaysBounded) {
  for (int i = 0; i < 200; ++i) keep(asked(DocumentMode::superset, {document(std::to_string(i))}));
  EXPECT_LE(cache_->stats().entries, 64U);
  EXPECT_TRUE(cache_->find_exact(asked(DocumentMode::superset, {document("199")}).key(), {}).entry);
}

TEST_F(DocumentModes, InvalidationFindsAnswersInEveryMode) {
  for (const auto mode : {DocumentMode::same, DocumentMode::superset, DocumentMode::ignore}) {
    keep(asked(mode, {document("a"), document("b")}));
    EXPECT_EQ(cache_->invalidate({.documents = {"b"}}), 1U);
    EXPECT_FALSE(cache_->find_exact(asked(mode, {document("a"), document("b")}).key(), {}).entry);
  }
}

}  // namespace
}  // namespace kvasir::cache::test
