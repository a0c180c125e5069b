// The few Asio names that the gateway uses. One connection lives on one thread, so executors are concrete and no
// strands are needed.
#pragma once

#include "gateway/tcp_stream.hpp"

#include <tuple>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>

namespace kvasir::gateway {

namespace asio = boost::asio;
namespace beast = boost::beast;

using ErrorCode = boost::system::error_code;
using Executor = asio::io_context::executor_type;
template <typename T>
using Task = asio::awaitable<T, Executor>;
using Tcp = asio::ip::tcp;
using Socket = TcpStream::socket_type;
using Timer =
    asio::basic_waitable_timer<std::chrono::steady_clock, asio::wait_traits<std::chrono::steady_clock>, Executor>;

inline constexpr asio::use_awaitable_t<Executor> use_task{};
// Errors come back as values: auto [error, count] = co_await stream.async_read_some(buffer, use_tuple);
inline constexpr auto use_tuple = asio::as_tuple(use_task);

}  // namespace kvasir::gateway
