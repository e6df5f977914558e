// Moves: gateways on their way from the worker that accepted them to the one that shall serve them.
//
// Owns their sockets until the other worker takes them: one that has stopped taking any is given no more, so that none is left
// lying when the server ends. Once for a gateway's login at most, so a lock is no cost. Thread tag: thread-safe.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <mutex>
#include <optional>
#include <utility>
#include <vector>

#include "libhongbao/net/moved_socket.h"
#include "libhongbao/serve/session_address.h"

namespace hongbao::serve {

struct Move {
  uint64_t ticket = 0;  // its name in GatewayOrder meanwhile; says which worker it goes to
  uint32_t first_user = 0;
  uint32_t user_count = 0;
  uint64_t login_stamp = 0;
  net::MovedSocket socket{};
  std::vector<std::byte> early{};  // what it has sent behind its login, before what the socket has unread
};

class Moves {
 public:
  // False: its worker takes no more, and the move is as it was.
  bool Put(Move& move) {
    const std::lock_guard<std::mutex> lock(mutex_);
    const uint8_t worker = Unpack(move.ticket).worker;
    if (std::find(closed_.begin(), closed_.end(), worker) != closed_.end()) {
      return false;
    }
    moves_.push_back(std::move(move));
    return true;
  }
  // Nothing: its worker has taken it with all others.
  std::optional<Move> Take(uint64_t ticket) {
    const std::lock_guard<std::mutex> lock(mutex_);
    const auto it = std::find_if(moves_.begin(), moves_.end(), [ticket](const Move& move) { return move.ticket == ticket; });
    if (it == moves_.end()) {
      return std::nullopt;
    }
    Move move = std::move(*it);
    moves_.erase(it);
    return move;
  }
  // The worker takes those that are on their way to it, and no more.
  std::vector<Move> CloseAndTakeAll(uint32_t worker) {
    const std::lock_guard<std::mutex> lock(mutex_);
    closed_.push_back(static_cast<uint8_t>(worker));
    const auto others = std::stable_partition(moves_.begin(), moves_.end(),
                                              [worker](const Move& move) { return Unpack(move.ticket).worker != worker; });
    std::vector<Move> last(std::make_move_iterator(others), std::make_move_iterator(moves_.end()));
    moves_.erase(others, moves_.end());
    return last;
  }

 private:
  std::mutex mutex_;
  std::vector<Move> moves_;
  std::vector<uint8_t> closed_;  // workers
};

}  // namespace hongbao::serve
