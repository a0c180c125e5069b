#include "cache/cacheability.hpp"

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

TEST(Cacheability, BytesThatAreNotUtf8DoNoHarm) {
  EXPECT_EQ(why_not_cacheable("\xff\xfe today \x80"), "realtime");
  EXPECT_EQ(why_not_cacheable("\xc3"), "");
}

}  // namespace
}  // namespace kvasir::cache
