// Which prompts the last answers were computed from, so that a request may name one by the id of its answer.
#pragma once

#include "engine/engine.hpp"

#include <chrono>
#include <cstddef>
#include <functional>
#include <list>
#include <map>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>

namespace kvasir::gateway {

// Bounded: what nobody has named for longest goes first. Any thread.
class RememberedPrompts {
 public:
  using Clock = std::chrono::steady_clock;
  using Now = std::function<Clock::time_point()>;
  static constexpr std::size_t kMostAnswers = 4096;
  static constexpr std::size_t kMostTokens = std::size_t{4} << 20;

  explicit RememberedPrompts(Now now = Clock::now) : now_(std::move(now)) {}

  // `id` of an answer to `tenant` stands for these prompts until it has not been named for `ttl`.
  void remember(const std::string& tenant, std::string_view id, engine::RecordedPrompts prompts,
                std::chrono::seconds ttl);
  // Empty: unknown to this tenant, or its time is over.
  engine::RecordedPrompts find(const std::string& tenant, std::string_view id);

 private:
  using Name = std::pair<std::string, std::string>;  // tenant, id
  struct Entry {
    Name name;
    engine::RecordedPrompts prompts;
    std::size_t tokens = 0;
    std::chrono::seconds ttl{0};
    Clock::time_point until;
  };
  using Entries = std::list<Entry>;  // named last first

  void drop(Entries::iterator entry);

  const Now now_;
  std::mutex mutex_;
  Entries entries_;
  std::map<Name, Entries::iterator> by_name_;
  std::size_t tokens_ = 0;
};

}  // namespace kvasir::gateway
