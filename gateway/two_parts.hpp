// A head and a body that go out together without being copied together.
#pragma once

#include <array>
#include <cstddef>

#include <boost/asio/buffer.hpp>

namespace kvasir::gateway {

using TwoParts = std::array<boost::asio::const_buffer, 2>;

// What is left of `parts` after `sent` bytes.
TwoParts rest_of(const TwoParts& parts, std::size_t sent);

// Sends what the socket's buffer takes, in one system call and without waiting. An error counts as nothing sent: the
// next operation on the socket meets it too.
std::size_t send_now(int socket, const TwoParts& parts);

}  // namespace kvasir::gateway
