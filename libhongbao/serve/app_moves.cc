// App: gateways that go to another worker between their login and its answer. See docs/ARCHITECTURE.md.
#include <algorithm>
#include <array>
#include <utility>

#include "libhongbao/serve/app.h"
#include "libhongbao/wire/codec.h"

namespace hongbao::serve {
namespace {

// What a gateway gets that came too late, or finds no room. Gateways speak version 2: version 1 has no word for one.
size_t EncodeFull(const Move& move, std::byte* to) {
  wire::EncodeLoginResponse(
      to, wire::Version::k2,
      {.stamp = move.login_stamp, .first_user = move.first_user, .result = wire::LoginResult::kFullOrDraining});
  return wire::LoginResponseBytes(wire::Version::k2);
}

}  // namespace

// ---- the worker that has accepted it ----

void App::MoveIfCrowded(net::Port& port, net::Connection& connection, Newcomer& newcomer) {
  const Session& session = SessionOf(Unpack(newcomer.address));
  const uint32_t last_user = session.user + parts_.sessions.gateway_logins().gateways().user_count(session.gateway) - 1;
  // When it comes back while its former connection is there still, that does not count.
  const std::array<uint64_t, 2> formers{shared_.directory.Find(session.user), shared_.directory.Find(last_user)};
  const uint64_t name = newcomer.address | kGatewayBit;
  const std::optional<uint64_t> ticket = shared_.gateway_order.Leave(name, context_.workers(), formers);
  if (!ticket.has_value()) {
    return;
  }
  if (port.MoveOut(connection)) {
    newcomer.ticket = *ticket;
  } else {
    shared_.gateway_order.Rename(*ticket, name);
  }
}

App::Newcomer& App::NewcomerAt(uint64_t address) {
  const auto found =
      std::find_if(newcomers_.begin(), newcomers_.end(), [address](const Newcomer& one) { return one.address == address; });
  Check(found != newcomers_.end(), "only a gateway whose users have not entered is moved");
  return *found;
}

bool App::OnMovedOut(net::Port& port, net::Connection& connection, net::MovedSocket& socket) {
  Newcomer& newcomer = NewcomerAt(AddressOf(port, connection));
  Session& session = SessionOf(Unpack(newcomer.address));
  Move move{.ticket = newcomer.ticket,
            .first_user = session.user,
            .user_count = parts_.sessions.gateway_logins().gateways().user_count(session.gateway),
            .login_stamp = parts_.sessions.gateway_logins().gateways().login(session.gateway).stamp,
            .socket = std::move(socket),
            .early = std::move(newcomer.early)};
  const uint64_t ticket = move.ticket;
  if (!shared_.moves.Put(move)) {
    newcomer.early = std::move(move.early);
    OnNotMoved(port, connection);
    return false;
  }
  newcomers_.erase(newcomers_.begin() + (&newcomer - newcomers_.data()));
  parts_.sessions.gateway_logins().gateways().Remove(session.gateway);
  session = Session{};
  counters_.cells.Add(Counter::kGatewaysMoved);
  Post(Unpack(ticket).worker, GatewayMove{ticket});
  return true;
}

// Its users enter here, from the next turn on.
void App::OnNotMoved(net::Port& port, net::Connection& connection) {
  Newcomer& newcomer = NewcomerAt(AddressOf(port, connection));
  shared_.gateway_order.Rename(std::exchange(newcomer.ticket, 0), newcomer.address | kGatewayBit);
}

// ---- the worker that shall serve it ----

void App::BeginArrival(Move move) {
  const absl::Span<net::Port* const> ports = context_.ports();
  net::Port& emptiest = **std::min_element(ports.begin(), ports.end(), [](const net::Port* one, const net::Port* other) {
    return one->slots_in_use() < other->slots_in_use();
  });
  net::MovedSocket socket = std::move(move.socket);
  arrivals_.push_back(std::move(move));
  emptiest.MoveIn(std::move(socket), arrivals_.back().ticket);
}

Move App::ArrivalOf(uint64_t ticket) {
  const auto found =
      std::find_if(arrivals_.begin(), arrivals_.end(), [ticket](const Move& move) { return move.ticket == ticket; });
  Check(found != arrivals_.end(), "a gateway arrives once");
  Move move = std::move(*found);
  arrivals_.erase(found);
  return move;
}

// It goes on with its login as if it had come here.
void App::OnMovedIn(net::Port& port, net::Connection& connection, uint64_t ticket) {
  Move move = ArrivalOf(ticket);
  Session& session = records_[port.index()][connection.slot];
  session = Session{};
  const bool room = !parts_.sessions.gateway_logins().gateways().full() && port.MakeBulk(connection);
  if (!room || parts_.sessions.draining()) {
    shared_.gateway_order.Remove(ticket);
    counters_.cells.Add(Counter::kLoginsFull);
    EncodeFull(move, port.Out(connection).Append(wire::LoginResponseBytes(wire::Version::k2)));
    port.CloseAfterFlush(connection, parts_.sessions.draining() ? net::CloseReason::kDrain : net::CloseReason::kFull);
    return;
  }
  session = Session{.user = move.first_user, .version = wire::Version::k2, .logged_in = true};
  session.gateway = parts_.sessions.gateway_logins().gateways().Add(move.user_count, move.login_stamp);
  shared_.gateway_order.Rename(ticket, session.NameOf(AddressOf(port, connection)));
  AddNewcomer(port, connection, std::move(move.early));
  ContinueEntering();
}

void App::OnNoPlace(net::Port&, net::MovedSocket& socket, uint64_t ticket) {
  const Move move = ArrivalOf(ticket);
  std::array<std::byte, net::kFrameBytesMax> answer;
  socket.Say({answer.data(), EncodeFull(move, answer.data())});
  shared_.connections.End([&] {
    shared_.gateway_order.Remove(ticket);
    counters_.cells.Add(Counter::kLoginsFull);
    counters_.cells.Add(Counter::kConnectionsClosed);
  });
}

// From here on no gateway comes from another worker, so that none is on its way when this one ends.
void App::OnDrain() {
  parts_.sessions.Drain();
  for (Move& move : shared_.moves.CloseAndTakeAll(context_.index())) {
    BeginArrival(std::move(move));
  }
}

}  // namespace hongbao::serve
