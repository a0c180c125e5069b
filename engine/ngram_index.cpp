#include "engine/ngram_index.hpp"

#include <algorithm>

namespace kvasir::engine {
namespace {

// FNV-1a by tokens, with the upper bits folded in: the table's mask takes the lower ones.
std::size_t hash(std::span<const TokenId> run) {
  std::uint64_t h = 0xCBF29CE484222325ULL;
  for (const TokenId token : run) h = (h ^ static_cast<std::uint32_t>(token)) * 0x9E3779B97F4A7C15ULL;
  return static_cast<std::size_t>(h ^ (h >> 32));
}

std::span<const TokenId> run_before(std::span<const TokenId> tokens, int length, std::size_t next) {
  return tokens.subspan(next - static_cast<std::size_t>(length), static_cast<std::size_t>(length));
}

}  // namespace

void NgramIndex::extend(std::span<const TokenId> tokens) {
  for (; taken_ < tokens.size(); ++taken_) {
    for (int length = kShortest; length <= kLongest && static_cast<std::size_t>(length) <= taken_; ++length)
      insert(tables_[static_cast<std::size_t>(length - kShortest)], tokens, length, taken_);
  }
}

NgramIndex::Match NgramIndex::find(std::span<const TokenId> tokens) const {
  for (int length = kLongest; length >= kShortest; --length) {
    const Table& table = tables_[static_cast<std::size_t>(length - kShortest)];
    if (static_cast<std::size_t>(length) > tokens.size() || table.slots.empty()) continue;
    const std::int32_t next = table.slots[slot_of(table, tokens, length, tokens.size())];
    if (next > 0) return {next, length};
  }
  return {};
}

// The slot of the run before `next`, or the empty one where it belongs.
std::size_t NgramIndex::slot_of(const Table& table, std::span<const TokenId> tokens, int length, std::size_t next) {
  const auto run = run_before(tokens, length, next);
  const std::size_t mask = table.slots.size() - 1;
  for (std::size_t slot = hash(run) & mask;; slot = (slot + 1) & mask) {
    const auto held = static_cast<std::size_t>(table.slots[slot]);
    if (held == 0 || std::ranges::equal(run_before(tokens, length, held), run)) return slot;
  }
}

void NgramIndex::insert(Table& table, std::span<const TokenId> tokens, int length, std::size_t next) {
  if (2 * (table.used + 1) > table.slots.size()) grow(table, tokens, length);
  std::int32_t& slot = table.slots[slot_of(table, tokens, length, next)];
  if (slot == 0) ++table.used;
  slot = static_cast<std::int32_t>(next);
}

void NgramIndex::grow(Table& table, std::span<const TokenId> tokens, int length) {
  std::vector<std::int32_t> before(std::max<std::size_t>(64, 2 * table.slots.size()), 0);
  before.swap(table.slots);
  for (const std::int32_t next : before)
    if (next > 0) table.slots[slot_of(table, tokens, length, static_cast<std::size_t>(next))] = next;
}

}  // namespace kvasir::engine
