// A blocking HTTP client for tests: what it reads is what stood on the wire.
#pragma once

#include <cstdlib>
#include <map>
#include <string>
#include <string_view>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

namespace kvasir::gateway {

struct TestResponse {
  int status = 0;
  std::map<std::string, std::string> headers;
  std::string body;
  bool whole = false;  // the body's end was seen
};

class TestClient {
 public:
  explicit TestClient(int port) : socket_(::socket(AF_INET, SOCK_STREAM, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<std::uint16_t>(port));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    const timeval patience{10, 0};
    ::setsockopt(socket_, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    connected_ = ::connect(socket_, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0;
  }
  ~TestClient() { hang_up(); }
  TestClient(const TestClient&) = delete;
  TestClient& operator=(const TestClient&) = delete;

  bool connected() const { return connected_; }
  void hang_up() {
    if (socket_ >= 0) ::close(socket_);
    socket_ = -1;
  }
  void send(std::string_view bytes) { (void)!::send(socket_, bytes.data(), bytes.size(), MSG_NOSIGNAL); }
  void post(const std::string& path, const std::string& body, const std::string& headers = "") {
    send("POST " + path + " HTTP/1.1\r\nHost: test\r\n" + headers + "Content-Length: " + std::to_string(body.size()) +
         "\r\n\r\n" + body);
  }
  void get(const std::string& path, const std::string& headers = "") {
    send("GET " + path + " HTTP/1.1\r\nHost: test\r\n" + headers + "\r\n");
  }

  // Bytes up to and with `mark`, or all there was before the connection ended.
  std::string read_until(std::string_view mark) {
    while (true) {
      const auto at = buffer_.find(mark);
      if (at != std::string::npos) return take(at + mark.size());
      if (!more()) return take(buffer_.size());
    }
  }
  // True if the server ended the connection (and not this test's patience).
  bool ended() {
    while (more()) {
    }
    return closed_;
  }
  bool was_reset() const { return reset_; }

  TestResponse response() {
    TestResponse response = head();
    if (response.headers["transfer-encoding"] == "chunked") {
      read_chunks(response);
    } else {
      const auto length = static_cast<std::size_t>(std::atoll(response.headers["content-length"].c_str()));
      while (buffer_.size() < length && more()) {
      }
      response.whole = buffer_.size() >= length;
      response.body = take(std::min(length, buffer_.size()));
    }
    return response;
  }
  TestResponse head() {
    TestResponse response;
    const std::string text = read_until("\r\n\r\n");
    response.status = text.size() > 12 ? std::atoi(text.c_str() + 9) : 0;
    for (std::size_t at = text.find("\r\n"); at != std::string::npos && at + 2 < text.size();) {
      const auto end = text.find("\r\n", at + 2);
      const std::string line = text.substr(at + 2, end - at - 2);
      const auto colon = line.find(": ");
      if (colon != std::string::npos) response.headers[line.substr(0, colon)] = line.substr(colon + 2);
      at = end;
    }
    return response;
  }

 private:
  bool more() {
    char bytes[65536];
    const auto count = ::recv(socket_, bytes, sizeof bytes, 0);
    if (count > 0) buffer_.append(bytes, static_cast<std::size_t>(count));
    if (count == 0) closed_ = true;
    if (count < 0 && errno == ECONNRESET) closed_ = reset_ = true;
    return count > 0;
  }
  std::string take(std::size_t count) {
    std::string taken = buffer_.substr(0, count);
    buffer_.erase(0, count);
    return taken;
  }
  void read_chunks(TestResponse& response) {
    while (true) {
      const std::string line = read_until("\r\n");
      if (!line.ends_with("\r\n")) return;
      const auto size = std::strtoul(line.c_str(), nullptr, 16);
      while (buffer_.size() < size + 2 && more()) {
      }
      if (buffer_.size() < size + 2) {
        response.body += take(buffer_.size());
        return;
      }
      response.body += take(size + 2).substr(0, size);
      if (size == 0) {
        response.whole = true;
        return;
      }
    }
  }

  int socket_;
  bool connected_ = false;
  bool closed_ = false;
  bool reset_ = false;
  std::string buffer_;
};

}  // namespace kvasir::gateway
