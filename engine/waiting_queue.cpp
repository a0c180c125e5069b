#include "engine/waiting_queue.hpp"

#include <algorithm>
#include <iterator>
#include <tuple>
#include <utility>

namespace kvasir::engine {
namespace {

// How far behind the oldest a resident prefix is looked for.
constexpr int kLookAhead = 8;

}  // namespace

double& WaitingQueue::served(std::string_view tenant) {
  const auto found = served_.find(tenant);
  return found != served_.end() ? found->second : served_.emplace(std::string(tenant), 0).first->second;
}

void WaitingQueue::add(std::unique_ptr<Sequence> sequence) {
  double& has_had = served(sequence->tenant);
  // Who comes back from a pause has saved nothing up.
  double least = entries_.empty() ? turn_ : *entries_.front().served;
  for (const Entry& entry : entries_) least = std::min(least, *entry.served);
  has_had = std::max(has_had, least);
  entries_.push_back({std::move(sequence), &has_had});
}

void WaitingQueue::put_back(std::unique_ptr<Sequence> sequence) {
  double& has_had = served(sequence->tenant);
  entries_.insert(entries_.begin(), {std::move(sequence), &has_had, true});
}

std::unique_ptr<Sequence> WaitingQueue::remove(Engine::RequestId id) {
  const auto found =
      std::find_if(entries_.begin(), entries_.end(), [id](const Entry& entry) { return entry.sequence->id == id; });
  if (found == entries_.end()) return nullptr;
  auto sequence = std::move(found->sequence);
  entries_.erase(found);
  return sequence;
}

WaitingQueue::Entries::iterator WaitingQueue::find(const Sequence& sequence) {
  return std::find_if(entries_.begin(), entries_.end(),
                      [&](const Entry& entry) { return entry.sequence.get() == &sequence; });
}

void WaitingQueue::start_round() {
  for (Entry& entry : entries_) entry.passed_over = false;
}

void WaitingQueue::pass_over(const Sequence& sequence) {
  find(sequence)->passed_over = true;
}

bool WaitingQueue::same_line(const Entry& a, const Entry& b) {
  return !a.preempted && !b.preempted && a.served == b.served && a.sequence->priority == b.sequence->priority;
}

Sequence* WaitingQueue::next(const std::function<int(const Sequence&)>& resident) {
  const auto place = [](const Entry& entry) {
    return std::tuple(entry.passed_over, -entry.sequence->priority, !entry.preempted,
                      entry.preempted ? 0 : *entry.served);
  };
  const auto first = std::min_element(entries_.begin(), entries_.end(),
                                      [&](const Entry& a, const Entry& b) { return place(a) < place(b); });
  if (first == entries_.end() || first->passed_over) return nullptr;
  turn_ = *first->served;
  const auto mostly_there = [&](const Entry& entry) { return 2 * resident(*entry.sequence) >= entry.sequence->size(); };
  if (first->preempted || first->overtaken >= kOvertakings || mostly_there(*first)) return first->sequence.get();
  int looked_at = 0;
  for (auto other = std::next(first); other != entries_.end() && looked_at < kLookAhead; ++other) {
    if (other->passed_over || !same_line(*first, *other)) continue;
    ++looked_at;
    if (mostly_there(*other)) return other->sequence.get();
  }
  return first->sequence.get();
}

std::unique_ptr<Sequence> WaitingQueue::take(const Sequence& sequence) {
  const auto found = find(sequence);
  for (auto older = entries_.begin(); older != found; ++older)
    if (!older->passed_over && same_line(*older, *found)) ++older->overtaken;
  auto taken = std::move(found->sequence);
  entries_.erase(found);
  return taken;
}

void WaitingQueue::charge(std::string_view tenant, int tokens) {
  served(tenant) += tokens;
}

}  // namespace kvasir::engine
