// Who waits for admission, and whose turn it is. Used by the engine's thread only.
//
// Higher priorities go first, and among equals those that were preempted. The others take turns by tenant: the one
// that has had the least computed is next (virtual token counters, arXiv 2401.00588), whatever it has waiting. Inside a
// namespace it is first come first served, except that a request whose prefix is mostly in the KV already may overtake,
// before the prefix is evicted; nobody is overtaken more than kOvertakings times.
#pragma once

#include "engine/sequence.hpp"

#include <cstddef>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace kvasir::engine {

class WaitingQueue {
 public:
  static constexpr int kOvertakings = 4;

  void add(std::unique_ptr<Sequence> sequence);
  // It was running, and is next of its priority.
  void put_back(std::unique_ptr<Sequence> sequence);
  // Null if unknown.
  std::unique_ptr<Sequence> remove(Engine::RequestId id);

  // A round of admission: next() until it is null, and after each either take() or pass_over(), or the round's end.
  void start_round();
  // `resident` counts the tokens of a prompt that are in the KV.
  Sequence* next(const std::function<int(const Sequence&)>& resident);
  std::unique_ptr<Sequence> take(const Sequence& sequence);
  // It waits for something of its own: in this round others go first.
  void pass_over(const Sequence& sequence);

  // Something was computed for this tenant.
  void charge(std::string_view tenant, int tokens);

  int size() const { return static_cast<int>(entries_.size()); }
  template <typename F>
  void for_each(F f) const {
    for (const Entry& entry : entries_) f(*entry.sequence);
  }

 private:
  struct Entry {
    std::unique_ptr<Sequence> sequence;
    double* served;  // of its tenant
    bool preempted = false;
    bool passed_over = false;
    int overtaken = 0;
  };
  using Entries = std::vector<Entry>;

  static bool same_line(const Entry& a, const Entry& b);
  double& served(std::string_view tenant);
  Entries::iterator find(const Sequence& sequence);

  Entries entries_;                                    // preempted ones, then by arrival
  std::map<std::string, double, std::less<>> served_;  // tokens by tenant
  double turn_ = 0;                                    // what the tenant has had that was next last
};

}  // namespace kvasir::engine
