// App: serve/ on one worker: what net/ calls, and what the workers tell each other.
//
// Owns the worker's session records (16 bytes per slot, touched when used), its session desk, gift desk, claimer and
// overload control. Never shares them: other workers reach it by Message, reporters read its counters.
// Thread tag: worker-local.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <vector>

#include "absl/types/span.h"
#include "libhongbao/count/cells.h"
#include "libhongbao/count/history.h"
#include "libhongbao/envelope/lucky_pool.h"
#include "libhongbao/net/application.h"
#include "libhongbao/net/lazy_array.h"
#include "libhongbao/net/worker_context.h"
#include "libhongbao/serve/counters.h"
#include "libhongbao/serve/directory.h"
#include "libhongbao/serve/gifts.h"
#include "libhongbao/serve/ledger_lane.h"
#include "libhongbao/serve/message.h"
#include "libhongbao/serve/moves.h"
#include "libhongbao/serve/overload.h"
#include "libhongbao/serve/returned.h"
#include "libhongbao/serve/session.h"
#include "libhongbao/time/clock_trust.h"
#include "libhongbao/time/highest_wall.h"
#include "libhongbao/time/wall_steps.h"

namespace hongbao::serve {

// What all workers share. Each part is thread-safe by itself.
struct Shared {
  Shared(Directory directory_made, size_t pool_envelopes, int64_t max_qps, const time::Clock& clock)
      : wall(clock), directory(std::move(directory_made)), pool(pool_envelopes), limit(max_qps) {}

  time::WallSteps wall;
  // Whether money may move by the wall clock. Written by worker 0, which looks once a second.
  std::atomic<bool> clock_confirmed{true};
  int64_t clock_floor_ns = 0;  // agreed less monotonic time, at least
  time::HighestWall highest_wall;
  std::optional<time::ClockTrust> trust;  // worker 0's, once the workers start
  Directory directory;
  GatewayOrder gateway_order;
  Moves moves;
  envelope::LuckyPool pool;
  RateLimit limit;
  Returned returned;
  ledger::Ledger* ledger = nullptr;  // null: nothing is durable
  std::vector<ledger::RequestName> far_stamps;  // see ledger::Recovered
  // What an earlier life left to the gift desks; read while the workers start, then emptied.
  std::vector<ledger::LiveGift> gifts;
  // Connections now. Written once per connection, not per message; the last word of a connection's end, see App::OnClose.
  alignas(64) std::atomic<uint32_t> connections{0};
};

struct AppOptions {
  uint32_t connections_max = 0;
  uint32_t wins_per_user = 0;
  uint32_t gifts_max = 0;  // in this worker's book
  int64_t gift_expiry_ms = 0;
  uint64_t first_sent_gift_id = kFirstSentGiftId;
  uint32_t gifts_per_sender = 0;
  uint32_t gifts_per_pair = 0;
  uint32_t ledger_waiting_max = 0;  // of this worker's
  uint32_t gateways_max = 0;        // of this worker's
  std::optional<wire::Token> gateway_token{};
  UserTokenCheck user_token{};
  DelayOptions delay{};
};

class App {
 public:
  using Message = serve::Message;

  App(net::WorkerContext<Message>& context, const AppOptions& options, Shared& shared, WorkerCounters& counters);
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
  bool Settled() const { return ledger_.in_flight() == 0 && arrivals_.empty(); }

  uint32_t admitted() const { return overload_.delay().admitted(); }  // share of users, see DelayControl

  // Once the worker has ended.
  const envelope::GiftBook& book() const { return gifts_.book(); }
  envelope::Tally claimed() const { return claimer_.claimed(); }
  const Sessions& sessions() const { return sessions_; }
  const Gifts& gifts() const { return gifts_; }

 private:
  uint64_t AddressOf(const net::Port& port, const net::Connection& connection) const {
    return Pack({.worker = static_cast<uint8_t>(context_.index()),
                 .port = static_cast<uint8_t>(port.index()),
                 .generation = connection.generation,
                 .slot = connection.slot});
  }
  void Post(uint32_t worker, const Message& message);
  net::Connection* Find(const Address& address);
  Session& SessionOf(const Address& address) { return records_[address.port][address.slot]; }
  void TellSuperseded(const Address& address, net::Connection& connection);
  void TellNotice(const Message& message);
  void TellOpened(const Message& message);
  void RestoreGifts();
  void LookAtTheClock(const time::Moment& now);
  void OnOutcome(const ledger::Outcome& outcome);
  void Forward(const ledger::Outcome& outcome, uint64_t address, bool pays);
  // The connection has got `answers` of those it is owed, or they have gone elsewhere. Not found: nobody is owed any more.
  void Paid(uint64_t address, uint32_t answers = 1);
  // To the connection that asked, or to the user's newer session if there is one.
  void Tell(const ledger::Outcome& outcome);
  void NextPage(const ledger::Outcome& page);
  void ContinueResumes();
  size_t MeetGateway(net::Port& port, net::Connection& connection, absl::Span<const std::byte> rest);
  void WelcomeGateway(net::Port& port, net::Connection& connection, absl::Span<const std::byte> early);
  void RefuseGateway(net::Port& port, net::Connection& connection, net::CloseReason reason);
  size_t KeepEarly(uint64_t address, absl::Span<const std::byte> in);
  void ContinueEntering();
  void ContinueReminders();
  void NoticeAgain();

  net::WorkerContext<Message>& context_;
  AppOptions options_;
  Shared& shared_;
  WorkerCounters& counters_;
  std::vector<net::LazyArray<Session>> records_;  // by port, by slot
  envelope::LuckyClaimer claimer_;
  LedgerLane ledger_;
  Overload overload_;
  Gifts gifts_;
  Sessions sessions_;
  // A gateway whose users are being logged in, and what it has sent behind its login. Its receive is held, so that is little.
  struct Newcomer {
    uint64_t address = 0;
    std::vector<std::byte> early;
    uint64_t ticket = 0;  // it waits for its socket to be taken out; else its users enter
  };
  std::vector<Newcomer> newcomers_;
  void MoveIfCrowded(net::Port& port, net::Connection& connection, Newcomer& newcomer);
  Newcomer& NewcomerAt(uint64_t address);
  void BeginArrival(Move move);
  Move ArrivalOf(uint64_t ticket);
  std::vector<Move> arrivals_;  // from other workers; their places are looked for
  // A gateway that has logged in, and how far its users have been looked at for gifts to tell them of.
  struct Reminder {
    uint64_t address = 0;
    uint32_t place = 0;
  };
  std::vector<Reminder> reminders_;
  // A notice that found no room with its connection: asked for again when there is some.
  struct Unnoticed {
    uint64_t address = 0;
    uint32_t user = 0;
    uint32_t envelope_id = 0;
  };
  std::deque<Unnoticed> unnoticed_;
  int64_t reminders_ns_ = 0;  // not before
  std::vector<ledger::Outcome> resumes_;  // ends of pages whose connections have bytes to read first
  int64_t turn_ns_ = 0;  // start of the turn under way, 0 before the first
  time::SteadyWall wall_;
  bool clock_confirmed_ = true;  // as the gifts have it
  int64_t trust_ns_ = 0;         // worker 0: when to look at the clock again
  int64_t wall_ns_ = 0;  // agreed time, as of this turn
};

}  // namespace hongbao::serve
