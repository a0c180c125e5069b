#include "cache/redis_writer.hpp"

#include <algorithm>
#include <utility>

namespace kvasir::cache {
namespace {

constexpr std::size_t operations_at_once = 256;
constexpr std::size_t names_at_once = 200;
constexpr int most_attempts = 5;  // of an entry that removals overtake
constexpr std::chrono::milliseconds hurried{10};

void add_script(RedisCommands& commands, const std::string& sha, const std::vector<std::string>& arguments) {
  std::vector<std::string_view> words{"EVALSHA", sha};
  words.insert(words.end(), arguments.begin(), arguments.end());
  commands.add(words);
}

}  // namespace

RedisWriter::RedisWriter(RedisShared& shared, std::vector<std::unique_ptr<RedisShard>>& shards)
    : shared_(&shared), shards_(&shards) {}

std::vector<bool> RedisWriter::write(std::span<const StoreOperation* const> operations) {
  applied_.assign(operations.size(), true);
  stalled_ = false;
  patience_ends_ = Steady::now() + shared_->settings.timeout;
  lanes_.clear();
  lanes_.resize(shards_->size());
  for (std::size_t first = 0; first < operations.size(); first += operations_at_once) {
    const std::size_t end = std::min(first + operations_at_once, operations.size());
    for (std::size_t i = first; i < end; ++i) plan(*operations[i], i);
    while (std::ranges::any_of(lanes_, [](const Lane& lane) { return !lane.tasks.empty(); })) {
      for (std::size_t number = 0; number < lanes_.size(); ++number) send(number);
      for (std::size_t number = 0; number < lanes_.size(); ++number) receive(number);
    }
  }
  wait_for_followers();
  return std::move(applied_);
}

void RedisWriter::plan(const StoreOperation& operation, std::size_t number) {
  const std::size_t count = lanes_.size();
  if (const auto* entry = std::get_if<StoredEntry>(&operation.what)) {
    lanes_[RedisShard::of(entry->entry.id, count)].tasks.push_back({number, entry});
    return;
  }
  for (const StoredRemoval& piece : pieces_of(std::get<StoredRemoval>(operation.what), names_at_once)) {
    const std::string token = shared_->new_token();
    if (piece.ids.empty()) {
      for (Lane& lane : lanes_) lane.tasks.push_back({number, nullptr, piece, {}, token});
      continue;
    }
    std::vector<StoredRemoval> by_shard(count);
    for (StoredRemoval& part : by_shard) part.superseded = piece.superseded;
    for (const std::string& id : piece.ids) by_shard[RedisShard::of(id, count)].ids.push_back(id);
    for (std::size_t shard = 0; shard < count; ++shard) {
      if (by_shard[shard].ids.empty()) continue;
      lanes_[shard].tasks.push_back({number, nullptr, std::move(by_shard[shard]), {}, token});
    }
  }
}

void RedisWriter::fail(std::size_t number, const Task& task) {
  applied_[task.operation] = false;
  if (task.entry == nullptr) (*shards_)[number]->owe(task.removal);
}

void RedisWriter::send(std::size_t number) {
  Lane& lane = lanes_[number];
  RedisShard& shard = *(*shards_)[number];
  lane.sent.clear();
  if (lane.tasks.empty()) return;
  std::vector<Task> tasks = std::exchange(lane.tasks, {});
  std::vector<StoredRemoval> removals;
  for (const Task& task : tasks) {
    if (task.entry == nullptr) removals.push_back(task.removal);
  }
  lane.connection = shard.lend(removals);
  if (!lane.connection) {
    for (const Task& task : tasks) applied_[task.operation] = false;
    return;
  }
  lane.commands = lane.connection->commands();
  const std::string seen = shard.seen();  // before any answer is judged
  for (Task& task : tasks) {
    if (task.entry == nullptr) {
      const auto arguments = remove_arguments(shard.keys(), task.removal, task.place, shared_->origin, task.token);
      add_script(lane.commands, shared_->remove_sha, arguments);
    } else if (shared_->listener->still_wanted(*task.entry)) {
      add_script(lane.commands, shared_->insert_sha,
                 insert_arguments(shard.keys(), *task.entry, seen, shared_->origin));
    } else {
      continue;  // the cache knows that it was removed
    }
    lane.sent.push_back(std::move(task));
  }
  lane.connection->send(lane.commands);
}

void RedisWriter::receive(std::size_t number) {
  Lane& lane = lanes_[number];
  RedisShard& shard = *(*shards_)[number];
  if (!lane.connection) return;
  // What several shards have on a server that hangs costs one timeout, not one for each.
  if (stalled_) lane.connection->set_timeout(hurried);
  const std::vector<RedisReply> replies = lane.connection->receive(lane.commands);
  lane.connection->set_timeout(shared_->settings.timeout);
  stalled_ = stalled_ || lane.connection->timed_out();
  for (std::size_t i = 0; i < lane.sent.size(); ++i) {
    if (i < replies.size()) {
      settle(number, std::move(lane.sent[i]), replies[i]);
      continue;
    }
    if (lane.sent[i].entry != nullptr) shard.expect(lane.sent[i].entry->entry.id);
    fail(number, lane.sent[i]);
  }
  shard.give_back(std::move(lane.connection));
}

void RedisWriter::settle(std::size_t number, Task task, const RedisReply& reply) {
  Lane& lane = lanes_[number];
  RedisShard& shard = *(*shards_)[number];
  if (!reply.is_list() || reply.list.size() < 2) {
    if (const auto there = redirection(reply, lane.connection->node())) shard.redirect(*there);
    if (reply.is_error("NOSCRIPT")) shard.reconnect();
    return fail(number, task);
  }
  const bool done = reply.list[0].integer == 1;
  const std::string& removal = reply.list[1].text;
  if (task.entry == nullptr) {
    if (!removal.empty()) lane.last_removal = removal;
    if (done) return shard.remember(task.removal);
    task.place = {reply.list[2].text, reply.list[3].text};
    lane.tasks.push_back(std::move(task));
  } else if (!done) {
    // There was a removal that the answer was not held against yet.
    if (++task.attempts > most_attempts || !shard.wait_until_seen(removal, patience_left())) {
      return fail(number, task);
    }
    lane.tasks.push_back(std::move(task));
  }
}

std::chrono::milliseconds RedisWriter::patience_left() const {
  const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(patience_ends_ - Steady::now());
  return std::max(left, std::chrono::milliseconds(0));
}

void RedisWriter::wait_for_followers() {
  for (std::size_t shard = 0; shard < lanes_.size(); ++shard) {
    if (lanes_[shard].last_removal.empty()) continue;
    (*shards_)[shard]->wait_until_seen(lanes_[shard].last_removal, patience_left());
  }
}

}  // namespace kvasir::cache
