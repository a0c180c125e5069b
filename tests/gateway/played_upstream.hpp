// An upstream server that a test plays: each request gets the bytes that the test says, as they are.
#pragma once

#include <algorithm>
#include <atomic>
#include <functional>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

namespace kvasir::gateway {

class PlayedUpstream {
 public:
  // What a request gets: bytes, then the next request of the connection, or its end.
  struct Reply {
    std::string bytes{};
    bool close = false;
    bool silent = false;  // says nothing and keeps the connection until the test ends
    std::string rest{};   // sent after `before_rest` has returned
    std::function<void()> before_rest{};
    bool silent_after = false;  // sends `bytes`, and then is silent
    std::string endless{};      // sent again and again until nobody listens
  };
  using Script = std::function<Reply(const std::string& request)>;

  explicit PlayedUpstream(Script script, const char* host = "127.0.0.1", int port = 0)
      : script_(std::move(script)), listener_(::socket(AF_INET, SOCK_STREAM, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<std::uint16_t>(port));
    ::inet_pton(AF_INET, host, &address.sin_addr);
    ::bind(listener_, reinterpret_cast<sockaddr*>(&address), sizeof address);
    ::listen(listener_, 16);
    socklen_t size = sizeof address;
    ::getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size);
    port_ = ntohs(address.sin_port);
    acceptor_ = std::thread([this] { accept(); });
  }
  ~PlayedUpstream() {
    ::shutdown(listener_, SHUT_RDWR);
    acceptor_.join();
    {
      const std::lock_guard lock(mutex_);
      for (const int socket : open_) ::shutdown(socket, SHUT_RDWR);
    }
    for (auto& thread : threads_) thread.join();
    ::close(listener_);
  }

  std::string base_url() const { return "http://127.0.0.1:" + std::to_string(port_) + "/v1"; }
  int port() const { return port_; }
  int connections() const { return connections_; }
  // Those that the other end has not closed yet.
  int open_connections() {
    const std::lock_guard lock(mutex_);
    char byte = 0;
    return static_cast<int>(std::count_if(open_.begin(), open_.end(), [&](int socket) {
      return ::recv(socket, &byte, 1, MSG_PEEK | MSG_DONTWAIT) != 0;
    }));
  }
  int requests() const { return requests_; }

  static std::string plain(const std::string& body, int status = 200, const std::string& headers = "") {
    return "HTTP/1.1 " + std::to_string(status) + " X\r\ncontent-type: application/json\r\n" + headers +
           "content-length: " + std::to_string(body.size()) + "\r\n\r\n" + body;
  }
  static std::string stream(const std::vector<std::string>& events) {
    return "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n" + chunks(events);
  }
  static std::string chunks(const std::vector<std::string>& events) {
    std::string text;
    for (const auto& event : events) {
      const std::string data = "data: " + event + "\n\n";
      char size[20];
      std::snprintf(size, sizeof size, "%zx\r\n", data.size());
      text += size + data + "\r\n";
    }
    return text;
  }

  static constexpr const char* kEnd = "0\r\n\r\n";

 private:
  void accept() {
    while (true) {
      const int socket = ::accept(listener_, nullptr, nullptr);
      if (socket < 0) return;
      ++connections_;
      const std::lock_guard lock(mutex_);
      open_.push_back(socket);
      threads_.emplace_back([this, socket] { serve(socket); });
    }
  }

  void serve(int socket) {
    std::string buffer;
    char bytes[65536];
    while (true) {
      const auto head = buffer.find("\r\n\r\n");
      const auto field = buffer.find("content-length: ");
      const std::size_t length =
          head == std::string::npos ? 0 : static_cast<std::size_t>(std::atoll(buffer.c_str() + field + 16));
      if (head == std::string::npos || buffer.size() < head + 4 + length) {
        const auto count = ::recv(socket, bytes, sizeof bytes, 0);
        if (count <= 0) break;
        buffer.append(bytes, static_cast<std::size_t>(count));
        continue;
      }
      ++requests_;
      const Reply reply = script_(buffer.substr(0, head + 4 + length));
      buffer.erase(0, head + 4 + length);
      if (reply.silent_after) (void)!::send(socket, reply.bytes.data(), reply.bytes.size(), MSG_NOSIGNAL);
      if (reply.silent || reply.silent_after) {
        while (::recv(socket, bytes, sizeof bytes, 0) > 0) {
        }
        break;
      }
      (void)!::send(socket, reply.bytes.data(), reply.bytes.size(), MSG_NOSIGNAL);
      if (reply.before_rest) {
        reply.before_rest();
        (void)!::send(socket, reply.rest.data(), reply.rest.size(), MSG_NOSIGNAL);
      }
      while (!reply.endless.empty() && ::send(socket, reply.endless.data(), reply.endless.size(), MSG_NOSIGNAL) > 0) {
      }
      if (reply.close) break;
    }
    const std::lock_guard lock(mutex_);
    std::erase(open_, socket);
    ::close(socket);
  }

  Script script_;
  int listener_;
  int port_ = 0;
  std::atomic<int> connections_{0};
  std::atomic<int> requests_{0};
  std::mutex mutex_;
  std::vector<int> open_;
  std::vector<std::thread> threads_;  // of the acceptor's thread until that has ended
  std::thread acceptor_;
};

}  // namespace kvasir::gateway
