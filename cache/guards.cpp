#include "cache/guards.hpp"

#include "cache/guard_content.hpp"
#include "cache/guard_order.hpp"
#include "cache/numerals.hpp"

#include <algorithm>
#include <array>
#include <span>
#include <tuple>
#include <unordered_set>
#include <utility>

namespace kvasir::cache {
namespace {

// Longer texts say too much to be compared: they are the same or they are not.
constexpr std::size_t most_words = 400;

constexpr std::string_view negating[] = {
    "not",   "no",     "never", "without",  "cannot",  "none",    "nobody", "nothing", "nowhere", "neither",
    "nor",   "dont",   "cant",  "wont",     "isnt",    "arent",   "wasnt",  "werent",  "doesnt",  "didnt",
    "hasnt", "havent", "hadnt", "shouldnt", "couldnt", "wouldnt", "mustnt", "except",  "unable",  "không",
    "khong", "ko",     "chẳng", "chả",      "chưa",    "đừng",    "chớ",    "trừ",     "不",      "没",
    "沒",    "無",     "无",    "未",       "非",      "勿",      "莫",     "别",      "別"};

// Words that hold a negating syllable and negate nothing.
constexpr std::string_view not_negating[] = {"no 1",        "no one's business",
                                             "not only",    "không gian",
                                             "không khí",   "hàng không",
                                             "không những", "không chỉ",
                                             "không quân",  "hay không",
                                             "hay chưa",    "不仅",
                                             "不僅",        "不但",
                                             "不过",        "不過",
                                             "不同",        "不断",
                                             "不斷",        "差不多",
                                             "对不起",      "對不起",
                                             "无论",        "無論",
                                             "不管",        "非常",
                                             "非洲",        "区别",
                                             "區別",        "特别",
                                             "特別",        "别人",
                                             "別人",        "级别",
                                             "級別",        "性别",
                                             "性別",        "分别",
                                             "分別",        "类别",
                                             "類別",        "个别",
                                             "個別",        "识别",
                                             "識別",        "辨别",
                                             "辨別",        "鉴别",
                                             "鑒別",        "告别",
                                             "未来",        "未來"};

// At the end of a Vietnamese question these ask; they do not deny.
constexpr std::string_view asking_particles[] = {"không", "khong", "ko", "chưa", "chua"};

struct Opposites {
  std::string_view left;  // forms, separated by '|'
  std::string_view right;
};

constexpr Opposites opposites[] = {
    {"enable|enabled|enables|enabling|activate|activated|turn on|turning on|switch on|bật|kích "
     "hoạt|mở|启用|啟用|开启|打开|激活",
     "disable|disabled|disables|disabling|deactivate|deactivated|turn off|turning off|switch off|tắt|vô hiệu hóa|vô "
     "hiệu hoá|đóng|"
     "禁用|停用|关闭|關閉"},
    {"increase|increases|increasing|increased|raise|grow|tăng|增加|提高|提升",
     "decrease|decreases|decreasing|decreased|reduce|reduces|reducing|lower|shrink|giảm|减少|減少|降低"},
    {"add|adding|added|insert|thêm|添加|增添",
     "remove|removing|removed|delete|deleting|deleted|xóa|xoá|gỡ|bỏ|删除|刪除|移除"},
    {"install|installing|installed|cài đặt|安装|安裝", "uninstall|uninstalling|uninstalled|gỡ cài đặt|卸载|解除安裝"},
    {"allow|allowing|allowed|permit|cho phép|允许|允許",
     "deny|forbid|block|blocking|disallow|prevent|cấm|chặn|禁止|阻止"},
    {"start|starting|started|begin|bắt đầu|开始|開始|启动",
     "stop|stopping|stopped|end|finish|dừng|kết thúc|停止|结束|結束"},
    {"open|opening|opened", "close|closing|closed"},
    {"buy|buying|bought|purchase|mua|买|買|购买", "sell|selling|sold|bán|卖|賣|出售"},
    {"import|importing|nhập khẩu|进口|導入|导入", "export|exporting|xuất khẩu|出口|導出|导出"},
    {"upload|uploading|tải lên|上传|上傳", "download|downloading|tải xuống|tải về|下载|下載"},
    {"encrypt|encrypting|encryption|mã hóa|mã hoá|加密", "decrypt|decrypting|decryption|giải mã|解密"},
    {"lock|locking|locked|khóa|khoá|锁定", "unlock|unlocking|unlocked|mở khóa|mở khoá|解锁"},
    {"subscribe|subscribing|订阅|訂閱", "unsubscribe|unsubscribing|取消订阅|取消訂閱"},
    {"connect|connecting|connected|kết nối|连接|連接", "disconnect|disconnecting|disconnected|ngắt kết nối|断开"},
    {"login|log in|sign in|đăng nhập|登录|登入", "logout|log out|sign out|đăng xuất|退出登录|登出"},
    {"upgrade|upgrading|nâng cấp|升级|升級", "downgrade|downgrading|hạ cấp|降级|降級"},
    {"accept|accepting|accepted|approve|chấp nhận|接受|批准",
     "reject|rejecting|rejected|decline|refuse|từ chối|拒绝|拒絕"},
    {"show|showing|hiện|hiển thị|显示|顯示", "hide|hiding|ẩn|隐藏|隱藏"},
    {"maximum|max|most|highest|largest|biggest|tối đa|nhiều nhất|lớn nhất|cao nhất|最大|最多|最高",
     "minimum|min|least|lowest|smallest|tối thiểu|ít nhất|nhỏ nhất|thấp nhất|最小|最少|最低"},
    {"before|trước|之前|以前", "after|sau|之后|之後|以后|以後"},
    {"more|better|hơn|更多", "less|fewer|worse|kém|更少"},
    {"win|winning|won|thắng|赢|贏", "lose|losing|lost|thua|输|輸"},
    {"gain|gaining", "lose|losing"},
    {"good|best|advantages|advantage|pros|benefits|ưu điểm|lợi ích|优点|優點|好处",
     "bad|worst|disadvantages|disadvantage|cons|drawbacks|nhược điểm|tác hại|缺点|缺點|坏处"},
    {"safe|an toàn|安全", "unsafe|dangerous|nguy hiểm|危险|危險"},
    {"legal|hợp pháp|合法", "illegal|bất hợp pháp|非法"},
    {"possible|có thể|可能", "impossible|không thể|不可能"},
    {"hot|warm|nóng|热|熱", "cold|cool|lạnh|冷"},
    {"first|đầu tiên|第一", "last|cuối cùng|最后|最後"},
    {"left|bên trái|左", "right|bên phải|右"},
    {"true|đúng|正确", "false|sai|错误"},
    {"input|đầu vào|输入|輸入", "output|đầu ra|输出|輸出"},
    {"send|sending|sent|gửi|发送", "receive|receiving|received|nhận|接收"},
    {"male|man|men|nam|男", "female|woman|women|nữ|女"},
    {"public|công khai|公开", "private|riêng tư|私有"},
    {"north|bắc|北", "south|nam|南"},
    {"east|đông|东|東", "west|tây|西"},
    {"am", "pm"},
    {"and|và|和", "or|hoặc|或"},
    {"deposit|nạp tiền|存款", "withdraw|withdrawal|rút tiền|取款"},
    {"arrive|arrival|đến nơi|到达", "depart|departure|khởi hành|出发"},
    {"positive|dương|正面", "negative|âm|负面"},
    {"lend|cho vay", "borrow|đi vay"},
    {"push|đẩy|推", "pull|kéo|拉"},
    {"encode|encoding|编码", "decode|decoding|解码"},
    {"compress|compressing|nén|压缩", "decompress|extract|unzip|giải nén|解压"}};

// Words that can stand elsewhere in a question without changing it.
constexpr std::string_view function_words[] = {
    "a",     "an",    "the",   "this",  "that",  "these", "those",  "i",    "you",     "we",   "he",   "she",   "it",
    "they",  "me",    "us",    "him",   "her",   "them",  "my",     "your", "our",     "his",  "its",  "their", "is",
    "are",   "was",   "were",  "be",    "been",  "being", "am",     "do",   "does",    "did",  "done", "have",  "has",
    "had",   "can",   "could", "will",  "would", "shall", "should", "may",  "might",   "must", "what", "which", "who",
    "whom",  "whose", "when",  "where", "why",   "how",   "if",     "and",  "or",      "but",  "of",   "to",    "in",
    "on",    "at",    "by",    "for",   "from",  "with",  "about",  "into", "as",      "than", "then", "so",    "there",
    "here",  "any",   "some",  "also",  "too",   "just",  "please", "tell", "explain", "là",   "của",  "và",    "hay",
    "hoặc",  "thì",   "mà",    "ở",     "tại",   "trong", "ngoài",  "trên", "dưới",    "từ",   "đến",  "tới",   "với",
    "cho",   "về",    "bởi",   "do",    "để",    "có",    "không",  "được", "bị",      "đã",   "đang", "sẽ",    "các",
    "những", "một",   "cái",   "này",   "kia",   "đó",    "ấy",     "gì",   "nào",     "ai",   "đâu",  "sao",   "thế",
    "như",   "bao",   "giờ",   "nhiêu", "mấy",   "tôi",   "bạn",    "mình", "ạ",       "à",    "nhé",  "vậy",   "thể",
    "làm",   "hãy",   "xin",   "rằng",  "nếu",   "khi",   "的",     "是",   "什",      "么",   "麼",   "哪",    "里",
    "裡",    "吗",    "嗎",    "呢",    "了",    "在",    "有",     "请",   "請",      "问",   "問",   "怎",    "样",
    "樣",    "如",    "何",    "为",    "為",    "我",    "你",     "和",   "与",      "與",   "个",   "個",    "不"};

void add_forms(PhraseSet& set, std::string_view forms) {
  while (!forms.empty()) {
    const std::size_t end = std::min(forms.find('|'), forms.size());
    set.add(forms.substr(0, end));
    forms.remove_prefix(std::min(end + 1, forms.size()));
  }
}

PhraseSet phrases(std::span<const std::string_view> list) {
  PhraseSet set;
  for (const std::string_view phrase : list) set.add(phrase);
  return set;
}

struct Lexicon {
  PhraseSet negating_words = phrases(negating);
  PhraseSet exempt = phrases(not_negating);
  PhraseSet particles = phrases(asking_particles);
  std::unordered_set<std::string_view> functions{std::begin(function_words), std::end(function_words)};
  std::unordered_set<std::string> plain_functions;
  PhraseSet poles;
  std::array<std::pair<PhraseSet, PhraseSet>, std::size(opposites)> pairs;

