#include "gateway/budget.hpp"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <sstream>
#include <utility>

#include <fcntl.h>
#include <unistd.h>

namespace kvasir::gateway {
namespace {

constexpr auto kInterval = std::chrono::seconds(2);
constexpr std::size_t kMaxKept = 100'000;

std::int64_t day_of(Budget::Clock::time_point now) {
  return std::chrono::floor<std::chrono::days>(now).time_since_epoch().count();
}

// Whole or not at all: a crash leaves the old file.
bool replace_file(const std::string& path, std::string_view text) {
  const std::string fresh = path + ".new";
  const int file = ::open(fresh.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  if (file < 0) return false;
  bool good = ::write(file, text.data(), text.size()) == static_cast<ssize_t>(text.size()) && ::fsync(file) == 0;
  good = ::close(file) == 0 && good;
  return good && std::rename(fresh.c_str(), path.c_str()) == 0;
}

}  // namespace

void Budget::begin_day(Clock::time_point now) {
  const std::int64_t today = day_of(now);
  if (today <= day_) return;  // a clock set back does not hand out money
  day_ = today;
  spent_ = 0;
}

int Budget::claim(NanoUsd amount, NanoUsd limit, Clock::time_point now) {
  const std::lock_guard lock(mutex_);
  begin_day(now);
  if (spent_ + claimed_ >= limit) {
    const auto midnight = std::chrono::ceil<std::chrono::days>(now + std::chrono::nanoseconds(1));
    return std::max(1, static_cast<int>(std::chrono::ceil<std::chrono::seconds>(midnight - now).count()));
  }
  claimed_ += amount;
  return 0;
}

void Budget::settle(NanoUsd claimed, NanoUsd spent, Clock::time_point now) {
  const std::lock_guard lock(mutex_);
  begin_day(now);
  claimed_ -= claimed;
  spent_ += spent;
}

NanoUsd Budget::spent(Clock::time_point now) const {
  const std::lock_guard lock(mutex_);
  return day_of(now) > day_ ? 0 : spent_;
}

SpendLedger::SpendLedger(std::string path, Report report) : path_(std::move(path)), report_(std::move(report)) {
  if (path_.empty()) return;
  load();
  writer_ = std::thread([this] { run(); });
}

SpendLedger::~SpendLedger() {
  if (!writer_.joinable()) return;
  {
    const std::lock_guard lock(mutex_);
    ending_ = true;
  }
  wake_.notify_one();
  writer_.join();
}

std::shared_ptr<Budget> SpendLedger::budget(const std::string& digest) {
  const std::lock_guard lock(mutex_);
  auto& slot = budgets_[digest];
  if (!slot) slot = std::make_shared<Budget>();
  return slot;
}

// Lines "DIGEST DAY NANO-USD"; a line that is none is left out.
void SpendLedger::load() {
  std::ifstream file(path_);
  std::string line;
  while (budgets_.size() < kMaxKept && std::getline(file, line)) {
    std::istringstream fields(line);
    std::string digest;
    std::int64_t day = 0;
    NanoUsd spent = 0;
    if (!(fields >> digest >> day >> spent) || digest.size() != 64 || spent < 0 || day > day_of(Budget::Clock::now())) {
      continue;
    }
    auto budget = std::make_shared<Budget>();
    budget->day_ = day;
    budget->spent_ = spent;
    budgets_[digest] = std::move(budget);
  }
  saved_ = text();
}

std::string SpendLedger::text() const {
  const std::int64_t today = day_of(Budget::Clock::now());
  std::ostringstream out;
  const std::lock_guard lock(mutex_);
  for (const auto& [digest, budget] : budgets_) {
    const std::lock_guard inner(budget->mutex_);
    if (budget->day_ == today && budget->spent_ > 0) {
      out << digest << ' ' << budget->day_ << ' ' << budget->spent_ << '\n';
    }
  }
  return out.str();
}

bool SpendLedger::save() {
  const std::lock_guard lock(file_mutex_);
  if (path_.empty()) return true;
  std::string now = text();
  if (now == saved_) return true;
  if (!replace_file(path_, now)) {
    const std::string why = std::strerror(errno);
    if (!std::exchange(failing_, true)) report_("what keys have spent cannot be written to " + path_ + ": " + why);
    return false;
  }
  failing_ = false;
  saved_ = std::move(now);
  return true;
}

void SpendLedger::run() {
  bool ending = false;
  while (!ending) {
    {
      std::unique_lock lock(mutex_);
      wake_.wait_for(lock, kInterval, [this] { return ending_; });
      ending = ending_;
    }
    save();
  }
}

}  // namespace kvasir::gateway
