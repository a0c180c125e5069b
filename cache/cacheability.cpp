#include "cache/cacheability.hpp"

#include "cache/words.hpp"

#include <algorithm>
#include <cstddef>
#include <span>

namespace kvasir::cache {
namespace {

constexpr std::string_view english_time[] = {"now",
                                             "right now",
                                             "today",
                                             "today's",
                                             "tonight",
                                             "tomorrow",
                                             "yesterday",
                                             "currently",
                                             "at present",
                                             "at the moment",
                                             "this morning",
                                             "this week",
                                             "this month",
                                             "this year",
                                             "latest",
                                             "real time",
                                             "breaking news",
                                             "what time is it",
                                             "what day is it",
                                             "what is the date",
                                             "weather in",
                                             "weather at",
                                             "weather forecast",
                                             "stock price",
                                             "share price",
                                             "exchange rate",
                                             "gold price",
                                             "price of gold",
                                             "price of bitcoin",
                                             "bitcoin price",
                                             "live score",
                                             "traffic on"};
constexpr std::string_view vietnamese_time[] = {
    "hôm nay",  "bây giờ",     "hiện tại",  "hiện nay", "hiện giờ",     "lúc này",     "ngay lúc này",
    "tối nay",  "sáng nay",    "chiều nay", "trưa nay", "đêm nay",      "ngày mai",    "hôm qua",
    "tuần này", "tháng này",   "năm nay",   "mới nhất", "mấy giờ rồi",  "thời tiết",   "giá vàng",
    "giá xăng", "giá bitcoin", "tỷ giá",    "tỉ giá",   "giá cổ phiếu", "tin tức mới", "kết quả xổ số"};
constexpr std::string_view chinese_time[] = {"今天", "今日", "今晚", "今早", "今年",   "现在",     "現在", "目前",
                                             "当前", "當前", "此刻", "明天", "昨天",   "本周",     "本月", "这周",
                                             "最新", "实时", "實時", "即时", "几点了", "现在几点", "天气", "天氣",
                                             "股价", "股價", "汇率", "匯率", "金价",   "金價",     "油价", "油價"};

constexpr std::string_view english_belongings[] = {
    "email",     "emails",       "e-mail",       "inbox",     "mail",     "messages",    "calendar",
    "schedule",  "appointment",  "appointments", "meeting",   "meetings", "order",       "orders",
    "package",   "delivery",     "account",      "balance",   "bank",     "salary",      "payslip",
    "address",   "phone number", "name",         "birthday",  "age",      "location",    "subscription",
    "invoice",   "invoices",     "bill",         "bills",     "booking",  "reservation", "flight",
    "password",  "contacts",     "files",        "documents", "notes",    "tasks",       "boss",
    "wife",      "husband",      "ticket",       "tickets",   "profile",  "history",     "medical record",
    "diagnosis", "test results", "grades",       "points"};
constexpr std::string_view vietnamese_belongings[] = {
    "email",    "thư",       "hộp thư",   "tin nhắn", "lịch",    "lịch họp",   "lịch hẹn", "cuộc họp",
    "cuộc hẹn", "đơn hàng",  "tài khoản", "số dư",    "lương",   "bảng lương", "địa chỉ",  "số điện thoại",
    "tên",      "sinh nhật", "tuổi",      "vị trí",   "hóa đơn", "hoá đơn",    "vé",       "chuyến bay",
    "mật khẩu", "danh bạ",   "tệp",       "hồ sơ",    "ghi chú", "công việc",  "sếp",      "vợ",
    "chồng",    "điểm",      "bệnh án",   "gói cước"};
constexpr std::string_view chinese_belongings[] = {
    "email", "邮箱", "郵箱", "邮件", "郵件", "短信", "消息", "日历", "日曆", "日程", "会议", "會議",
    "预约",  "預約", "订单", "訂單", "快递", "账户", "帳戶", "账号", "帳號", "余额", "餘額", "银行卡",
    "工资",  "薪水", "地址", "电话", "電話", "名字", "生日", "年龄", "位置", "发票", "账单", "帳單",
    "航班",  "密码", "密碼", "文件", "笔记", "老板", "妻子", "丈夫", "成绩", "病历", "積分", "积分"};

constexpr std::string_view english_asker[] = {"my", "mine", "our"};
constexpr std::string_view vietnamese_asker[] = {"của tôi", "của tui", "của mình", "của em", "của tớ", "của chúng tôi"};
constexpr std::string_view chinese_asker[] = {"我的", "我们的", "我們的", "我"};

constexpr std::string_view about_the_asker[] = {"who am i",      "where am i", "what did i",     "when did i",
                                                "do i have any", "tôi là ai",  "tôi đang ở đâu", "我是谁",
                                                "我是誰",        "我在哪"};
constexpr std::string_view how_to[] = {"how do i",    "how do we",    "how can i",   "how can we",
                                       "how to",      "how should i", "how would i", "what is the best way to",
                                       "làm thế nào", "làm sao",      "cách",        "如何",
                                       "怎么",        "怎麼",         "怎样",        "怎樣"};

PhraseSet phrases(std::initializer_list<std::span<const std::string_view>> lists) {
  PhraseSet set;
  for (const auto& list : lists) {
    for (const std::string_view phrase : list) {
      set.add(phrase);
      set.add(without_accents(phrase));
    }
  }
  return set;
}

// An asker's word and a belonging near it; which comes first depends on the language.
struct Possession {
  enum class Order { asker_first, belonging_first };
  Order order;
  std::size_t reach;  // words between the two ("my last order")
  PhraseSet askers;
  PhraseSet belongings;

  bool found_in(const Words& words) const {
    for (std::size_t at = 0; at < words.size(); ++at) {
      const std::size_t length = askers.match(words, at);
      if (length == 0) continue;
      const bool near = order == Order::asker_first ? belongings.contains_any(words, at + length, at + length + reach)
                                                    : belongings.contains_any(words, at - std::min(at, reach), at);
      if (near) return true;
    }
    return false;
  }
};

struct Rules {
  PhraseSet realtime = phrases({english_time, vietnamese_time, chinese_time});
  PhraseSet asker = phrases({about_the_asker});
  PhraseSet instructions = phrases({how_to});
  Possession possessions[3] = {
      {Possession::Order::asker_first, 3, phrases({english_asker}), phrases({english_belongings})},
      {Possession::Order::belonging_first, 4, phrases({vietnamese_asker}), phrases({vietnamese_belongings})},
      {Possession::Order::asker_first, 4, phrases({chinese_asker}), phrases({chinese_belongings})}};
};

}  // namespace

std::string_view why_not_cacheable(std::string_view question) {
  static const Rules rules;
  const Words words(question);
  if (rules.realtime.contains_any(words)) return "realtime";
  if (rules.asker.contains_any(words)) return "personal";
  constexpr std::size_t opening = 4;  // words: a "how do I" further in may follow a personal question
  if (rules.instructions.contains_any(words, 0, opening)) return {};
  const bool personal = std::ranges::any_of(rules.possessions, [&](const Possession& p) { return p.found_in(words); });
  return personal ? "personal" : std::string_view{};
}

}  // namespace kvasir::cache
