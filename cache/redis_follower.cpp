#include "cache/redis_follower.hpp"

#include <algorithm>
#include <random>
#include <unordered_set>
#include <utility>

#include <fmt/format.h>

namespace kvasir::cache {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds block{250};
// A server may take its time for a follower, who keeps nobody waiting: a silent one is noticed after all three of
// block, this and settings.timeout.
constexpr milliseconds lenience{800};
constexpr const char* block_text = "250";
constexpr const char* changes_at_once = "512";
constexpr const char* ids_at_once = "1000";
constexpr milliseconds shortest_pause{20};
constexpr milliseconds longest_pause{500};
constexpr std::chrono::seconds stable_after{2};

// Twice as long after each failure, and never the same for two gateways.
class Backoff {
 public:
  milliseconds next() {
    const milliseconds now = pause_;
    pause_ = std::min(2 * pause_, longest_pause);
    return milliseconds(std::uniform_int_distribution<milliseconds::rep>(now.count() / 2, now.count())(random_));
  }
  void reset() { pause_ = shortest_pause; }

 private:
  milliseconds pause_ = shortest_pause;
  std::minstd_rand random_{std::random_device{}()};
};

milliseconds since_epoch() {
  return std::chrono::duration_cast<milliseconds>(Clock::now().time_since_epoch());
}

}  // namespace

RedisFollower::~RedisFollower() {
  tell_to_stop();
  if (thread_.joinable()) thread_.join();
}

void RedisFollower::start() {
  thread_ = std::thread([this] { run(); });
}

void RedisFollower::wait_for_first_attempt() {
  std::unique_lock lock(mutex_);
  wake_.wait(lock, [this] { return attempted_.load(); });
}

void RedisFollower::tell_to_stop() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_all();
}

void RedisFollower::attempted() {
  {
    const std::lock_guard lock(mutex_);
    attempted_ = true;
  }
  wake_.notify_all();
}

void RedisFollower::pause(milliseconds how_long) {
  std::unique_lock lock(mutex_);
  wake_.wait_for(lock, how_long, [this] { return stopping_.load(); });
}

void RedisFollower::run() {
  Backoff backoff;
  while (!stopping_) {
    error_.clear();
    if (connect() && come_back()) {
      const auto since = std::chrono::steady_clock::now();
      shared_->presence.came();
      attempted();
      follow();
      shared_->presence.lost();
      if (std::chrono::steady_clock::now() - since > stable_after) backoff.reset();
    }
    link_.reset();
    shard_->drop_writer();
    if (stopping_) break;
    shared_->presence.failed(error_);
    attempted();
    pause(backoff.next());
  }
  attempted();
}

bool RedisFollower::fail(std::string why) {
  if (error_.empty()) error_ = std::move(why);
  return false;
}

bool RedisFollower::connect() {
  const RedisSettings& settings = shared_->settings;
  const std::optional<RedisRedirection> there = shard_->take_redirection();
  if (!settings.cluster) {
    return there ? fail("it is a node of a cluster: cache.store.cluster must be true")
                 : connect_to(settings.urls.front().node, false);
  }
  if (there && there->asking) return connect_to(there->node, true);
  std::vector<RedisNode> nodes;
  if (there) nodes.push_back(there->node);
  if (last_node_) nodes.push_back(*last_node_);
  for (const RedisUrl& url : settings.urls) nodes.push_back(url.node);
  for (const RedisNode& node : nodes) {
    if (stopping_ || find_in_cluster(node)) return !stopping_;
  }
  return false;
}

bool RedisFollower::connect_to(const RedisNode& node, bool asking) {
  std::string problem;
  link_ = RedisConnection::open(node, shared_->settings, problem);
  if (!link_) return fail(problem);
  asking_ = asking;
  link_->set_asking(asking);
  last_node_ = node;
  RedisCommands commands = link_->commands();
  commands.add({"SCRIPT", "LOAD", insert_script});
  commands.add({"SCRIPT", "LOAD", remove_script});
  const std::vector<RedisReply> replies = exchange(commands);
  return !replies.empty() && std::ranges::all_of(replies, [this](const RedisReply& reply) { return is_good(reply); });
}

