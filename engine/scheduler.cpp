#include "engine/scheduler.hpp"

#include <algorithm>

namespace kvasir::engine {
namespace {

constexpr int kTokens = kernels::kKvBlock;

int blocks_for(int tokens) {
  return (tokens + kTokens - 1) / kTokens;
}

// Tokens that two sequences have in common, in whole blocks.
int common_tokens(const Sequence& a, const Sequence& b) {
  const auto limit = static_cast<std::ptrdiff_t>(std::min(a.tokens.size(), b.tokens.size()));
  const auto differs = std::mismatch(a.tokens.begin(), a.tokens.begin() + limit, b.tokens.begin()).first;
  return static_cast<int>(differs - a.tokens.begin()) / kTokens * kTokens;
}

// What a sequence may take from the tree: all but its last token, whose logits are needed.
std::span<const TokenId> reusable(const Sequence& sequence) {
  return std::span(sequence.tokens).first(sequence.tokens.size() - 1);
}

}  // namespace

std::unique_ptr<Sequence> Scheduler::remove(Engine::RequestId id) {
  const auto is = [id](const auto& sequence) { return sequence->id == id; };
  const auto take_from = [&](auto& list) -> std::unique_ptr<Sequence> {
    const auto found = std::find_if(list.begin(), list.end(), is);
    if (found == list.end()) return nullptr;
    auto sequence = std::move(*found);
    list.erase(found);
    return sequence;
  };
  auto sequence = take_from(running_);
  if (sequence == nullptr) sequence = take_from(waiting_);
  if (sequence != nullptr) sequence->drop_blocks();
  return sequence;
}

std::vector<Engine::RequestId> Scheduler::ids() const {
  std::vector<Engine::RequestId> all;
  for (const auto& sequence : running_) all.push_back(sequence->id);
  for (const auto& sequence : waiting_) all.push_back(sequence->id);
  return all;
}

Block Scheduler::take() {
  if (pool_.free() == 0) evicted_blocks_ += static_cast<std::uint64_t>(tree_.evict(1));
  return pool_.take();
}

bool Scheduler::prefix_in_flight(const Sequence& sequence, int matched) const {
  if (!sequence.record) return false;
  for (const auto& other : running_) {
    if (!other->record || other->cache_namespace != sequence.cache_namespace || other->decoding()) continue;
    const int common = std::min(common_tokens(*other, sequence), sequence.size() - 1) / kTokens * kTokens;
    if (common > matched && common > other->computed / kTokens * kTokens) return true;
  }
  return false;
}

bool Scheduler::try_admit(Sequence& sequence) {
  PrefixTree::Resident resident;
  if (sequence.record) resident = tree_.resident(sequence.cache_namespace, reusable(sequence));
  if (prefix_in_flight(sequence, resident.tokens)) return false;
  const int needed = blocks_for(sequence.size()) - resident.tokens / kTokens;
  // What the match is about to hold cannot be evicted for it.
  if (needed > pool_.free() + tree_.evictable() - resident.unheld_blocks) return false;
  PrefixMatch match;
  if (sequence.record) match = tree_.match(sequence.cache_namespace, reusable(sequence));
  if (const int missing = needed - pool_.free(); missing > 0) {
    match.partial = {};
    evicted_blocks_ += static_cast<std::uint64_t>(tree_.evict(missing));
  }
  for (Block& block : match.blocks) sequence.hold(std::move(block));
  sequence.computed = static_cast<int>(sequence.blocks.size()) * kTokens;
  sequence.recorded = static_cast<int>(sequence.blocks.size());
  // The same text may be known as another document by now: mark it for this one's invalidation, too.
  if (sequence.recorded > 0 && !sequence.documents.empty())
    tree_.insert(sequence.cache_namespace,
                 std::span(sequence.tokens).first(static_cast<std::size_t>(sequence.computed)), sequence.blocks,
                 sequence.documents);
  while (static_cast<int>(sequence.blocks.size()) < blocks_for(sequence.size())) sequence.hold(pool_.take());
  if (match.partial) {
    storage_.copy(match.partial.id(), sequence.table[static_cast<std::size_t>(sequence.recorded)].block);
    sequence.computed += match.partial_tokens;
  }
  if (!sequence.admitted_before) {
    sequence.admitted_before = true;
    sequence.reused = sequence.computed;
    sequence.admitted = Sequence::Clock::now();
  }
  return true;
}

void Scheduler::admit() {
  // First come first served; only a request that waits for a prefix in flight may be overtaken.
  for (auto next = waiting_.begin(); next != waiting_.end() && running() < limits_.max_sequences;) {
    if (try_admit(**next)) {
      running_.push_back(std::move(*next));
      next = waiting_.erase(next);
      continue;
    }
    if (!prefix_in_flight(**next, tree_.resident((*next)->cache_namespace, reusable(**next)).tokens)) return;
    ++next;
  }
}

void Scheduler::preempt(std::size_t index) {
  auto sequence = std::move(running_[index]);
  running_.erase(running_.begin() + static_cast<std::ptrdiff_t>(index));
  sequence->drop_blocks();
  waiting_.push_front(std::move(sequence));
  ++preemptions_;
}

bool Scheduler::grow(Sequence& sequence, int tokens) {
  while (static_cast<int>(sequence.blocks.size()) < blocks_for(sequence.computed + tokens)) {
    Block block = take();
    if (!block) return false;
    sequence.hold(std::move(block));
  }
  return true;
}

std::vector<StepPart> Scheduler::plan() {
  admit();
  for (std::size_t i = 0; i < running_.size(); ++i) {
    while (i < running_.size() && !grow(*running_[i], 1)) preempt(running_.size() - 1);
  }
  std::vector<StepPart> parts;
  int budget = limits_.step_tokens;
  for (const auto& sequence : running_)
    if (sequence->decoding()) parts.push_back({sequence.get(), 1});
  if (!parts.empty()) budget = std::max(1, budget / 4);
  for (const auto& sequence : running_) {
    if (sequence->decoding() || budget == 0) continue;
    const int tokens = std::min(budget, sequence->size() - sequence->computed);
    parts.push_back({sequence.get(), tokens});
    budget -= tokens;
  }
  return parts;
}

int Scheduler::make_room(Sequence& sequence, int tokens) {
  if (grow(sequence, 1 + tokens)) return tokens;
  return static_cast<int>(sequence.blocks.size()) * kTokens - sequence.computed - 1;
}

void Scheduler::computed(const StepPart& part) {
  Sequence& sequence = *part.sequence;
  sequence.computed += part.tokens;
  // Rejected guesses may leave blocks that others wait for.
  while (static_cast<int>(sequence.blocks.size()) > blocks_for(sequence.size())) sequence.release_last();
  const int whole = sequence.computed / kTokens;
  if (!sequence.record || whole <= sequence.recorded) return;
  const auto blocks = static_cast<std::size_t>(whole);
  tree_.insert(sequence.cache_namespace, std::span(sequence.tokens).first(blocks * kTokens),
               std::span(sequence.blocks).first(blocks), sequence.documents);
  // Any of them may have been exchanged for a block that the tree had already.
  for (std::size_t i = 0; i < blocks; ++i) sequence.table[i].block = sequence.blocks[i].id();
  sequence.recorded = whole;
}

void Scheduler::forget(std::span<const std::string> documents) {
  const auto holds = [&](const Sequence& sequence) {
    return std::any_of(sequence.documents.begin(), sequence.documents.end(), [&](const DocumentMark& mark) {
      return std::find(documents.begin(), documents.end(), mark.key) != documents.end();
    });
  };
  for (const auto& sequence : running_)
    if (holds(*sequence)) sequence->record = false;
  for (const auto& sequence : waiting_)
    if (holds(*sequence)) sequence->record = false;
}

}  // namespace kvasir::engine
