#include "cache/store_writer.hpp"

#include <utility>

namespace kvasir::cache {
namespace {

bool is_removal(const StoreOperation& operation) {
  return std::holds_alternative<StoredRemoval>(operation.what);
}

}  // namespace

StoreWriter::StoreWriter(std::unique_ptr<Store> store, std::chrono::milliseconds period,
                         std::function<bool()> housekeeping)
    : store_(std::move(store)),
      period_(period),
      housekeeping_(std::move(housekeeping)),
      next_housekeeping_(std::chrono::steady_clock::now() + period),
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
  {
    const std::lock_guard lock(mutex_);
    queue_.push_back(std::move(job));
  }
  wake_.notify_one();
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
  std::vector<bool> wanted;
  std::vector<const StoreOperation*> operations;
  for (const StoreOperation& removal : owed_) operations.push_back(&removal);
  for (const Job& job : jobs) {
    wanted.push_back(!job.still_wanted || job.still_wanted(job.operation));
    if (wanted.back()) operations.push_back(&job.operation);
  }
  const bool stored = operations.empty() || store_->apply(operations);
  if (stored) owed_.clear();
  for (std::size_t i = 0; i < jobs.size(); ++i) {
    if (!stored && is_removal(jobs[i].operation)) owed_.push_back(jobs[i].operation);
    if (jobs[i].done) jobs[i].done(stored && wanted[i], jobs[i].operation);
  }
}

void StoreWriter::keep_house() {
  if (!owed_.empty()) write({});
  const bool more = housekeeping_();
  next_housekeeping_ = std::chrono::steady_clock::now() + (more ? std::chrono::milliseconds(1) : period_);
}

}  // namespace kvasir::cache
