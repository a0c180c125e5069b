#include "tests/cache/support.hpp"

#include <algorithm>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

namespace kvasir::cache::test {
namespace {

TEST(Key, TheSameRequestHasTheSameKeys) {
  EXPECT_EQ(Asked().key().partition, Asked().key().partition);
  EXPECT_EQ(Asked().key().exact, Asked().key().exact);
  EXPECT_EQ(Asked().key().canonical, Asked().key().canonical);
}

TEST(Key, AnotherQuestionSharesThePartitionAlone) {
  const CacheKey one = Asked("What is a cache?").key();
  const CacheKey other = Asked("What is a cash?").key();
  EXPECT_EQ(one.partition, other.partition);
  EXPECT_NE(one.exact, other.exact);
}

TEST(Key, WhiteSpaceAroundTheQuestionDoesNotCountAndWithinItDoes) {
  EXPECT_EQ(Asked("What is a cache?").key().exact, Asked("  What is a cache?\r\n").key().exact);
  EXPECT_NE(Asked("What is a cache?").key().exact, Asked("What is  a cache?").key().exact);
  EXPECT_NE(Asked("What is a cache?").key().exact, Asked("what is a cache?").key().exact);
}

struct Change {
  std::string what;
  std::function<void(Asked&)> apply;
};

// Each of these must keep two requests apart even for the same question.
std::vector<Change> changes_that_part() {
  return {
      {"tenant", [](Asked& a) { a.request.tenant = "b"; }},
      {"user", [](Asked& a) { a.request.user = "u1"; }},
      {"model", [](Asked& a) { a.request.model = "other"; }},
      {"system prompt", [](Asked& a) { a.system = "You are terse."; }},
      {"history",
       [](Asked& a) {
         a.history = {{rag::Role::user, "Hi", ""}, {rag::Role::assistant, "Hello", ""}};
       }},
      {"documents",
       [](Asked& a) {
         a.documents = {{"d1", "text", "", "", ""}};
       }},
      {"document text",
       [](Asked& a) {
         a.documents = {{"d1", "other text", "", "", ""}};
       }},
      {"document version",
       [](Asked& a) {
         a.documents = {{"d1", "text", "", "2", ""}};
       }},
      {"tools", [](Asked& a) { a.request.tools = "[{}]"; }},
      {"response_format", [](Asked& a) { a.request.response_format = R"({"type":"json_object"})"; }},
      {"stop", [](Asked& a) { a.request.stop = {"\n"}; }},
      {"two stops",
       [](Asked& a) {
         a.request.stop = {"\n", "."};
       }},
      {"logit_bias", [](Asked& a) { a.request.logit_bias = R"({"5":1})"; }},
      {"extra", [](Asked& a) { a.request.extra = R"({"top_k":5})"; }},
      {"n", [](Asked& a) { a.request.n = 2; }},
      {"seed", [](Asked& a) { a.request.seed = 0; }},
      {"another seed", [](Asked& a) { a.request.seed = 1; }},
      {"sampling", [](Asked& a) { a.request.temperature = 0.7; }},
      {"frequency_penalty", [](Asked& a) { a.request.frequency_penalty = 0.5; }},
      {"presence_penalty", [](Asked& a) { a.request.presence_penalty = 0.5; }},
  };
}

TEST(Key, WhateverChangesTheAnswerChangesThePartition) {
  std::vector<std::pair<std::string, rag::ContentId>> seen = {{"nothing", Asked().key().partition}};
  for (const Change& change : changes_that_part()) {
    Asked asked;
    change.apply(asked);
    const rag::ContentId partition = asked.key().partition;
    for (const auto& [name, other] : seen) EXPECT_NE(partition, other) << change.what << " against " << name;
    seen.emplace_back(change.what, partition);
  }
}

TEST(Key, ValuesCannotSlideFromOneFieldIntoTheNext) {
  Asked one;
  one.request.tenant = "ab";
  one.request.user = "c";
  Asked other;
  other.request.tenant = "a";
  other.request.user = "bc";
  EXPECT_NE(one.key().partition, other.key().partition);
}

TEST(Key, AUserNeverMeetsTheTenantWhateverTheyAreCalled) {
  const CacheKey everybody = Asked().key();
  // A name made of the very bytes that follow an empty one.
  for (const std::string& name : {std::string(1, '\0'), std::string(8, '\0'), std::string("smollm2"),
                                  std::string("\x07\0\0\0\0\0\0\0smollm2", 15)}) {
    Asked asked;
    asked.request.user = name;
    EXPECT_NE(asked.key().partition, everybody.partition);
    EXPECT_NE(asked.key().canonical, everybody.canonical);
  }
}

TEST(Key, TheOrderOfDocumentsDoesNotCount) {
  Asked one;
  one.documents = {{"d1", "first", "", "", ""}, {"d2", "second", "", "", ""}};
  Asked other = one;
  std::ranges::reverse(other.documents);
  EXPECT_EQ(one.key().exact, other.key().exact);
}

TEST(Key, LimitsAndLogprobsAreNotHashed) {
  Asked asked;
  asked.request.max_tokens = 5;
  asked.request.top_logprobs = 3;
  EXPECT_EQ(asked.key().exact, Asked().key().exact);
  EXPECT_EQ(asked.key().max_tokens, 5);
  EXPECT_EQ(asked.key().top_logprobs, 3);
}

TEST(Key, TemperaturesOfOneClassShareAndOthersDoNot) {
  const auto partition = [](double temperature, double top_p) {
    Asked asked;
    asked.request.temperature = temperature;
    asked.request.top_p = top_p;
    return asked.key().partition;
  };
  EXPECT_EQ(partition(0.2, 1.0), partition(1.0, 0.9));
  EXPECT_EQ(partition(0.0, 1.0), partition(0.7, 0.0));
  EXPECT_NE(partition(0.0, 1.0), partition(0.2, 1.0));
}

TEST(Key, WhatMayNotBeCachedSaysWhy) {
  Asked asked;
  EXPECT_EQ(asked.key().not_cacheable, "");
  asked.request.temperature = 1.5;
  EXPECT_EQ(asked.key().not_cacheable, "temperature");
  asked = Asked();
  asked.request.tools = "[{}]";
  EXPECT_EQ(asked.key().not_cacheable, "tools");
  asked = Asked();
  asked.history = {{rag::Role::user, "Weather?", ""}, {rag::Role::tool, "Sunny", ""}};
  EXPECT_EQ(asked.key().not_cacheable, "tools");
  EXPECT_EQ(Asked("  \n").key().not_cacheable, "no_question");
  EXPECT_EQ(Asked("What is in my inbox?").key().not_cacheable, "personal");
  EXPECT_EQ(Asked("giá vàng hôm nay").key().not_cacheable, "realtime");
}

TEST(Key, ARequestAbove64KiBIsNotCached) {
  constexpr std::size_t most = std::size_t{64} << 10;
  EXPECT_EQ(Asked(std::string(most, 'x')).key().not_cacheable, "too_large");
  EXPECT_EQ(Asked(std::string(most - 1024, 'x')).key().not_cacheable, "");
  Asked asked;
  asked.system = std::string(most, 'x');
  EXPECT_EQ(asked.key().not_cacheable, "") << "a system prompt is kept as its hash";
}

TEST(Key, APersonalQuestionMayBeKeptForItsUserAlone) {
  Asked asked("What is in my inbox?");
  asked.request.user = "u1";
  EXPECT_EQ(asked.key().not_cacheable, "");
}

TEST(Key, AFollowUpThatDoesNotStandAloneIsServedByTheExactTierOnly) {
  Asked asked("And in winter?");
  EXPECT_TRUE(asked.key().semantic);
  asked.history = {{rag::Role::user, "How is Hue in summer?", ""}, {rag::Role::assistant, "Hot.", ""}};
  EXPECT_FALSE(asked.key().semantic);
  EXPECT_EQ(asked.key().not_cacheable, "");
  asked.question = "How many people live in Da Nang?";
  EXPECT_TRUE(asked.key().semantic) << "it stands alone";
}

TEST(Key, AQuestionTooLongForAnEmbedderIsServedByTheExactTierOnly) {
  EXPECT_TRUE(Asked(std::string(512, 'x')).key().semantic);
  EXPECT_FALSE(Asked(std::string(513, 'x')).key().semantic);
}

}  // namespace
}  // namespace kvasir::cache::test
