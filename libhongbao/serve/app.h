// App: serve/ on one worker: what net/ calls, and what the workers tell each other.
//
// Owns the worker's session records (16 bytes per slot, touched when used) and its parts. Never shares them: other workers
// reach it by Message, reporters read its counters.
// Thread tag: worker-local.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <vector>

#include "absl/types/span.h"
#include "libhongbao/net/application.h"
#include "libhongbao/net/lazy_array.h"
#include "libhongbao/net/worker_context.h"
#include "libhongbao/serve/counters.h"
#include "libhongbao/serve/message.h"
#include "libhongbao/serve/moves.h"
#include "libhongbao/serve/session.h"
#include "libhongbao/serve/shared.h"
#include "libhongbao/serve/worker_parts.h"
#include "libhongbao/time/wall_steps.h"

namespace hongbao::serve {

class App {
 public:
  using Message = serve::Message;

  App(net::WorkerContext<Message>& context, const WorkerOptions& options, Shared& shared, WorkerCounters& counters);
  App(const App&) = delete;
  App& operator=(const App&) = delete;

  void OnOpen(net::Port& port, net::Connection& connection);
  size_t OnBytes(net::Port& port, net::Connection& connection, absl::Span<const std::byte> in, net::Replies& out);
  void OnClose(net::Port& port, net::Connection& connection, net::CloseReason reason);
  // Gateways only (app_moves.cc).
  bool OnMovedOut(net::Port& port, net::Connection& connection, net::MovedSocket& socket);
  void OnNotMoved(net::Port& port, net::Connection& connection);
  void OnMovedIn(net::Port& port, net::Connection& connection, uint64_t ticket);
  void OnNoPlace(net::Port& port, net::MovedSocket& socket, uint64_t ticket);
  int64_t OnTurn(int64_t now_ns);
  void OnMessage(const Message& message);
  void OnDrain();
  // The ledger owes this worker no outcome, and no gateway is on its way to it.
  bool Settled() const { return parts_.ledger.in_flight() == 0 && arrivals_.empty(); }

  // Once the worker has ended.
  const WorkerParts& parts() const { return parts_; }

 private:
  uint64_t AddressOf(const net::Port& port, const net::Connection& connection) const {
    return Pack({.worker = static_cast<uint8_t>(context_.index()),
                 .port = static_cast<uint8_t>(port.index()),
                 .generation = connection.generation,
                 .slot = connection.slot});
  }
  void Post(uint32_t worker, const Message& message);
  Session& SessionOf(const Address& address) { return records_[address.port][address.slot]; }
  // The connection of this worker that an address names. False: it has gone.
  struct Peer {
    net::Port& port;
    net::Connection* connection;
    Session& session;
    explicit operator bool() const { return connection != nullptr; }
    bool HasUnsent() const { return connection->pending_block != net::kNoIndex; }
  };
  Peer Find(uint64_t packed);
  void EndSuperseded(const Peer& peer);

  // ---- what others have to say ----
  void Handle(const Supersede& supersede);
  void Handle(const MintedGift& gift) { parts_.gifts.Handle(gift); }
  void Handle(const OpenGift& open) { parts_.gifts.Handle(open); }
  void Handle(const AskForNotices& ask) { parts_.gifts.Handle(ask); }
  void Handle(const AskForNotice& ask) { parts_.gifts.Handle(ask); }
  void Handle(const Notice& notice);
  void Handle(const GiftOpened& opened);
  void Handle(const OpenRefused& refused);
  void Handle(const RecordSettled& settled);
  void Handle(const ForwardedOutcome& forwarded);
  void Handle(const GatewayMove& move);

  void RestoreGifts();
  void LookAtTheClock(const time::Moment& now);
  void Forward(const ledger::Outcome& outcome, uint64_t address, bool pays);
  // The connection has got `answers` of those it is owed, or they have gone elsewhere. Not found: nobody is owed any more.
  void Paid(uint64_t address, uint32_t answers = 1);
  // To the connection that asked, or to the user's newer session if there is one.
  void Tell(const ledger::Outcome& outcome);
  void ContinueResumes();
  // A gateway whose users are being logged in, and what it has sent behind its login. Its receive is held, so that is little.
  struct Newcomer {
    uint64_t address = 0;
    std::vector<std::byte> early;
    uint64_t ticket = 0;  // it waits for its socket to be taken out; else its users enter
  };
  size_t MeetGateway(net::Port& port, net::Connection& connection, absl::Span<const std::byte> rest);
  void AddNewcomer(net::Port& port, net::Connection& connection, std::vector<std::byte> early);
  void WelcomeGateway(const Peer& peer, const Newcomer& newcomer);
  void RefuseGateway(const Peer& peer, net::CloseReason reason);
  size_t KeepEarly(uint64_t address, absl::Span<const std::byte> in);
  void ContinueEntering();
  void ContinueReminders();
  void NoticeAgain();
  void MoveIfCrowded(net::Port& port, net::Connection& connection, Newcomer& newcomer);
  Newcomer& NewcomerAt(uint64_t address);
  void BeginArrival(Move move);
  Move ArrivalOf(uint64_t ticket);

  net::WorkerContext<Message>& context_;
  const uint32_t connections_max_;
  Shared& shared_;
  WorkerCounters& counters_;
  std::vector<net::LazyArray<Session>> records_;  // by port, by slot
  WorkerParts parts_;
  std::vector<Newcomer> newcomers_;
  std::vector<Move> arrivals_;  // from other workers; their places are looked for
  // A gateway that has logged in, and how far its users have been looked at for gifts to tell them of.
  struct Reminder {
    uint64_t address = 0;
    uint32_t place = 0;
  };
  std::vector<Reminder> reminders_;
  std::deque<AskForNotice> unnoticed_;    // notices that found no room with their connections: asked for again when there is some
  int64_t reminders_ns_ = 0;              // not before
  std::vector<ledger::Outcome> resumes_;  // ends of pages whose connections have bytes to read first
  int64_t turn_ns_ = 0;                   // start of the turn under way, 0 before the first
  time::SteadyWall wall_;
  bool clock_confirmed_ = true;  // as the gifts have it
  int64_t trust_ns_ = 0;         // worker 0: when to look at the clock again
  int64_t wall_ns_ = 0;          // agreed time, as of this turn
};

}  // namespace hongbao::serve
