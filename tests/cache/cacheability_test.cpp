#include "cache/cacheability.hpp"

#include "cache/response_cache.hpp"

#include <gtest/gtest.h>

namespace kvasir::cache {
namespace {

TEST(Cacheability, QuestionsAboutTheAskerArePersonal) {
  for (const char* question :
       {"What is my email?", "Summarise my last three emails", "show MY ORDERS", "Where am I?",
        "what's in our calendar", "email của tôi là gì?", "Số dư tài khoản của tôi còn bao nhiêu",
        "email cua toi la gi", "tôi là ai?", "我的邮箱是什么?", "我的订单在哪里", "请告诉我的email", "我是谁"}) {
    EXPECT_EQ(why_not_cacheable(question), "personal") << question;
  }
}

TEST(Cacheability, QuestionsAboutThisMomentAreRealtime) {
  for (const char* question : {"What's the weather now?", "gold price", "Who won the match today?", "latest iPhone",
                               "what time is it in Paris", "giá vàng hôm nay", "Giá vàng bao nhiêu?",
                               "gia vang hom nay", "Bây giờ là mấy giờ rồi?", "thời tiết Hà Nội", "今天天气怎么样",
                               "现在几点", "最新消息", "ＴＯＤＡＹ in full width"}) {
    EXPECT_EQ(why_not_cacheable(question), "realtime") << question;
  }
}

TEST(Cacheability, QuestionsForEverybodyAreCacheable) {
  for (const char* question :
       {"What is a cache?", "How do I change my email address?", "How to reset my password", "What does mylar mean?",
        "Who wrote Nowhere Man?", "Thủ đô của Việt Nam là gì?", "Làm thế nào để đổi mật khẩu của tôi?",
        "中国的首都是哪里", "如何修改我的邮箱", "Explain snow", ""}) {
    EXPECT_EQ(why_not_cacheable(question), "") << question;
  }
}

TEST(Cacheability, AnInstructionLateInTheTextDoesNotMakeItCacheable) {
  EXPECT_EQ(why_not_cacheable("Tell me the balance of my account and then how to raise it"), "personal");
}

CacheKey judged(const QuestionRules& rules, const char* question, bool of_one_user = false) {
  CacheKey key;
  key.question = question;
  key.of_one_user = of_one_user;
  QuestionJudge(rules).judge(key);
  EXPECT_TRUE(key.judged);
  return key;
}

TEST(Cacheability, AnOperatorAddsPhrases) {
  const QuestionRules rules{{"Our Canteen"}, {"queue length", "hàng chờ"}};
  EXPECT_EQ(judged(rules, "What does our canteen serve?").not_cacheable, "personal");
  EXPECT_EQ(judged(rules, "QUEUE LENGTH at the bank").not_cacheable, "realtime");
  EXPECT_EQ(judged(rules, "hang cho o ngan hang").not_cacheable, "realtime");
  EXPECT_EQ(judged({}, "QUEUE LENGTH at the bank").not_cacheable, "");
}

TEST(Cacheability, QuestionsOfTheMomentLiveShortlyWhereTheOperatorSaysSo) {
  const QuestionRules rules{{}, {}, std::chrono::seconds(60)};
  const CacheKey weather = judged(rules, "What is the weather in Rome today?");
  EXPECT_EQ(weather.not_cacheable, "");
  EXPECT_EQ(weather.longest_ttl, std::chrono::seconds(60));
  EXPECT_EQ(judged(rules, "What is on my calendar today?").not_cacheable, "personal");
  EXPECT_EQ(judged(rules, "What is on my calendar today?", true).longest_ttl, std::chrono::seconds(60));
  EXPECT_FALSE(judged(rules, "What is a cache?").longest_ttl);
}

TEST(Cacheability, BytesThatAreNotUtf8DoNoHarm) {
  EXPECT_EQ(why_not_cacheable("\xff\xfe today \x80"), "realtime");
  EXPECT_EQ(why_not_cacheable("\xc3"), "");
}

}  // namespace
}  // namespace kvasir::cache
