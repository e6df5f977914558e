// Sessions: bytes in, replies out. What one connection may do, and what it gets; for one user, or as a gateway for many.
//
// Takes the frames of a connection apart and hands each to the part that serves it: logins, shakes or requests. It is handed a
// Session, the bytes that came and a place for replies, and says how many bytes it has used and whether the connection is to be
// closed, and why. Owns no connection and no socket. Everything it touches besides is its worker's own, or lock-free. Nothing
// allocates, locks, logs or throws per message. Thread tag: worker-local.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <utility>

#include "absl/types/span.h"
#include "libhongbao/serve/gateway_logins.h"
#include "libhongbao/serve/logins.h"
#include "libhongbao/serve/requests.h"
#include "libhongbao/serve/shakes.h"
#include "libhongbao/wire/codec.h"

namespace hongbao::serve {

class Sessions {
 public:
  Sessions(const SessionOptions& options, const SessionServices& services)
      : shakes_(options, services, gateways_, owed_),
        gateways_(options.gateways_max),
        gateway_logins_(options, services, gateways_),
        logins_(options, services, gateway_logins_, owed_),
        requests_(services, gateways_, shakes_.stamps(), owed_) {}

  // From now on logins get "full or draining" and, with a ledger, nothing new is decided.
  void Drain() {
    logins_.Drain();
    gateway_logins_.Drain();
    shakes_.Drain();
    requests_.Drain();
  }
  bool draining() const { return logins_.draining(); }

  // Handles every whole frame in `in`. `address`: the connection's (packed). `Out` is net::Replies, or what a test has for it:
  //   std::byte* Append(size_t size);  // never null
  //   bool open() const;  // whether the connection still takes bytes
  //   size_t Room() const;  // gateways only: bytes that may be appended in one piece
  // Not while a gateway's users are entering (see GatewayLogins).
  template <class Out>
  Served OnBytes(Session& session, uint64_t address, absl::Span<const std::byte> in, Out& out);

  // The connection has ended.
  void OnClose(const Session& session, uint64_t address) { logins_.Leave(session, address); }

  // Whether `user` is the session's, or one of its gateway's.
  bool Owns(const Session& session, uint32_t user) const { return gateways_.Owns(session, user); }

  // Answers that come later, as messages, to requests served since the last call.
  uint32_t TakeOwed() { return std::exchange(owed_, 0U); }

  GatewayLogins& gateway_logins() { return gateway_logins_; }
  Logins& logins() { return logins_; }
  Shakes& shakes() { return shakes_; }
  const Shakes& shakes() const { return shakes_; }

 private:
  template <class Out>
  Served ServeOther(Session& session, uint64_t address, absl::Span<const std::byte> rest, Out& out);
  template <class Out>
  Served OnGatewayBytes(Session& session, uint64_t address, absl::Span<const std::byte> in, Out& out);
  net::CloseReason Dispatch(Session& session, uint64_t address, wire::FrameType type, wire::FrameBytes frame, Reply& reply);

  Shakes shakes_;  // first: a losing shake finds it where Sessions is
  Gateways gateways_;
  uint32_t owed_ = 0;
  GatewayLogins gateway_logins_;
  Logins logins_;
  Requests requests_;
};

template <class Out>
Served Sessions::OnBytes(Session& session, uint64_t address, absl::Span<const std::byte> in, Out& out) {
  if (session.is_gateway()) {
    return OnGatewayBytes(session, session.NameOf(address), in, out);
  }
  Served served;
  while (out.open()) {
    const absl::Span<const std::byte> rest = in.subspan(served.consumed);
    if (session.logged_in && wire::StartsWithShake(rest)) [[likely]] {
      served.close = shakes_.ServeOne(session, address, rest.data(), out);
      served.consumed += wire::kShakeRequestBytes;
      if (served.close != net::CloseReason::kNone) [[unlikely]] {
        return served;
      }
      continue;
    }
    const Served one = ServeOther(session, address, rest, out);
    served.consumed += one.consumed;
    served.close = one.close;
    if (one.consumed == 0 || one.close != net::CloseReason::kNone) {
      return served;
    }
    if (session.is_gateway()) {
      return served;  // that was its login, which takes a while
    }
  }
  return served;
}

template <class Out>
Served Sessions::OnGatewayBytes(Session& session, uint64_t address, absl::Span<const std::byte> in, Out& out) {
  Served served;
  while (out.open()) {
    const absl::Span<const std::byte> rest = in.subspan(served.consumed);
    const size_t room = out.Room() / wire::kShakeResponseBytes;
    const auto most = static_cast<uint32_t>(std::min<size_t>(room, Shakes::kBatch));
    const Shakes::Batch batch = shakes_.LeadingShakes(session, rest, most);
    if (batch.count > 0) {
      served.close = shakes_.ServeBatch(session, address, batch, out);
      served.consumed += batch.count * wire::kShakeRequestBytes;
    } else {  // another frame, the part of one, somebody else's user, or no room: told apart one by one
      const Served one = wire::StartsWithShake(rest)
                             ? Served{wire::kShakeRequestBytes, shakes_.ServeOne(session, address, rest.data(), out)}
                             : ServeOther(session, address, rest, out);
      served.consumed += one.consumed;
      served.close = one.close;
      if (one.consumed == 0) {
        return served;
      }
    }
    if (served.close != net::CloseReason::kNone) {
      return served;
    }
  }
  return served;
}

// Whatever is no shake of somebody who has logged in.
template <class Out>
Served Sessions::ServeOther(Session& session, uint64_t address, absl::Span<const std::byte> rest, Out& out) {
  const wire::Peeked peeked = wire::Peek(rest, wire::Side::kServer, session.version);
  if (peeked.framing == wire::Framing::kPartial) {
    return {};
  }
  if (peeked.framing == wire::Framing::kMalformed) {
    return {0, net::CloseReason::kMalformed};
  }
  Reply reply;
  const net::CloseReason close = Dispatch(session, address, peeked.type, rest.first(peeked.length), reply);
  if (reply.size > 0) {
    std::memcpy(out.Append(reply.size), reply.bytes.data(), reply.size);
  }
  if (reply.logged_in) {
    logins_.AskForNotices(session.user, address);  // after the answer: nothing comes before it
  }
  return {peeked.length, close};
}

inline net::CloseReason Sessions::Dispatch(Session& session, uint64_t address, wire::FrameType type, wire::FrameBytes frame,
                                           Reply& reply) {
  switch (type) {
    case wire::FrameType::kLoginRequest:
      return logins_.Login(session, address, frame, reply);
    case wire::FrameType::kOpenRequest:
      return requests_.Open(session, address, frame, reply);
    case wire::FrameType::kSendRequest:
      return requests_.Send(session, address, frame, reply);
    case wire::FrameType::kStatementRequest:
      return requests_.State(session, address, frame, reply);
    default:  // Peek has refused what a server never receives, and a shake before the login
      return net::CloseReason::kMalformed;
  }
}

}  // namespace hongbao::serve
