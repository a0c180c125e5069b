#include "gateway/request_log.hpp"

#include "gateway/json_text.hpp"

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <climits>
#include <cmath>
#include <ctime>

#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

namespace kvasir::gateway {
namespace {

constexpr std::size_t kMaxPending = 8 << 20;
constexpr auto kInterval = std::chrono::milliseconds(100);
constexpr auto kEndPatience = std::chrono::seconds(1);

// RFC 3339 in UTC with milliseconds; the calendar part is formatted once a second.
void append_time(std::string& out) {
  const auto now = std::chrono::system_clock::now();
  const std::time_t second = std::chrono::system_clock::to_time_t(now);
  thread_local std::time_t formatted = 0;
  thread_local char text[32] = "";
  if (second != formatted) {
    std::tm parts{};
    gmtime_r(&second, &parts);
    std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &parts);
    formatted = second;
  }
  const auto since = now.time_since_epoch();
  const auto milliseconds = std::chrono::duration_cast<std::chrono::milliseconds>(since).count() % 1000;
  out += text;
  out += '.';
  if (milliseconds < 100) out += '0';
  if (milliseconds < 10) out += '0';
  append_number(out, milliseconds);
  out += 'Z';
}

void append_field(std::string& out, std::string_view name, std::string_view value) {
  if (value.empty()) return;
  out.append(",\"").append(name).append("\":");
  append_json_string(out, value);
}

template <typename Number>
void append_field(std::string& out, std::string_view name, Number value) requires std::is_arithmetic_v<Number> {
  out.append(",\"").append(name).append("\":");
  append_number(out, value);
}

double rounded(float similarity) {
  return std::round(static_cast<double>(similarity) * 1e4) / 1e4;
}

double milliseconds(std::chrono::microseconds duration) {
  return static_cast<double>(duration.count()) / 1000.0;
}

}  // namespace

RequestLog::RequestLog(int descriptor, bool requests, Metrics& metrics)
    : descriptor_(descriptor), requests_(requests), metrics_(&metrics), writer_([this] { run(); }) {}

RequestLog::~RequestLog() {
  {
    const std::lock_guard lock(mutex_);
    ending_ = true;
  }
  wake_.notify_one();
  writer_.join();
}

void RequestLog::request(const RequestRecord& record) {
  if (!requests_.load(std::memory_order_relaxed)) return;
  thread_local std::string line;
  line = R"({"time":")";
  append_time(line);
  line += R"(","event":"request")";
  append_field(line, "id", record.id);
  append_field(line, "trace_id", record.trace.trace_id);
  append_field(line, "span_id", record.trace.span_id);
  append_field(line, "parent_id", record.trace.parent_id);
  append_field(line, "tenant", record.tenant);
  append_field(line, "key", record.key_name);
  append_field(line, "model", record.model);
  append_field(line, "upstream", record.upstream);
  append_field(line, "status", record.status);
  line += record.stream ? R"(,"stream":true)" : R"(,"stream":false)";
  if (!record.reason.empty()) append_field(line, "cache", to_string(record.tier));
  append_field(line, "reason", record.reason);
  if (record.similarity) append_field(line, "similarity", rounded(*record.similarity));
  append_field(line, "entry", record.entry);
  append_field(line, "error", record.error);
  append_field(line, "stop_reason", record.stop_reason);
  append_field(line, "prompt_tokens", record.prompt_tokens);
  append_field(line, "completion_tokens", record.completion_tokens);
  append_field(line, "cached_tokens", record.cached_tokens);
  if (record.cost > 0) append_field(line, "cost_usd", in_usd(record.cost));
  if (record.saved > 0) append_field(line, "saved_usd", in_usd(record.saved));
  append_field(line, "bytes", record.bytes);
  append_field(line, "queue_ms", milliseconds(record.queued));
  append_field(line, "first_byte_ms", milliseconds(record.first_byte));
  append_field(line, "total_ms", milliseconds(record.total));
  append_field(line, "prompt", record.prompt);
  line += "}\n";
  add(line);
}

void RequestLog::event(std::string_view message) {
  std::string line = R"({"time":")";
  append_time(line);
  line += R"(","event":)";
  append_json_string(line, message);
  line += "}\n";
  add(line);
}

void RequestLog::add(std::string_view line) {
  const std::lock_guard lock(mutex_);
  if (pending_.size() + line.size() > kMaxPending) {
    metrics_->log_line_dropped();
    return;
  }
  pending_ += line;
}

// Waits for a reader that is slow, but at the end for a second only. What nobody has read then is lost, and counted.
void RequestLog::write_all(std::string_view rest) {
  struct stat kind {};
  const bool file = ::fstat(descriptor_, &kind) == 0 && S_ISREG(kind.st_mode);
  // A pipe that has room has room for PIPE_BUF bytes: a larger write would wait for a reader again.
  const std::size_t most = file ? rest.size() : PIPE_BUF;
  std::chrono::milliseconds waited{0};
  while (!rest.empty()) {
    pollfd reader{descriptor_, POLLOUT, 0};
    const int ready = ::poll(&reader, 1, static_cast<int>(kInterval.count()));
    if (ready == 0) {
      const std::lock_guard lock(mutex_);
      if (ending_) waited += kInterval;
      if (waited >= kEndPatience) break;
      continue;
    }
    const auto count = ::write(descriptor_, rest.data(), std::min(rest.size(), most));
    if (count > 0) {
      rest.remove_prefix(static_cast<std::size_t>(count));
    } else if (errno != EINTR && errno != EAGAIN) {
      break;  // nobody reads any more
    }
  }
  for (const char c : rest) {
    if (c == '\n') metrics_->log_line_dropped();
  }
}

void RequestLog::run() {
  std::string writing;
  bool ending = false;
  while (!ending) {
    {
      // Not woken per line: on a busy server a wake-up costs more than the line.
      std::unique_lock lock(mutex_);
      wake_.wait_for(lock, kInterval, [this] { return ending_; });
      ending = ending_;
      writing.clear();
      writing.swap(pending_);
    }
    write_all(writing);
  }
}

}  // namespace kvasir::gateway
