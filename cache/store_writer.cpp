#include "cache/store_writer.hpp"

#include "cache/record.hpp"

#include <utility>

namespace kvasir::cache {
namespace {

bool is_removal(const StoreOperation& operation) {
  return std::holds_alternative<StoredRemoval>(operation.what);
}

// What an answer that is to be written holds in memory.
StoreWriter::Limits room_for(const StoreOperation& operation) {
  const auto* stored = std::get_if<StoredEntry>(&operation.what);
  if (stored == nullptr) return {0, 0};
  return {1, bytes_of(stored->entry) + stored->vector.size() * sizeof(float)};
}

}  // namespace

StoreWriter::StoreWriter(std::unique_ptr<Store> store, std::chrono::milliseconds period,
                         std::function<bool()> housekeeping, Limits limits)
    : store_(std::move(store)),
      period_(period),
      housekeeping_(std::move(housekeeping)),
      next_housekeeping_(std::chrono::steady_clock::now() + period),
      limits_(limits),
      thread_([this] { run(); }) {}

StoreWriter::~StoreWriter() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_one();
  thread_.join();
}

void StoreWriter::enqueue(Job job) {
  if (std::unique_lock lock(mutex_); take_room(job.operation)) {
    queue_.push_back(std::move(job));
    lock.unlock();
    wake_.notify_one();
    return;
  }
  if (job.done) job.done(false, job.operation);
}

bool StoreWriter::take_room(const StoreOperation& operation) {
  const Limits room = room_for(operation);
  if (room.answers == 0) return true;
  if (held_.answers + room.answers > limits_.answers || held_.bytes + room.bytes > limits_.bytes) return false;
  held_.answers += room.answers;
  held_.bytes += room.bytes;
  return true;
}

void StoreWriter::run() {
  for (;;) {
    std::vector<Job> jobs = wait_for_jobs();
    if (!jobs.empty()) {
      write(std::move(jobs));
    } else {
      const std::lock_guard lock(mutex_);
      if (stopping_ && queue_.empty()) return;
    }
    if (std::chrono::steady_clock::now() >= next_housekeeping_) keep_house();
  }
}

std::vector<StoreWriter::Job> StoreWriter::wait_for_jobs() {
  std::unique_lock lock(mutex_);
  wake_.wait_until(lock, next_housekeeping_, [this] { return stopping_ || !queue_.empty(); });
  return std::exchange(queue_, {});
}

void StoreWriter::write(std::vector<Job> jobs) {
  Limits written{0, 0};
  for (const Job& job : jobs) {
    const Limits room = room_for(job.operation);
    written.answers += room.answers;
    written.bytes += room.bytes;
  }
  std::vector<bool> wanted;
  std::vector<const StoreOperation*> operations;
  for (const StoreOperation& removal : owed_) operations.push_back(&removal);
  for (const Job& job : jobs) {
    wanted.push_back(!job.still_wanted || job.still_wanted(job.operation));
    if (wanted.back()) operations.push_back(&job.operation);
  }
  const std::vector<bool> applied = operations.empty() ? std::vector<bool>{} : store_->apply_each(operations);
  {
    const std::lock_guard lock(mutex_);
    held_.answers -= written.answers;
    held_.bytes -= written.bytes;
  }
  std::vector<StoreOperation> still_owed;
  for (std::size_t i = 0; i < operations.size(); ++i) {
    if (!applied[i] && is_removal(*operations[i])) still_owed.push_back(*operations[i]);
  }
  std::size_t next = owed_.size();
  owed_ = std::move(still_owed);
  removals_owed_.store(owed_.size(), std::memory_order_relaxed);
  for (std::size_t i = 0; i < jobs.size(); ++i) {
    const bool stored = wanted[i] && applied[next++];
    if (jobs[i].done) jobs[i].done(stored, jobs[i].operation);
  }
}

void StoreWriter::keep_house() {
  if (!owed_.empty()) write({});
  const bool more = housekeeping_();
  next_housekeeping_ = std::chrono::steady_clock::now() + (more ? std::chrono::milliseconds(1) : period_);
}

}  // namespace kvasir::cache
