// GatewayFleet: one worker's gateways: connects them, sends what the schedule says in large batches, and counts every
// answer. The application that net/ runs on the client side in gateway mode.
//
// Owns the gateways and the accounts of their users. As Fleet (fleet.h) it never knows envelopes or ledgers, never
// waits, allocates, locks or logs after construction. Unlike Fleet it never drops a request: what finds the window or
// the socket full stays in the schedule, is sent late and counted late, and its latency counts from the intended time
// all the same. Only of one request in 64 the latency is recorded; every request and every win is counted.
// Thread tag: worker-local; the WorkerTally it writes may be read by any thread.
#pragma once

#include <array>
#include <cstdint>
#include <limits>
#include <optional>
#include <vector>

#include "absl/types/span.h"
#include "libhongbao/load/addresses.h"
#include "libhongbao/load/bookkeeper.h"
#include "libhongbao/load/counters.h"
#include "libhongbao/load/fleet_message.h"
#include "libhongbao/load/gateway.h"
#include "libhongbao/load/reconnect.h"
#include "libhongbao/load/seen_notices.h"
#include "libhongbao/load/user_token.h"
#include "libhongbao/load/silence_watch.h"
#include "libhongbao/net/lazy_array.h"
#include "libhongbao/net/port.h"
#include "libhongbao/net/replies.h"
#include "libhongbao/load/fleet_clock.h"
#include "libhongbao/load/worker_tally.h"
#include "libhongbao/time/clock_sync.h"
#include "libhongbao/time/schedule.h"
#include "libhongbao/wire/codec.h"
#include "libhongbao/wire/frame.h"

namespace hongbao::load {

struct GatewayFleetOptions {
  time::UserRange own{};       // this worker's users, numbered in the whole fleet
  uint32_t total_users = 1;    // of the whole fleet
  uint32_t gateways = 1;       // of this worker; at least two users for each
  uint32_t first_gateway = 0;  // this worker's first, numbered in the process: for the address plan
  std::optional<wire::Token> token{};  // the gateways'
  UserTokenMaker user_token{};       // else
  uint32_t window = 16'384;  // requests in flight per gateway
  uint32_t connects_per_second = 25'000;
  int64_t connect_timeout_ns = 10 * time::kNsPerSecond;  // of a login's answer
  int64_t answer_timeout_ns = 10 * time::kNsPerSecond;   // see SilenceWatch; 0 = never
  int64_t send_quantum_ns = 50'000;  // wakes for due requests at most this often
  bool max_rate = false;             // no schedule: as fast as the windows allow, while the rate in force is not 0
  uint64_t quota = std::numeric_limits<uint64_t>::max();  // max_rate: requests of this worker in all
  bool limited = false;    // requests end with a limit (quota, or Segment::requests): sent_all is told
  bool statements = true;  // ask for every user's base, so that kStatements can compare
  bool log_money = false;  // hand every booked reply with money over to WorkerTally::money
  uint64_t seed = 1;       // of the back-off's jitter
};

class GatewayFleet {
 public:
  using Message = FleetMessage;

  // All references must outlive the fleet. `ports` has at least one.
  GatewayFleet(const GatewayFleetOptions& options, const AddressPlan& addresses, absl::Span<net::Port* const> ports,
               time::WallSteps& wall, time::Schedule& schedule, time::SkewEstimator& skew, WorkerTally& tally);

  // net/'s application (net/application.h).
  int64_t OnTurn(int64_t now_ns);
  void OnOpen(net::Port& port, net::Connection& connection);
  void OnConnectFailed(net::Port& port, uint32_t slot, int error);
  size_t OnBytes(net::Port& port, net::Connection& connection, absl::Span<const std::byte> in, net::Replies& out);
  void OnClose(net::Port& port, net::Connection& connection, net::CloseReason reason);
  void OnMessage(const Message& message);
  void OnDrain();

 private:
  static constexpr int64_t kNoSecond = std::numeric_limits<int64_t>::min();
  static constexpr size_t kBatch = 1'024;              // requests whose due times are worked out together: 16 KiB
  static constexpr uint32_t kSendsPerTurnMax = 8'192;  // of one gateway; answers are read in between

  struct Account {
    uint64_t fen = 0;
    uint32_t grants = 0;
    uint32_t unused = 0;
  };
  static_assert(sizeof(Account) == 16, "touched by those who got something only");

  Gateway& GatewayOf(const net::Port& port, uint32_t slot) { return gateways_[slot_gateways_[port.index()][slot]]; }
  Account& AccountOf(uint32_t user) { return accounts_[user - options_.own.first]; }
  int64_t WallNs() const { return clock_.WallAt(now_ns_); }
  net::Connection* ConnectionOf(const Gateway& gateway) { return ports_[gateway.port]->Find(gateway.connection); }

