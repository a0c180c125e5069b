#include "gateway/tcp_stream.hpp"

#include <boost/asio/basic_waitable_timer.hpp>
#include <boost/intrusive/list.hpp>

namespace kvasir::gateway {
namespace {

namespace asio = boost::asio;

constexpr std::chrono::milliseconds kTick{250};

}  // namespace

// The streams of one I/O thread. Ticks while there are any.
class StreamClock final : public asio::execution_context::service {
 public:
  using key_type = StreamClock;
  static inline asio::execution_context::id id;

  explicit StreamClock(asio::execution_context& context)
      : asio::execution_context::service(context), timer_(static_cast<asio::io_context&>(context)) {}

  void add(TcpStream::State& state) {
    streams_.push_back(state);
    if (!ticking_) wait();
  }

 private:
  using Timer = asio::basic_waitable_timer<TcpStream::Clock, asio::wait_traits<TcpStream::Clock>,
                                           asio::io_context::executor_type>;
  using Streams = boost::intrusive::list<TcpStream::State, boost::intrusive::constant_time_size<false>>;

  void shutdown() override { timer_.cancel(); }

  void wait() {
    ticking_ = true;
    timer_.expires_after(kTick);
    timer_.async_wait([this](const boost::system::error_code& error) {
      ticking_ = false;
      if (error) return;
      end_late_ones(TcpStream::Clock::now());
      if (!streams_.empty()) wait();
    });
  }

  // Cancelling runs no handler at once, so that the list stays as it is.
  void end_late_ones(TcpStream::Clock::time_point now) {
    for (TcpStream::State& state : streams_) {
      if (state.running == 0 || now < state.deadline) continue;
      state.late = true;
      boost::system::error_code ignored;
      state.socket.cancel(ignored);
    }
  }

  Timer timer_;
  Streams streams_;
  bool ticking_ = false;
};

TcpStream::TcpStream(socket_type socket) : state_(std::make_shared<State>(std::move(socket))) {
  asio::use_service<StreamClock>(state_->socket.get_executor().context()).add(*state_);
}

TcpStream::~TcpStream() {
  if (!state_) return;
  state_->unlink();
  close();
}

void TcpStream::cancel() {
  boost::system::error_code ignored;
  state_->socket.cancel(ignored);
}

void TcpStream::close() {
  boost::system::error_code ignored;
  state_->socket.close(ignored);
}

}  // namespace kvasir::gateway
