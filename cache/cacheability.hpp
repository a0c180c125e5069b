// May the answer to this question be kept at all? Questions about the asker and about this moment may not: their
// answers are wrong for the next asker, or an hour later. Phrases in English, Vietnamese (with and without accents)
// and Chinese (data/rules.inc); when in doubt the question is not cached.
#pragma once

#include <string_view>

namespace kvasir::cache {

// Empty: cacheable. "personal": "what is in my email", "email của tôi", "我的邮箱". Asking how something is done ("how
// do I change my email") is not personal. "realtime": "weather now", "giá vàng hôm nay", "现在几点".
std::string_view why_not_cacheable(std::string_view question);

}  // namespace kvasir::cache
