// One computation, many clients: equal requests that arrive while an answer is being computed share it from its start.
//
// A backend pushes what it has (from any thread), clients read at their own pace (each on its I/O thread) and may leave
// at any time; when the last one has left before the end, the computation is cancelled. Errors go to all.
#pragma once

#include "cache/response_cache.hpp"
#include "engine/engine.hpp"
#include "gateway/api_error.hpp"
#include "gateway/asio.hpp"

#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

namespace kvasir::gateway {

struct ToolCallPiece {
  int index = 0;   // of the call
  std::string id;  // these two come with the first piece of a call
  std::string name;
  std::string arguments;  // a part of their JSON text
};

struct FlightDelta {
  int index = 0;  // of the choice
  std::string content;
  std::string logprobs;  // items of the choice's logprobs.content as JSON, separated by commas; or empty
  std::vector<ToolCallPiece> tool_calls{};
  std::string raw;          // an upstream's chunk as it came; not empty: it says everything
  bool usage_only = false;  // of `raw`: the chunk with usage and without choices
};

struct FlightResult {
  cache::Answer answer;
  std::string raw_body;  // an upstream's whole body as it came; empty if streamed or of the engine
  std::optional<engine::GenerateSummary> engine;
  bool complete = true;   // false: `answer` lacks something that was sent (a tool call, reasoning), so it is not stored
  int cached_tokens = 0;  // of the prompt, that an upstream did not read anew
  std::string upstream{};                                // whose answer it is; empty: the engine's
  engine::RecordedPrompts prompts{};                     // that the engine has the KV of
  std::vector<std::vector<ToolCallPiece>> tool_calls{};  // of an engine's answer: whole calls by choice, or none at all
};

// What became of the entry that was promised: `no` if the answer is none to keep.
enum class Kept { no, yes, failed };

enum class FlightPhase { waiting, started, finished, settled, failed };

class FlightClient;

class Flight : public std::enable_shared_from_this<Flight> {
 public:
  // `on_finished` is called once, on the backend's thread, and must lead to settle() sooner or later; without it a
  // finished flight is settled. `on_gone`: no new client may join from now on.
  Flight(std::string entry_id, std::function<void(Flight&)> on_finished, std::function<void(Flight&)> on_gone)
      : entry_id_(std::move(entry_id)), on_finished_(std::move(on_finished)), on_gone_(std::move(on_gone)) {}

  // The cache entry that the answer will be; empty: it will not be stored.
  const std::string& entry_id() const { return entry_id_; }

  // Null if the flight has failed or all its clients had left: start another one.
  std::unique_ptr<FlightClient> join(Executor executor);

  // The backend's side. Any thread, one at a time.
  void started();
  void push(FlightDelta delta);
  // `store` false: the answer is not new, nobody needs to wait for it to be stored.
  void finish(FlightResult result, bool store = true);
  void fail(ApiError error);
  // What stops the computation. Called at once if everybody has left already.
  void on_cancel(std::function<void()> cancel);

  // The answer is stored (or will not be): its clients may see its end.
  void settle(Kept kept);

  // Valid after finish(); immutable then.
  const FlightResult& result() const { return result_; }

 private:
  friend class FlightClient;
  struct Waiter;

  void leave(const std::shared_ptr<Waiter>& waiter);
  void wake_all();
  void gone();

  const std::string entry_id_;
  std::mutex mutex_;
  FlightPhase phase_ = FlightPhase::waiting;
  std::deque<FlightDelta> deltas_;  // never changed once pushed: clients read them without the lock
  FlightResult result_;
  ApiError error_;
  Kept kept_ = Kept::no;
  bool abandoned_ = false;
  std::vector<std::shared_ptr<Waiter>> waiters_;
  std::function<void()> cancel_;
  std::function<void(Flight&)> on_finished_;
  std::function<void(Flight&)> on_gone_;
};

// What is new for one client since it last looked.
struct FlightNews {
  FlightPhase phase = FlightPhase::waiting;
  std::vector<const FlightDelta*> deltas;  // valid while the client lives
  Kept kept = Kept::no;                    // with phase settled
  bool hung_up = false;
  bool timed_out = false;
};

// One client's place in a flight; leaves when destroyed. Used on its executor's thread only.
class FlightClient {
 public:
  FlightClient(std::shared_ptr<Flight> flight, std::shared_ptr<Flight::Waiter> waiter);
  ~FlightClient();
  FlightClient(const FlightClient&) = delete;
  FlightClient& operator=(const FlightClient&) = delete;

  // Waits until there is something new, or the deadline.
  Task<FlightNews> next(std::chrono::steady_clock::time_point deadline = std::chrono::steady_clock::time_point::max());
  // Ends a wait: this client's connection is gone.
  void hang_up();
  // Others have a place in the flight too.
  bool shared() const;

  const FlightResult& result() const { return flight_->result_; }
  const ApiError& error() const { return flight_->error_; }

 private:
  bool look(FlightNews& news);

  std::shared_ptr<Flight> flight_;
  std::shared_ptr<Flight::Waiter> waiter_;
  std::size_t seen_deltas_ = 0;
  FlightPhase seen_phase_ = FlightPhase::waiting;
};

// The flights that may be joined, by key. Must outlive them.
class FlightTable {
 public:
  struct Place {
    std::shared_ptr<Flight> flight;
    std::unique_ptr<FlightClient> client;
    bool leads = false;  // the caller must start the computation
  };

  // Joins the flight under `key`, or makes one with the rest of the arguments. Any thread.
  Place join_or_lead(const std::string& key, Executor executor, std::string entry_id,
                     std::function<void(Flight&)> on_finished);
  // Joins only.
  std::optional<Place> join(const std::string& key, Executor executor);

 private:
  void remove(const std::string& key, const Flight& flight);

  std::mutex mutex_;
  std::unordered_map<std::string, std::shared_ptr<Flight>> flights_;
};

}  // namespace kvasir::gateway
