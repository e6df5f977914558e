// Application: what net/ asks of the code it runs, one object per worker.
//
//   struct Echo {
//     size_t OnBytes(net::Port&, net::Connection&, absl::Span<const std::byte> in, net::Replies& out) {
//       out.Append(in);
//       return in.size();
//     }
//   };
//
// Only OnBytes is needed; the others are called if they are there (found when compiling, no virtual call). All calls are
// made on the worker's own thread: plain members need no lock. Owns nothing. Thread tag: worker-local.
#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <limits>

#include "absl/types/span.h"
#include "libhongbao/net/connection.h"
#include "libhongbao/net/port.h"
#include "libhongbao/net/replies.h"

namespace hongbao::net {

// Returned by OnBytes: these bytes are no frame. The connection is closed (CloseReason::kMalformed).
inline constexpr size_t kMalformed = std::numeric_limits<size_t>::max();
// Returned by OnTurn: nothing is due.
inline constexpr int64_t kNever = std::numeric_limits<int64_t>::max();

// OnBytes returns how many bytes it has consumed: all whole frames, no part of one. The rest (shorter than a frame,
// kFrameBytesMax) comes again, with what follows, in the next call.
template <class App>
concept Application = requires(App& app, Port& port, Connection& connection, absl::Span<const std::byte> in, Replies& out) {
  { app.OnBytes(port, connection, in, out) } -> std::convertible_to<size_t>;
};

// Optional: a connection was accepted, or a Connect succeeded.
template <class App>
concept HasOnOpen = requires(App& app, Port& port, Connection& connection) {
  app.OnOpen(port, connection);
};
// Optional: once for each OnOpen. The connection is not found any more; nothing can be sent to it.
template <class App>
concept HasOnClose = requires(App& app, Port& port, Connection& connection, CloseReason reason) {
  app.OnClose(port, connection, reason);
};
// Optional: a Connect failed with `error` (errno). The slot is not the connection's any more.
template <class App>
concept HasOnConnectFailed = requires(App& app, Port& port, uint32_t slot, int error) {
  app.OnConnectFailed(port, slot, error);
};
// Optional: at the start of every turn, with the monotonic time in ns. Returns when it wants the next turn at the latest.
template <class App>
concept HasOnTurn = requires(App& app, int64_t now_ns) {
  { app.OnTurn(now_ns) } -> std::same_as<int64_t>;
};
// Optional: the service stops: no connection is accepted any more, and those there are will be closed once flushed.
template <class App>
concept HasOnDrain = requires(App& app) {
  app.OnDrain();
};
// Optional, asked while the service stops: false as long as answers are owed that must come from elsewhere first. The
// connections stay open until then, or until the drain's time is over.
template <class App>
concept HasSettled = requires(const App& app) {
  { app.Settled() } -> std::convertible_to<bool>;
};
// Optional: `using Message = ...` and OnMessage, for what other workers and threads post (WorkerContext::Post).
template <class App>
concept HasOnMessage = requires(App& app, const typename App::Message& message) {
  app.OnMessage(message);
};

// Optional, all four: connections that change their port (Port::MoveOut and MoveIn), once for each that asks.
//   OnMovedOut: the socket is the application's, for another port. True: it has taken it, and the connection is gone here
//     without OnClose. False: it stays, and waits.
//   OnNotMoved: there was no descriptor to be had, its peer has ended, or answers were appended. It stays, and waits.
//   OnMovedIn: it is open here, without OnOpen. What it had not read follows, as if it came now.
//   OnNoPlace: there was no slot for it. It counts as closed (CloseReason::kFull), and its socket is closed after the call.
template <class App>
concept MovesConnections = requires(App& app, Port& port, Connection& connection, MovedSocket& socket, uint64_t ticket) {
  { app.OnMovedOut(port, connection, socket) } -> std::same_as<bool>;
  app.OnNotMoved(port, connection);
  app.OnMovedIn(port, connection, ticket);
  app.OnNoPlace(port, socket, ticket);
};

struct NoMessage {};
template <class App>
struct MessageOf {
  using Type = NoMessage;
};
template <HasOnMessage App>
struct MessageOf<App> {
  using Type = typename App::Message;
};

}  // namespace hongbao::net
