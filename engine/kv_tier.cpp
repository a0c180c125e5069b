#include "engine/kv_tier.hpp"

#include "kernels/kernels.hpp"

#include <algorithm>
#include <utility>

namespace kvasir::engine {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::size_t kTokens = kernels::kKvBlock;
// Copies of blocks that may wait to be written.
constexpr std::size_t kMaxWaitingBytes = std::size_t{64} << 20;
// A disk that was slow is asked again after so many loads.
constexpr int kAskAgain = 32;

}  // namespace

KvTier::KvTier(KvDisk disk, KvStorage& storage, std::string fingerprint)
    : disk_(std::move(disk)), storage_(storage), fingerprint_(std::move(fingerprint)), buffer_(storage.block_bytes()) {
  publish();
  thread_ = std::thread([this] { work(); });
}

KvTier::~KvTier() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

KvKey KvTier::root(std::string_view space) const {
  std::string name = fingerprint_;
  name += space;
  return kv_root(name);
}

void KvTier::save(const CachedRun& run) {
  push(run, Clock::time_point::min());
}

void KvTier::save_until(const CachedRun& run, Clock::time_point deadline) {
  push(run, deadline);
}

void KvTier::push(const CachedRun& run, Clock::time_point deadline) {
  KvKey parent = root(run.space);
  const std::size_t blocks = run.prefix.size() / kTokens;
  const std::size_t first = blocks - run.blocks.size();
  std::vector<std::string> documents;
  auto mark = run.documents.begin();
  for (std::size_t i = 0; i < blocks; ++i) {
    const auto tokens = run.prefix.subspan(i * kTokens, kTokens);
    for (; mark != run.documents.end() && mark->first <= static_cast<int>(i); ++mark) documents.push_back(mark->second);
    if (i >= first) {
      std::unique_lock lock(mutex_);
      const auto has_room = [&] { return waiting_bytes_ + storage_.block_bytes() <= kMaxWaitingBytes; };
      if (!has_room() && (deadline == Clock::time_point::min() || !changed_.wait_until(lock, deadline, has_room))) {
        stats_.lost += blocks - i;
        return;
      }
      waiting_bytes_ += storage_.block_bytes();
      lock.unlock();
      auto save = std::make_shared<Save>();
      save->parent = parent;
      save->tokens.assign(tokens.begin(), tokens.end());
      save->documents = documents;
      const auto values = storage_.block(run.blocks[i - first].id());
      save->values.assign(values.begin(), values.end());
      lock.lock();
      tasks_.emplace_back([this, save] { write(*save); });
      lock.unlock();
      changed_.notify_all();
    }
    parent = kv_key(parent, tokens);
  }
}

void KvTier::drain(Clock::time_point deadline) {
  std::unique_lock lock(mutex_);
  changed_.wait_until(lock, deadline, [this] { return tasks_.empty() && !busy_; });
}

void KvTier::load(Wanted wanted) {
  Load load;
  load.parent = root(wanted.space);
  const std::size_t before = static_cast<std::size_t>(wanted.first) * kTokens;
  for (std::size_t at = 0; at < before; at += kTokens)
    load.parent = kv_key(load.parent, wanted.prefix.subspan(at, kTokens));
  const auto tokens = wanted.prefix.subspan(before, wanted.into.size() * kTokens);
  load.tokens.assign(tokens.begin(), tokens.end());
  load.wanted = std::move(wanted);
  {
    const std::lock_guard lock(mutex_);
    loads_.push_back(std::move(load));
  }
  changed_.notify_all();
}

std::future<std::uint64_t> KvTier::invalidate(std::vector<std::string> documents) {
  const auto removed = std::make_shared<std::promise<std::uint64_t>>();
  auto result = removed->get_future();
  {
    const std::lock_guard lock(mutex_);
    ++invalidations_;
    // Behind the saves that were before it.
    tasks_.emplace_back([this, documents = std::move(documents), removed] {
      const std::uint64_t blocks = disk_.invalidate(documents);
      publish();
      {
        const std::lock_guard done(mutex_);
        --invalidations_;
      }
      removed->set_value(blocks);
    });
  }
  changed_.notify_all();
  return result;
}

KvTierStats KvTier::stats() const {
  const std::lock_guard lock(mutex_);
  return stats_;
}

void KvTier::work() {
  std::unique_lock lock(mutex_);
  while (true) {
    changed_.wait(lock, [this] { return stop_ || !loads_.empty() || !tasks_.empty(); });
    if (stop_) return;
    busy_ = true;
    if (!loads_.empty() && invalidations_ == 0) {
      const Load load = std::move(loads_.front());
      loads_.pop_front();
      lock.unlock();
      read(load);
    } else {
      const Task task = std::move(tasks_.front());
      tasks_.pop_front();
      lock.unlock();
      task();
    }
    publish();
    lock.lock();
    busy_ = false;
    changed_.notify_all();
  }
}

void KvTier::write(const Save& save) {
  const bool written = disk_.put(save.parent, save.tokens, save.documents, save.values);
  const std::lock_guard lock(mutex_);
  waiting_bytes_ -= save.values.size();
  ++(written ? stats_.written : stats_.lost);
}

void KvTier::read(const Load& load) {
  const Wanted& wanted = load.wanted;
  if (!wanted.state->begin()) return;
  const bool slow = wanted.seconds_to_compute > 0 && seconds_to_read_ > wanted.seconds_to_compute;
  if (slow && ++refused_ < kAskAgain) return wanted.done(0, {});
  refused_ = 0;
  KvKey parent = load.parent;
  std::size_t blocks = 0;
  std::vector<std::string> asked;  // documents that begin up to here, by this prompt
  auto next = wanted.documents.begin();
  std::vector<std::pair<int, std::string>> named;
  const auto begun = Clock::now();
  for (; blocks < wanted.into.size() && !wanted.state->cancelled(); ++blocks) {
    const int block = wanted.first + static_cast<int>(blocks);
    const auto tokens = std::span(load.tokens).subspan(blocks * kTokens, kTokens);
    const auto* documents = disk_.get(parent, tokens, buffer_);
    if (documents == nullptr) break;
    for (const std::string& document : *documents)
      if (std::ranges::find(named, document, &std::pair<int, std::string>::second) == named.end())
        named.emplace_back(block, document);
    for (; next != wanted.documents.end() && next->first <= block; ++next) asked.push_back(next->second);
    const bool all_known = std::ranges::all_of(asked, [&](const std::string& document) {
      return std::ranges::find(*documents, document) != documents->end();
    });
    if (!all_known) disk_.put(parent, tokens, asked, buffer_);
    std::ranges::copy(buffer_, storage_.block(wanted.into[blocks]).begin());
    parent = kv_key(parent, tokens);
  }
  if (blocks > 0) {
    disk_.touch(parent);
    const double each = std::chrono::duration<double>(Clock::now() - begun).count() / static_cast<double>(blocks);
    seconds_to_read_ = seconds_to_read_ == 0 || slow ? each : 0.8 * seconds_to_read_ + 0.2 * each;
  }
  {
    const std::lock_guard lock(mutex_);
    stats_.read += blocks;
  }
  wanted.done(static_cast<int>(blocks), std::move(named));
}

void KvTier::publish() {
  const std::lock_guard lock(mutex_);
  stats_.bytes = disk_.bytes();
  stats_.blocks = disk_.blocks();
  stats_.damaged = disk_.damaged();
}

}  // namespace kvasir::engine
