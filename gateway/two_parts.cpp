#include "gateway/two_parts.hpp"

#include <algorithm>

#include <sys/socket.h>
#include <sys/uio.h>

namespace kvasir::gateway {

TwoParts rest_of(const TwoParts& parts, std::size_t sent) {
  const std::size_t of_head = std::min(sent, parts[0].size());
  return {parts[0] + of_head, parts[1] + (sent - of_head)};
}

std::size_t send_now(int socket, const TwoParts& parts) {
  std::array<iovec, 2> pieces{
      {{const_cast<void*>(parts[0].data()), parts[0].size()}, {const_cast<void*>(parts[1].data()), parts[1].size()}}};
  msghdr message{};
  message.msg_iov = pieces.data();
  message.msg_iovlen = pieces.size();
  const auto sent = ::sendmsg(socket, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
  return sent > 0 ? static_cast<std::size_t>(sent) : 0;
}

}  // namespace kvasir::gateway