  // When it was due, in steady time.
  int64_t DueOf(const Gateway& gateway, const GatewayRequest& request) const {
    return clock_.DueSteady(request.due_ns(), gateway.BeforeStep(request));
  }

  // ---- gateway_fleet.cc: the turn, sending, connecting ----
  void FollowWall();
  void TurnSecond(int64_t steady_ns);
  void Send(int64_t until_ns, int64_t steady_ns);
  void SendOf(Gateway& gateway, int64_t until_ns, int64_t steady_ns);
  bool RepeatUnanswered(Gateway& gateway, net::Replies& out);
  void SendScheduled(Gateway& gateway, net::Replies& out, int64_t until_ns, int64_t steady_ns);
  void SendAtMaxRate(Gateway& gateway, net::Replies& out);
  void CountSent(uint32_t segment, size_t sent, size_t late);
  void MissUntil(Gateway& gateway, int64_t steady_ns, Counter why);
  void TellSentAll(bool planned);
  int64_t NextTurnNs(int64_t now_ns);
  int64_t NextSendNs(Gateway& gateway, int64_t now_ns);

  void ConnectSome(int64_t now_ns);
  bool StartConnect(uint32_t index);
  void BackOff(Gateway& gateway);
  void EndLateLogins(int64_t now_ns);
  void EndSilent(int64_t now_ns);
  void LoseUnanswered(Gateway& gateway);
  void CountFirstOnline(int64_t now_ns);

  // ---- gateway_fleet_answers.cc ----
  size_t TakeNothings(Gateway& gateway, absl::Span<const std::byte> in);
  void RecordLatency(const Gateway& gateway, PhaseTally& phase, const GatewayAnswered& answered, bool won);
  bool OnFrame(net::Port& port, net::Connection& connection, Gateway& gateway, wire::FrameType type,
               wire::FrameBytes frame);
  bool OnLogin(net::Port& port, net::Connection& connection, Gateway& gateway, wire::FrameBytes frame);
  bool OnSuperseded(const Gateway& gateway, wire::FrameBytes frame);
  void RefuseLogin(net::Port& port, net::Connection& connection, Gateway& gateway, wire::LoginResult why);
  void Enter(Gateway& gateway);
  bool OnShakeAnswer(Gateway& gateway, wire::FrameBytes frame);
  void BookShake(const Gateway& gateway, const GatewayAnswered& answered, const wire::ShakeResponse& answer);
  void BookMoney(const MoneyRecord& money);
  bool OnNotice(Gateway& gateway, wire::FrameBytes frame);
  Counter OpenFor(Gateway& gateway, uint32_t user, uint32_t envelope_id);
  void SendOpens(Gateway& gateway, net::Replies& out);
  bool OnOpenAnswer(Gateway& gateway, wire::FrameBytes frame);
  // False: an answer to nothing. True: counted; it has been booked before a reconnect.
  bool MayRepeat(const Gateway& gateway, uint64_t stamp);

  // ---- gateway_fleet_statements.cc ----
  void AskSome(Gateway& gateway, net::Replies& out);
  void StartAsking();
  void AskStatements();
  void AbandonStatements();
  void SkipStatements(Gateway& gateway);
  bool OnStatement(Gateway& gateway, wire::FrameBytes frame);

  // A frame that should not have come: counted, and the connection ends.
  bool Refuse(Counter why) {
    cells_.Add(why);
    return false;
  }

  const GatewayFleetOptions options_;
  const AddressPlan& addresses_;
  const std::vector<net::Port*> ports_;
  FleetClock clock_;
  time::Schedule& schedule_;
  time::SkewEstimator& skew_;
  WorkerTally& tally_;
  count::Cells<Counter>& cells_;
  Bookkeeper books_;

  std::vector<Gateway> gateways_;
  std::vector<net::LazyArray<uint32_t>> slot_gateways_;  // by port, by slot: index into gateways_
  net::LazyArray<Account> accounts_;                     // by user, from own.first on
  SeenNotices seen_;
  std::array<time::DueUser, kBatch> due_;

  RateLimit connect_limit_;
  SilenceWatch silence_;
  uint32_t settled_ = 0;  // gateways that have had a session, or never will
  size_t next_port_ = 0;
  size_t first_ = 0;  // gateway that sends first in this turn
  uint64_t random_;

  int64_t now_ns_ = 0;          // monotonic, as last read
  int64_t second_ = kNoSecond;  // under way, of the steady time
  bool stopping_ = false;       // nothing new is sent
  bool draining_ = false;       // the end: nobody connects any more
  bool asking_ = false;         // for every user's statement, at the end
};

}  // namespace hongbao::load