  Lexicon() {
    for (const std::string_view word : function_words) plain_functions.insert(without_accents(word));
    for (std::size_t i = 0; i < pairs.size(); ++i) {
      add_forms(pairs[i].first, opposites[i].left);
      add_forms(pairs[i].second, opposites[i].right);
      add_forms(poles, opposites[i].left);
      add_forms(poles, opposites[i].right);
    }
  }
};

const Lexicon& lexicon() {
  static const Lexicon loaded;
  return loaded;
}

// "能不能" and "有没有" ask a yes-or-no question.
bool asks_yes_or_no(const Words& words, std::size_t at) {
  return at > 0 && at + 1 < words.size() && words.han(at - 1) && words[at - 1] == words[at + 1];
}

int count_negations(const Words& words) {
  const Lexicon& known = lexicon();
  int count = 0;
  for (std::size_t at = 0; at < words.size();) {
    if (const std::size_t exempt = known.exempt.match(words, at); exempt > 0) {
      at += exempt;
      continue;
    }
    const bool negates = known.negating_words.match(words, at) > 0 || words[at].ends_with("n't");
    const bool asks = (at + 1 == words.size() && known.particles.match(words, at) > 0) || asks_yes_or_no(words, at);
    if (negates && !asks) ++count;
    ++at;
  }
  return count;
}

std::vector<Poles> find_poles(const Words& words) {
  const Lexicon& known = lexicon();
  std::vector<Poles> found;
  if (!known.poles.contains_any(words)) return found;  // most questions
  for (std::size_t pair = 0; pair < known.pairs.size(); ++pair) {
    Poles poles{pair};
    for (std::size_t at = 0; at < words.size(); ++at) {
      const std::size_t left = known.pairs[pair].first.match(words, at);
      const std::size_t right = known.pairs[pair].second.match(words, at);
      // The longer form wins: "mở khóa" is not "khóa", and "gỡ cài đặt" is not "cài đặt".
      poles.left |= left > right;
      poles.right |= right > left;
      if (std::max(left, right) > 1) at += std::max(left, right) - 1;
    }
    if (poles.left || poles.right) found.push_back(poles);
  }
  return found;
}

bool same_numbers(const GuardedQuestion& asked, const GuardedQuestion& stored) {
  return asked.numbers() == stored.numbers();
}

// A pair of opposites that both speak of must show the same sides; one that only one of them speaks of says nothing.
bool same_polarity(const GuardedQuestion& asked, const GuardedQuestion& stored) {
  if (asked.negations() != stored.negations()) return false;
  return std::ranges::all_of(asked.poles(), [&](const Poles& mine) {
    const auto theirs = std::ranges::find(stored.poles(), mine.pair, &Poles::pair);
    return theirs == stored.poles().end() || *theirs == mine;
  });
}

bool contains(const std::vector<std::string>& sorted, std::string_view word) {
  return std::ranges::binary_search(sorted, word);
}

// A question typed in one case may mean "eur" as EUR; it cannot mean "it" as IT.
bool capitals_occur(const Identifiers& mine, const GuardedQuestion& other) {
  return std::ranges::all_of(mine.capitals, [&](const std::string& word) {
    if (contains(other.identifiers().capitals, word)) return true;
    return other.identifiers().one_case && !lexicon().functions.contains(word) &&
           std::ranges::find(other.words(), word) != other.words().end();
  });
}

bool occurs_unquoted(const std::string& quotation, const GuardedQuestion& other) {
  const Words words(quotation);
  std::vector<std::string> phrase;
  std::string joined;
  for (std::size_t i = 0; i < words.size(); ++i) {
    phrase.emplace_back(words[i]);
    joined.append(i == 0 ? "" : " ").append(words[i]);
  }
  return joined == quotation && !std::ranges::search(other.words(), phrase).empty();
}

// Quotation marks may be left out, but not what they hold.
bool quotations_occur(const Identifiers& mine, const GuardedQuestion& other) {
  const std::vector<std::string>& theirs = other.identifiers().quotations;
  return std::ranges::all_of(mine.quotations, [&](const std::string& quotation) {
    return contains(theirs, quotation) || (theirs.empty() && occurs_unquoted(quotation, other));
  });
}

bool same_identifiers(const GuardedQuestion& asked, const GuardedQuestion& stored) {
  return asked.identifiers().codes == stored.identifiers().codes && capitals_occur(asked.identifiers(), stored) &&
         capitals_occur(stored.identifiers(), asked) && quotations_occur(asked.identifiers(), stored) &&
         quotations_occur(stored.identifiers(), asked);
}

// Of words with the same letters each side must hold the same spellings ("dừa", "dưa"), unless one side has none at
// all. A question typed without any accents is compared by its letters alone.
bool same_accents(const GuardedQuestion& asked, const GuardedQuestion& stored) {
  if (!asked.accented() || !stored.accented()) return true;
  auto mine = asked.spellings().begin();
  auto theirs = stored.spellings().begin();
  while (mine != asked.spellings().end() && theirs != stored.spellings().end()) {
    if (mine->plain != theirs->plain) {
      ++(mine->plain < theirs->plain ? mine : theirs);
      continue;
    }
    const std::string& plain = mine->plain;
    const auto other_letters = [&](const Spelling& spelling) { return spelling.plain != plain; };
    const auto my_end = std::find_if(mine, asked.spellings().end(), other_letters);
    const auto their_end = std::find_if(theirs, stored.spellings().end(), other_letters);
    const bool i_have_more =
        !std::ranges::includes(std::ranges::subrange(theirs, their_end), std::ranges::subrange(mine, my_end), {},
                               &Spelling::marks, &Spelling::marks);
    const bool they_have_more =
        !std::ranges::includes(std::ranges::subrange(mine, my_end), std::ranges::subrange(theirs, their_end), {},
                               &Spelling::marks, &Spelling::marks);
    if (i_have_more && they_have_more) return false;
    mine = my_end;
    theirs = their_end;
  }
  return true;
}

// "from London to Paris" is not "from Paris to London".
bool same_order(const GuardedQuestion& asked, const GuardedQuestion& stored) {
  // "Did Ann see Bob" and "Was Ann seen by Bob" share their order and turn the roles round.
  const auto says_by = [](const GuardedQuestion& question) {
    return std::ranges::find(question.words(), "by") != question.words().end();
  };
  if (says_by(asked) != says_by(stored)) return false;
  const bool plain = !asked.accented() || !stored.accented();
  const std::vector<Placed>& theirs = stored.content(plain);
  std::vector<std::pair<std::size_t, std::size_t>> places;
  for (const Placed& mine : asked.content(plain)) {
    const auto same = std::ranges::lower_bound(theirs, mine.word, {}, &Placed::word);
    if (same != theirs.end() && same->word == mine.word) places.emplace_back(mine.place, same->place);
  }
  std::ranges::sort(places);
  return std::ranges::is_sorted(places, {}, &std::pair<std::size_t, std::size_t>::second);
}

bool same_content(const GuardedQuestion& asked, const GuardedQuestion& stored) {
  std::vector<std::string> mine = asked.words();
  std::vector<std::string> theirs = stored.words();
  std::ranges::sort(mine);
  std::ranges::sort(theirs);
  return mine == theirs;
}

// Where no guard knows the language, only what is all but the same counts.
constexpr float unknown_language_similarity = 0.98F;

// The sharpest word first: it is the one that the client reads.
constexpr Guard guards[] = {{"guard_number", same_numbers},
                            {"guard_negation", same_polarity},
                            {"guard_identifier", same_identifiers},
                            {"guard_accent", same_accents}};

// Keeps the words that stand alone, sorted.
void keep_single(std::vector<Placed>& words) {
  std::ranges::sort(words, {}, &Placed::word);
  std::vector<Placed> single;
  for (std::size_t i = 0; i < words.size(); ++i) {
    const bool repeated =
        (i > 0 && words[i - 1].word == words[i].word) || (i + 1 < words.size() && words[i + 1].word == words[i].word);
    if (!repeated) single.push_back(words[i]);
  }
  words = std::move(single);
}

}  // namespace

GuardedQuestion::GuardedQuestion(std::string_view question)
    : text_(fold(question)), read_(question), asked_in_(language_of(read_)), identifiers_(find_identifiers(question)) {
  const Words& words = read_;
  numbers_ = find_numbers(question, words);
  negations_ = count_negations(words);
  poles_ = find_poles(words);
  const Lexicon& known = lexicon();
  for (std::size_t i = 0; i < words.size(); ++i) {
    const std::string& word = words_.emplace_back(words[i]);
    Spelling& spelling = spellings_.emplace_back(spell(word));
    accented_ |= !spelling.marks.empty();
    if (asked_in_.language != Language::other) continue;  // compared by its terms
    // "plan A" is a name, "a plan" is not; "what's" asks.
    const bool named = contains(identifiers_.codes, word);
    const bool contracted = word.find('\'') != word.npos;
    if (named || (!contracted && !known.functions.contains(word))) content_.push_back({word, i});
    if (named || (!contracted && !known.plain_functions.contains(spelling.plain))) {
      plain_content_.push_back({spelling.plain, i});
    }
  }
  const auto by_letters = [](const Spelling& a, const Spelling& b) {
    return std::tie(a.plain, a.marks) < std::tie(b.plain, b.marks);
  };
  std::ranges::sort(spellings_, by_letters);
  const auto repeated = std::ranges::unique(spellings_);
  spellings_.erase(repeated.begin(), repeated.end());
  keep_single(content_);
  keep_single(plain_content_);
  if (words.size() <= most_words) terms_ = terms(asked_in_.language, false);
}

Terms GuardedQuestion::terms(Language language, bool plain) const {
  return terms_of(text_, read_, identifiers_, language, plain);
}

void load_guards() {
  lexicon();
  english_words();
  for (const Language language : {Language::english, Language::vietnamese, Language::chinese}) {
    phrases_of(language, false);
  }
}

std::string_view guard_objection(const GuardedQuestion& asked, const GuardedQuestion& stored, float similarity) {
  if (std::max(asked.words().size(), stored.words().size()) > most_words) {
    return asked.text() == stored.text() ? std::string_view{} : "guard_length";
  }
  for (const Guard& guard : guards) {
    if (!guard.admits(asked, stored)) return guard.reason;
  }
  const AskedIn mine = asked.asked_in();
  const AskedIn theirs = stored.asked_in();
  if (mine.language != theirs.language && !mine.uncertain && !theirs.uncertain) return "guard_language";
  if (mine.language == Language::other || theirs.language == Language::other) {
    if (similarity < unknown_language_similarity) return "guard_language";
    if (!same_content(asked, stored)) return "guard_words";
    return same_order(asked, stored) ? std::string_view{} : "guard_order";
  }
  const bool vietnamese = mine.language == Language::vietnamese || theirs.language == Language::vietnamese;
  const bool plain = vietnamese && (!asked.accented() || !stored.accented());
  const Language language = vietnamese ? Language::vietnamese : mine.uncertain ? theirs.language : mine.language;
  // Most pairs are read in the language that each was read in already.
  const auto terms_in = [&](const GuardedQuestion& question, Terms& made) -> const Terms& {
    if (!plain && language == question.asked_in().language) return question.terms();
    made = question.terms(language, plain);
    return made;
  };
  Terms mine_made;
  Terms theirs_made;
  const Terms& my_terms = terms_in(asked, mine_made);
  const Terms& their_terms = terms_in(stored, theirs_made);
  // Nothing but fillers and signs that say nothing to the guards.
  if (my_terms.list.empty() && their_terms.list.empty()) {
    return asked.text() == stored.text() ? std::string_view{} : "guard_words";
  }
  if (const std::string_view reason = content_objection(my_terms, their_terms, language); !reason.empty())
    return reason;
  return order_objection(my_terms, their_terms, language);
}

}  // namespace kvasir::cache
