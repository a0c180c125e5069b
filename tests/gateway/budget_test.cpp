#include "gateway/budget.hpp"

#include <filesystem>
#include <fstream>

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

namespace kvasir::gateway {
namespace {

using std::chrono::hours;
using std::chrono::seconds;

const std::string kDigest(64, 'a');
constexpr Budget::Clock::time_point kNoon{std::chrono::hours(24 * 20'000 + 12)};

class File {
 public:
  File() : folder_(std::filesystem::temp_directory_path() / ("kvasir-ledger-" + std::to_string(::getpid()))) {
    std::filesystem::create_directories(folder_);
  }
  ~File() { std::filesystem::remove_all(folder_); }
  std::string path() const { return (folder_ / "spent").string(); }

 private:
  std::filesystem::path folder_;
};

TEST(Price, counts_in_whole_nano_dollars) {
  const Price price{Price::per_token(0.15), Price::per_token(0.075), Price::per_token(0.60)};
  EXPECT_EQ(price.cost({1'000'000, 0, 0}), kNanoPerUsd * 15 / 100);
  EXPECT_EQ(price.cost({1'000'000, 1'000'000, 0}), kNanoPerUsd * 75 / 1000);
  EXPECT_EQ(price.cost({10, 4, 2}), 6 * 150 + 4 * 75 + 2 * 600);
}

TEST(Price, rounds_up_so_that_nothing_is_free_by_being_small) {
  const Price price{Price::per_token(0.0001), 0, 0};
  EXPECT_EQ(price.cost({1, 0, 0}), 1);
}

TEST(Price, does_not_overflow_on_counts_that_make_no_sense) {
  const Price price{Price::per_token(Price::kMaxPerMillion), Price::per_token(Price::kMaxPerMillion),
                    Price::per_token(Price::kMaxPerMillion)};
  EXPECT_GT(price.cost({INT32_MAX, INT32_MAX, INT32_MAX}), 0);
  EXPECT_EQ(price.cost({-5, 7, -5}), 0);
}

TEST(Budget, refuses_until_midnight_once_it_is_spent) {
  Budget budget;
  EXPECT_EQ(budget.claim(100, 100, kNoon), 0);
  budget.settle(100, 100, kNoon);
  EXPECT_EQ(budget.claim(1, 100, kNoon), 12 * 3600);
  EXPECT_EQ(budget.claim(1, 100, kNoon + hours(12) - seconds(1)), 1);
  EXPECT_EQ(budget.claim(1, 100, kNoon + hours(12)), 0);
}

TEST(Budget, counts_what_is_claimed_by_requests_that_still_run) {
  Budget budget;
  EXPECT_EQ(budget.claim(100, 100, kNoon), 0);
  EXPECT_GT(budget.claim(1, 100, kNoon), 0);
  budget.settle(100, 0, kNoon);
  EXPECT_EQ(budget.claim(1, 100, kNoon), 0);
}

TEST(Budget, gives_no_money_out_when_the_clock_goes_back) {
  Budget budget;
  budget.settle(0, 50, kNoon);
  EXPECT_GT(budget.claim(1, 50, kNoon - hours(48)), 0);
}

TEST(SpendLedger, remembers_over_a_restart) {
  const File file;
  {
    SpendLedger ledger(file.path());
    ledger.budget(kDigest)->settle(0, 1234);
  }
  SpendLedger ledger(file.path());
  EXPECT_EQ(ledger.budget(kDigest)->spent(), 1234);
  EXPECT_EQ(ledger.budget(kDigest), ledger.budget(kDigest));
  struct stat kept {};
  ASSERT_EQ(::stat(file.path().c_str(), &kept), 0);
  EXPECT_EQ(kept.st_mode & 0777, 0600U);
}

TEST(SpendLedger, forgets_yesterday_and_what_it_cannot_read) {
  const File file;
  std::ofstream(file.path()) << kDigest << " 12 99\nnonsense\n" << std::string(64, 'b') << " x 5\n\n";
  SpendLedger ledger(file.path());
  EXPECT_EQ(ledger.budget(kDigest)->spent(), 0);
  EXPECT_EQ(ledger.budget(std::string(64, 'b'))->spent(), 0);
}

TEST(SpendLedger, says_when_it_cannot_write) {
  std::vector<std::string> problems;
  SpendLedger ledger("/nowhere/at/all", [&](const std::string& problem) { problems.push_back(problem); });
  EXPECT_TRUE(ledger.save());
  ledger.budget(kDigest)->settle(0, 1);
  EXPECT_FALSE(ledger.save());
  EXPECT_FALSE(ledger.save());
  ASSERT_EQ(problems.size(), 1U);
  EXPECT_NE(problems[0].find("/nowhere/at/all: No such file"), std::string::npos);
}

}  // namespace
}  // namespace kvasir::gateway
