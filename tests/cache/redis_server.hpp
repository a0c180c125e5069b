// A real redis-server for one test, on a loopback port of its own, that can be killed and started again.
#pragma once

#include "cache/redis_connection.hpp"
#include "tests/cache/support.hpp"

#include <chrono>
#include <csignal>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <arpa/inet.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

namespace kvasir::cache::test {

inline bool redis_is_installed() {
  return std::filesystem::exists("/usr/bin/redis-server") && std::filesystem::exists("/usr/bin/redis-cli");
}

inline bool is_free(std::uint16_t port) {
  const int probe = socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  const bool free = bind(probe, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
  close(probe);
  return free;
}

// A free port whose neighbour 10,000 above, where a cluster's nodes talk, is free too.
inline std::uint16_t free_port() {
  static std::uint16_t next = static_cast<std::uint16_t>(20000 + (getpid() * 37) % 9000);
  while (!is_free(next) || !is_free(static_cast<std::uint16_t>(next + 10000))) ++next;
  return next++;
}

// Waits until `condition` holds; false: it never did.
inline bool eventually(const std::function<bool()>& condition,
                       std::chrono::seconds patience = std::chrono::seconds(20)) {
  const auto end = std::chrono::steady_clock::now() + patience;
  while (!condition()) {
    if (std::chrono::steady_clock::now() > end) return false;
    std::this_thread::sleep_for(std::chrono::microseconds(200));
  }
  return true;
}

// Runs a program to its end; what it says goes nowhere. Returns its exit status.
inline int run_program(const std::vector<std::string>& words) {
  const pid_t child = fork();
  if (child == 0) {
    const int nowhere = open("/dev/null", O_RDWR);
    for (const int channel : {0, 1, 2}) dup2(nowhere, channel);
    std::vector<char*> arguments;
    for (const std::string& word : words) arguments.push_back(const_cast<char*>(word.c_str()));
    arguments.push_back(nullptr);
    execvp(arguments[0], arguments.data());
    _exit(127);
  }
  int status = 0;
  waitpid(child, &status, 0);
  return status;
}

class RedisServer {
 public:
  explicit RedisServer(std::vector<std::string> options = {}, bool tls = false)
      : port_(free_port()), options_(std::move(options)), tls_(tls) {}
  ~RedisServer() { kill_it(); }
  RedisServer(const RedisServer&) = delete;
  RedisServer& operator=(const RedisServer&) = delete;

  // True once it answers.
  bool start() {
    const std::string port = std::to_string(port_);
    std::vector<std::string> words{"redis-server",          "--bind", "127.0.0.1", "--dir",
                                   folder_.path().string(), "--save", ""};
    const std::vector<std::string> listen =
        tls_ ? std::vector<std::string>{"--port", "0", "--tls-port", port} : std::vector<std::string>{"--port", port};
    words.insert(words.end(), listen.begin(), listen.end());
    words.insert(words.end(), options_.begin(), options_.end());
    process_ = fork();
    if (process_ == 0) {
      const int log = open((folder_.path() / "log").c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
      for (const int channel : {1, 2}) dup2(log, channel);
      std::vector<char*> arguments;
      for (std::string& word : words) arguments.push_back(word.data());
      arguments.push_back(nullptr);
      execvp(arguments[0], arguments.data());
      _exit(127);
    }
    return tls_ || eventually([this] {
             const RedisReply reply = command({"PING"});
             return !reply.is_error() || reply.text.find("NOAUTH") != std::string::npos;
           });
  }

  void kill_it() {
    if (process_ <= 0) return;
    kill(process_, SIGKILL);
    waitpid(process_, nullptr, 0);
    process_ = 0;
  }
  void send_signal(int signal) const { kill(process_, signal); }

  std::uint16_t port() const { return port_; }
  const std::filesystem::path& folder() const { return folder_.path(); }
  std::string address() const { return "127.0.0.1:" + std::to_string(port_); }

  RedisSettings settings() const {
    RedisSettings settings;
    RedisUrl url;
    url.node = {"127.0.0.1", port_};
    settings.urls = {url};
    return settings;
  }
  CacheSettings cache_settings() const {
    CacheSettings settings;
    settings.redis = this->settings();
    return settings;
  }

  // One command over a connection of its own. An error if the server is not there.
  RedisReply command(const std::vector<std::string_view>& words) const {
    RedisReply none;
    none.kind = RedisReply::Kind::error;
    std::string error;
    const auto connection = RedisConnection::open({"127.0.0.1", port_}, settings(), error);
    none.text = error;
    if (!connection) return none;
    RedisCommands commands;
    commands.add(words);
    std::vector<RedisReply> replies = connection->exchange(commands);
    return replies.empty() ? none : std::move(replies[0]);
  }
  // Keys that match.
  std::vector<std::string> keys(const std::string& pattern) const {
    std::vector<std::string> names;
    for (const RedisReply& name : command({"KEYS", pattern}).list) names.push_back(name.text);
    return names;
  }

 private:
  TemporaryFolder folder_;
  std::uint16_t port_;
  std::vector<std::string> options_;
  bool tls_;
  pid_t process_ = 0;
};

}  // namespace kvasir::cache::test