bool RedisFollower::find_in_cluster(const RedisNode& node) {
  std::string problem;
  link_ = RedisConnection::open(node, shared_->settings, problem);
  if (!link_) return fail(problem);
  RedisCommands commands = link_->commands();
  commands.add({"CLUSTER", "SLOTS"});
  const std::vector<RedisReply> replies = exchange(commands);
  if (replies.empty() || !is_good(replies[0])) return false;
  const std::optional<RedisNode> master = master_of(shard_->slot(), replies[0], node);
  if (!master) return fail(fmt::format("{}: nobody in the cluster serves slot {}", node.text(), shard_->slot()));
  error_.clear();
  return connect_to(*master, false);
}

bool RedisFollower::open_writer() {
  if (!shard_->wants_writer()) return true;
  std::string problem;
  std::unique_ptr<RedisConnection> writer = RedisConnection::open(link_->node(), shared_->settings, problem);
  if (!writer) return fail(problem);
  writer->set_asking(asking_);
  shard_->set_writer(std::move(writer));
  return true;
}

std::vector<RedisReply> RedisFollower::exchange(const RedisCommands& commands, milliseconds patience) {
  std::vector<RedisReply> replies = link_->exchange(commands, patience + lenience);
  if (replies.empty()) fail(link_->error());
  return replies;
}

bool RedisFollower::is_good(const RedisReply& reply) {
  if (!reply.is_error()) return true;
  if (const auto there = redirection(reply, link_->node())) shard_->redirect(*there);
  return fail(fmt::format("{}: {}", link_->node().text(), reply.text));
}

// What this gateway could not remove while the server was away is removed before anything is served again.
bool RedisFollower::come_back() {
  return remove_again(shard_->owed_removals()) && catch_up() && open_writer() &&
         remove_again(shard_->owed_removals()) && read_to_the_end();
}

bool RedisFollower::catch_up() {
  if (position_ && is_position_kept()) return true;
  return error_.empty() && (!position_ || remove_again(shard_->recent_removals())) && reload();
}

bool RedisFollower::read_to_the_end() {
  Round round = Round::busy;
  while (round == Round::busy && !stopping_) round = read_changes(milliseconds(0));
  return round == Round::idle;
}

bool RedisFollower::is_position_kept() {
  const std::string changes = shard_->keys().changes();
  const std::string position = position_->text();
  RedisCommands commands = link_->commands();
  commands.add({"XRANGE", changes, position, position, "COUNT", "1"});
  const std::vector<RedisReply> replies = exchange(commands);
  return !replies.empty() && is_good(replies[0]) && !replies[0].list.empty();
}

bool RedisFollower::remove_again(const std::vector<StoredRemoval>& removals) {
  for (const StoredRemoval& removal : removals) {
    RemovalPlace place;
    for (bool finished = false; !finished;) {
      const std::vector<std::string> arguments =
          remove_arguments(shard_->keys(), removal, place, shared_->origin, shared_->new_token());
      std::vector<std::string_view> words{"EVALSHA", shared_->remove_sha};
      words.insert(words.end(), arguments.begin(), arguments.end());
      RedisCommands commands = link_->commands();
      commands.add(words);
      const std::vector<RedisReply> replies = exchange(commands);
      if (replies.empty() || !is_good(replies[0])) return false;
      const std::vector<RedisReply>& result = replies[0].list;
      finished = result.size() < 4;
      if (!finished) place = {result[2].text, result[3].text};
    }
    shard_->remember(removal);
  }
  return true;
}

// The place in the stream is noted first, so that whatever changes meanwhile is seen afterwards.
bool RedisFollower::reload() {
  const RedisKeys& keys = shard_->keys();
  const std::string changes = keys.changes();
  const std::string removed = keys.removed();
  RedisCommands commands = link_->commands();
  commands.add({"EVAL", position_script, "2", changes, removed, shared_->origin});
  const std::vector<RedisReply> replies = exchange(commands);
  if (replies.empty() || !is_good(replies[0])) return false;
  const std::vector<RedisReply>& place = replies[0].list;
  const std::optional<StreamId> position = place.size() == 2 ? StreamId::parse(place[0].text) : std::nullopt;
  if (!position) return fail(fmt::format("{}: its answers are not understood", link_->node().text()));

  // Memory is asked before the server: what is stored meanwhile must not look like something that was removed.
  StoreListener& listener = *shared_->listener;
  const auto mine = [this](const std::string& id) { return shard_->has(id); };
  const std::vector<std::string> known = listener.known_ids(mine);
  std::vector<std::string> ids;
  if (!read_ids(ids)) return false;
  const std::unordered_set<std::string> alive(ids.begin(), ids.end());
  // Before the first attempt is over nobody has asked anything.
  if (attempted_) listener.distrust_answers_under_way();
  if (position_) shared_->reloads.fetch_add(1, std::memory_order_relaxed);
  StoredRemoval gone;
  std::ranges::copy_if(known, std::back_inserter(gone.ids), [&](const std::string& id) { return !alive.contains(id); });
  listener.drop(gone, mine, false);
  std::erase_if(ids, [&](const std::string& id) { return listener.knows(id); });
  std::vector<StoredEntry> entries;
  if (!fetch(ids, entries)) return false;
  std::ranges::sort(entries, {}, [](const StoredEntry& stored) { return stored.entry.created; });
  for (StoredEntry& stored : entries) listener.take(std::move(stored));
  shared_->from_others.fetch_add(entries.size(), std::memory_order_relaxed);
  shard_->set_seen(place[1].text);
  position_ = position;
  return true;
}

