#include "engine/scheduler.hpp"

#include <algorithm>
#include <utility>

namespace kvasir::engine {
namespace {

constexpr int kTokens = kernels::kKvBlock;
// What a generated token counts for in the turns of namespaces; one of a prompt, or a guess, counts 1.
constexpr int kOutputWeight = 2;

int blocks_for(int tokens) {
  return (tokens + kTokens - 1) / kTokens;
}

// Tokens that two sequences have in common, in whole blocks.
int common_tokens(const Sequence& a, const Sequence& b) {
  const auto limit = static_cast<std::ptrdiff_t>(std::min(a.tokens.size(), b.tokens.size()));
  const auto differs = std::mismatch(a.tokens.begin(), a.tokens.begin() + limit, b.tokens.begin()).first;
  return static_cast<int>(differs - a.tokens.begin()) / kTokens * kTokens;
}

// What a sequence may take from the tree: all but its last token, whose logits are needed, as far as its KV is that of
// a prefix.
std::span<const TokenId> reusable(const Sequence& sequence) {
  return std::span(sequence.tokens).first(static_cast<std::size_t>(sequence.span_of(sequence.size() - 1)));
}

// Blocks for all its tokens so far.
int blocks_of(const Sequence& sequence) {
  return blocks_for(sequence.span_of(sequence.size()));
}

}  // namespace

std::unique_ptr<Sequence> Scheduler::remove(Engine::RequestId id) {
  const auto found =
      std::find_if(running_.begin(), running_.end(), [id](const auto& sequence) { return sequence->id == id; });
  if (found == running_.end()) return waiting_.remove(id);
  auto sequence = std::move(*found);
  running_.erase(found);
  cancel_load(*sequence);
  sequence->drop_blocks();
  return sequence;
}

std::vector<Engine::RequestId> Scheduler::ids() const {
  std::vector<Engine::RequestId> all;
  for (const auto& sequence : running_) all.push_back(sequence->id);
  waiting_.for_each([&](const Sequence& sequence) { all.push_back(sequence.id); });
  return all;
}

Block Scheduler::take() {
  if (pool_.free() == 0) evicted_blocks_ += static_cast<std::uint64_t>(tree_.evict(1));
  return pool_.take();
}

bool Scheduler::prefix_in_flight(const Sequence& sequence, int matched) const {
  if (!sequence.record) return false;
  for (const auto& other : running_) {
    // What comes after this one may have to wait as long as there are others like it.
    if (other->priority < sequence.priority) continue;
    if (!other->record || other->dropped > 0 || other->cache_namespace != sequence.cache_namespace || other->decoding())
      continue;
    const int wanted = static_cast<int>(reusable(sequence).size());
    const int common = std::min(common_tokens(*other, sequence), other->span_of(wanted)) / kTokens * kTokens;
    if (common > matched && common > other->computed / kTokens * kTokens) return true;
  }
  return false;
}

Scheduler::Admission Scheduler::try_admit(Sequence& sequence) {
  PrefixTree::Resident resident;
  if (sequence.record) resident = tree_.resident(sequence.cache_namespace, reusable(sequence));
  if (prefix_in_flight(sequence, resident.tokens)) return Admission::waits_for_prefix;
  const int needed = blocks_of(sequence) - resident.tokens / kTokens;
  // What the match is about to hold cannot be evicted for it.
  if (needed > pool_.free() + tree_.evictable() - resident.evictable_blocks) return Admission::no_room;
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
  while (static_cast<int>(sequence.blocks.size()) < blocks_of(sequence)) sequence.hold(pool_.take());
  if (match.partial) {
    storage_.copy(match.partial.id(), sequence.table[static_cast<std::size_t>(sequence.recorded)].block);
    sequence.computed += match.partial_tokens;
  }
  start_load(sequence);
  if (!sequence.admitted_before) {
    sequence.admitted_before = true;
    sequence.reused = sequence.computed;
    sequence.admitted = Sequence::Clock::now();
    waiting_.charge(sequence.tenant, sequence.size() - sequence.computed);
  }
  return Admission::admitted;
}

void Scheduler::start_load(Sequence& sequence) {
  const int first = sequence.recorded;
  const int wanted = static_cast<int>(reusable(sequence).size()) / kTokens - first;
  if (!load_ || !sequence.record || wanted <= 0) return;
  sequence.loading = ++last_load_;
  Loading& load = being_loaded_[last_load_];
  load.first = first;
  load.first_admission = !sequence.admitted_before;
  std::vector<BlockId> into;
  for (int i = first; i < first + wanted; ++i) {
    load.blocks.push_back(sequence.blocks[static_cast<std::size_t>(i)].share());
    into.push_back(load.blocks.back().id());
  }
  load_(last_load_, sequence, first, std::move(into), load.state);
}

void Scheduler::cancel_load(Sequence& sequence) {
  const auto load = being_loaded_.find(sequence.loading);
  if (load != being_loaded_.end() && load->second.state->cancel()) being_loaded_.erase(load);
  sequence.loading = 0;
}

void Scheduler::loaded(int number, int blocks, const std::vector<std::pair<int, std::string>>& documents) {
  const auto load = being_loaded_.find(number);
  if (load == being_loaded_.end()) return;
  const auto found = std::ranges::find(running_, number, [](const auto& sequence) { return sequence->loading; });
  if (found != running_.end()) {
    Sequence& sequence = **found;
    sequence.loading = 0;
    const int computed = (load->second.first + blocks) * kTokens;
    if (blocks > 0 && !load->second.forgotten && computed > sequence.computed) {
      if (load->second.first_admission) sequence.reused += computed - sequence.computed;
      sequence.computed = computed;
      // The same text, as another document: whoever invalidates that one means these blocks, too.
      for (const auto& [block, key] : documents) {
        if (std::ranges::find(sequence.documents, key, &DocumentMark::key) != sequence.documents.end()) continue;
        const auto at = std::ranges::upper_bound(sequence.documents, block * kTokens, {}, &DocumentMark::token);
        sequence.documents.insert(at, {block * kTokens, key});
      }
      if (sequence.record) record(sequence);
    }
  }
  being_loaded_.erase(load);
}

bool Scheduler::only_loads() const {
  return !being_loaded_.empty() &&
         std::ranges::all_of(running_, [](const auto& sequence) { return sequence->loading != 0; });
}

void Scheduler::enter(std::unique_ptr<Sequence> sequence) {
  const auto behind = std::find_if(running_.begin(), running_.end(),
                                   [&](const auto& other) { return other->priority < sequence->priority; });
  running_.insert(behind, std::move(sequence));
}

void Scheduler::admit() {
  tree_.expire_pins();
  const auto resident = [this](const Sequence& sequence) {
    return sequence.record ? tree_.resident(sequence.cache_namespace, reusable(sequence)).tokens : 0;
  };
  waiting_.start_round();
  while (running() < limits_.max_sequences) {
    Sequence* next = waiting_.next(resident);
    if (next == nullptr) return;
    switch (try_admit(*next)) {
      case Admission::admitted:
        enter(waiting_.take(*next));
        break;
      case Admission::waits_for_prefix:
        waiting_.pass_over(*next);
        break;
      case Admission::no_room:
        if (!running_.empty() || !being_loaded_.empty() || !tree_.give_up_pin()) return;
    }
  }
}

void Scheduler::preempt_last() {
  auto sequence = std::move(running_.back());
  running_.pop_back();
  cancel_load(*sequence);
  sequence->drop_blocks();
  waiting_.put_back(std::move(sequence));
  ++preemptions_;
}

int Scheduler::decoding() const {
  return static_cast<int>(std::ranges::count_if(running_, [](const auto& sequence) { return sequence->decoding(); }));
}

bool Scheduler::grow(Sequence& sequence, int tokens) {
  while (static_cast<int>(sequence.blocks.size()) < blocks_for(sequence.position() + tokens)) {
    Block block = take();
    if (!block) return false;
    sequence.hold(std::move(block));
  }
  return true;
}

std::vector<StepPart> Scheduler::plan(int beside) {
  admit();
  for (const auto& sequence : running_)
    if (sequence->window > 0 && sequence->position() == sequence->window) sequence->slide();
  for (std::size_t i = 0; i < running_.size(); ++i) {
    while (i < running_.size() && !grow(*running_[i], 1)) preempt_last();
  }
  std::vector<StepPart> parts;
  int budget = limits_.step_tokens;
  for (const auto& sequence : running_)
    if (sequence->decoding()) {
      parts.push_back({sequence.get(), 1});
      waiting_.charge(sequence->tenant, kOutputWeight);
    }
  if (!parts.empty()) budget = std::min(budget, beside);
  for (const auto& sequence : running_) {
    if (sequence->decoding() || sequence->loading != 0 || budget == 0) continue;
    int tokens = std::min(budget, sequence->size() - sequence->computed);
    // What a token sees follows from its index alone, so the window slides between the same tokens in every chunk.
    if (sequence->window > 0) tokens = std::min(tokens, sequence->window - sequence->position());
    parts.push_back({sequence.get(), tokens});
    budget -= tokens;
  }
  return parts;
}

int Scheduler::make_room(Sequence& sequence, int tokens) {
  if (sequence.window > 0) tokens = std::min(tokens, sequence.window - sequence.position() - 1);
  if (!grow(sequence, 1 + tokens))
    tokens = static_cast<int>(sequence.blocks.size()) * kTokens - sequence.position() - 1;
  waiting_.charge(sequence.tenant, tokens);
  return tokens;
}

void Scheduler::computed(const StepPart& part) {
  Sequence& sequence = *part.sequence;
  sequence.computed += part.tokens;
  // Rejected guesses may leave blocks that others wait for.
  while (static_cast<int>(sequence.blocks.size()) > blocks_for(sequence.size() - sequence.dropped))
    sequence.release_last();
  if (!sequence.record) return;
  record(sequence);
  pin(sequence);
}

void Scheduler::pin(Sequence& sequence) {
  const auto ahead =
      std::ranges::find_if(sequence.pins, [&](const PinMark& mark) { return mark.tokens > sequence.computed; });
  for (auto mark = sequence.pins.begin(); mark != ahead; ++mark) {
    const auto prefix = std::span(sequence.tokens).first(static_cast<std::size_t>(mark->tokens));
    if (mark->label.empty())
      tree_.pin(sequence.cache_namespace, prefix, mark->ttl);
    else
      labels_.pin(sequence.cache_namespace, mark->label, prefix, mark->ttl);
  }
  sequence.pins.erase(sequence.pins.begin(), ahead);
}

void Scheduler::record(Sequence& sequence) {
  const int whole = sequence.computed / kTokens;
  if (whole <= sequence.recorded || sequence.dropped > 0) return;
  const auto blocks = static_cast<std::size_t>(whole);
  // Those before are marked, where the tree knows their blocks.
  const auto fresh =
      std::ranges::lower_bound(sequence.documents, sequence.recorded * kTokens, {}, &DocumentMark::token);
  tree_.insert(sequence.cache_namespace, std::span(sequence.tokens).first(blocks * kTokens),
               std::span(sequence.blocks).first(blocks), {fresh, sequence.documents.end()});
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
  for (const auto& sequence : running_) {
    if (holds(*sequence)) sequence->record = false;
    // Blocks of another's document may be its own as well, and be cut: they are recorded and marked again.
    sequence->recorded = 0;
  }
  waiting_.for_each([&](Sequence& sequence) {
    if (holds(sequence)) sequence.record = false;
  });
  for (auto& [number, load] : being_loaded_) load.forgotten = load.forgotten || !documents.empty();
}

double Scheduler::work_left(const Pace& pace) const {
  double tokens = 0;
  const auto add = [&](const Sequence& sequence) {
    tokens += sequence.size() - sequence.computed + pace.left_of_answer(sequence.generated(), sequence.max_tokens);
  };
  for (const auto& sequence : running_) add(*sequence);
  waiting_.for_each(add);
  return tokens;
}

}  // namespace kvasir::engine