bool RedisFollower::read_ids(std::vector<std::string>& ids) {
  const std::string entries = shard_->keys().entries();
  std::unordered_set<std::string> found;
  std::string cursor = "0";
  do {
    RedisCommands commands = link_->commands();
    commands.add({"ZSCAN", entries, cursor, "COUNT", ids_at_once});
    const std::vector<RedisReply> replies = exchange(commands);
    if (stopping_ || replies.empty() || !is_good(replies[0]) || replies[0].list.size() != 2) return false;
    const std::vector<RedisReply>& pairs = replies[0].list[1].list;
    for (std::size_t i = 0; i + 1 < pairs.size(); i += 2) found.insert(pairs[i].text);
    cursor = replies[0].list[0].text;
  } while (cursor != "0");
  ids.assign(found.begin(), found.end());
  return true;
}

void RedisFollower::follow() {
  while (!stopping_ && !shard_->wants_reconnect() && read_changes(block) != Round::lost) {
    if (!open_writer()) error_.clear();
  }
  if (shard_->wants_reconnect()) fail("a part of it has moved or was reset");
}

RedisFollower::Round RedisFollower::read_changes(milliseconds wait) {
  const std::string changes = shard_->keys().changes();
  const std::string position = position_->text();
  RedisCommands commands = link_->commands();
  if (wait.count() > 0) {
    commands.add({"XREAD", "COUNT", changes_at_once, "BLOCK", block_text, "STREAMS", changes, position});
  } else {
    commands.add({"XREAD", "COUNT", changes_at_once, "STREAMS", changes, position});
  }
  // As long as the last change that was handled is there, none behind it was trimmed away or lost.
  commands.add({"XRANGE", changes, position, position, "COUNT", "1"});
  const std::vector<RedisReply> replies = exchange(commands, wait);
  if (replies.size() != 2 || !is_good(replies[0]) || !is_good(replies[1])) return Round::lost;
  if (replies[1].list.empty()) {
    fail(fmt::format("{}: changes were lost or came too fast, everything is read again", link_->node().text()));
    return Round::lost;
  }
  if (replies[0].list.empty()) return Round::idle;
  const RedisReply& stream = replies[0].list[0];
  if (stream.list.size() != 2) return Round::lost;
  return handle(stream.list[1].list) ? Round::busy : Round::lost;
}

bool RedisFollower::handle(const std::vector<RedisReply>& elements) {
  std::vector<std::string> inserted;
  StreamId last = *position_;
  for (const RedisReply& element : elements) {
    const std::optional<RedisChange> change = change_from(element);
    if (!change) return fail(fmt::format("{}: a change is not understood", link_->node().text()));
    const bool own = change->origin == shared_->origin;
    if (!change->inserted.empty()) {
      if (!own || shard_->was_expected(change->inserted)) inserted.push_back(change->inserted);
    } else if (!change->token.empty()) {
      if (!take(std::exchange(inserted, {}))) return false;
      handle_removal(*change);
      position_ = change->id;
    }
    last = change->id;
  }
  if (!take(inserted)) return false;
  position_ = last;
  const std::int64_t lag = since_epoch().count() - static_cast<std::int64_t>(last.milliseconds);
  shared_->lag_ms.store(std::max<std::int64_t>(lag, 0), std::memory_order_relaxed);
  return true;
}

void RedisFollower::handle_removal(const RedisChange& change) {
  const bool superseded = change.removed.superseded;
  const bool by_others = !superseded && change.origin != shared_->origin && shared_->is_first_sight(change.token);
  shared_->listener->drop(
      change.removed, [this](const std::string& id) { return shard_->has(id); }, by_others);
  if (!superseded) shard_->set_seen(change.id.text());
}

}  // namespace kvasir::cache
