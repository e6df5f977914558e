// Fleet: one worker's simulated users: it connects them, sends what the schedule says when it says so, and counts every
// answer. The application that net/ runs on the client side.
//
// Owns the users, their outstanding requests and the order of connecting. Never knows envelopes or ledgers: its totals are
// an independent witness of the money. Never waits, allocates, locks or logs after construction.
// Open loop: a slow server does not slow the sends; latency counts from the intended time (no coordinated omission).
// Thread tag: worker-local; the WorkerTally it writes may be read by any thread.
#pragma once

#include <cstdint>
#include <limits>
#include <vector>

#include "absl/types/span.h"
#include "libhongbao/load/addresses.h"
#include "libhongbao/load/bookkeeper.h"
#include "libhongbao/load/counters.h"
#include "libhongbao/load/fleet_clock.h"
#include "libhongbao/load/fleet_message.h"
#include "libhongbao/load/in_flight.h"
#include "libhongbao/load/login_watch.h"
#include "libhongbao/load/reconnect.h"
#include "libhongbao/load/seen_notices.h"
#include "libhongbao/load/silence_watch.h"
#include "libhongbao/load/user.h"
#include "libhongbao/load/user_token.h"
#include "libhongbao/load/worker_tally.h"
#include "libhongbao/net/connection.h"
#include "libhongbao/net/lazy_array.h"
#include "libhongbao/net/port.h"
#include "libhongbao/net/replies.h"
#include "libhongbao/time/clock_sync.h"
#include "libhongbao/time/schedule.h"
#include "libhongbao/time/walker.h"
#include "libhongbao/wire/codec.h"
#include "libhongbao/wire/frame.h"

namespace hongbao::load {

struct FleetOptions {
  time::UserRange own{};                    // this worker's users, numbered in the whole fleet
  uint32_t total_users = 1;                 // of the whole fleet
  wire::Version version = wire::Version::k2;
  uint32_t connects_per_second = 25'000;    // first connects and reconnects together
  uint32_t connecting_max = 512;            // connects and logins under way at most
  int64_t connect_timeout_ns = 10 * time::kNsPerSecond;  // of a login's answer
  int64_t answer_timeout_ns = 10 * time::kNsPerSecond;   // see SilenceWatch; 0 = never
  int64_t late_max_ns = time::kNsPerSecond; // later than this a request is missed, not sent
  int64_t send_quantum_ns = 50'000;         // wakes for due requests at most this often
  uint32_t in_flight_max = 1 << 20;         // outstanding requests at most (address space; memory as used)
  bool statements = true;                   // v2: ask for users' bases, so that kStatements can compare
  bool log_money = false;                   // hand every booked reply with money over to WorkerTally::money
  UserTokenMaker user_token{};              // v2: makes the token of each login; empty = none
  uint64_t seed = 1;                        // of the back-off's jitter
};

class Fleet {
 public:
  using Message = FleetMessage;

  // All references must outlive the fleet. `ports` has at least one.
  Fleet(const FleetOptions& options, const AddressPlan& addresses, absl::Span<net::Port* const> ports,
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
  static constexpr int kSendsPerTurnMax = 4'096;  // answers are read in between, even after a stall

  static uint32_t MillisecondsOf(int64_t monotonic_ns) { return static_cast<uint32_t>(monotonic_ns / time::kNsPerMs); }
  uint32_t IndexOf(const User& user) const { return static_cast<uint32_t>(&user - &users_[0]); }
  uint32_t UserIdOf(const User& user) const { return first_user_ + IndexOf(user); }
  User& UserOf(const net::Port& port, uint32_t slot) { return users_[slot_users_[port.index()][slot]]; }

  void TurnSecond(int64_t steady_ns);
  void SendDue(int64_t until_ns, int64_t steady_ns);
  void SendShake(const time::Due& due, int64_t steady_ns);

  void ConnectSome(int64_t now_ns);
  bool StartConnect(uint32_t index);
  bool MayConnect() const { return !draining_ && (!stopping_ || v2()); }
  void BackOff(User& user);
  uint64_t ResumeAfter(const User& user, uint64_t login_stamp);
  void CountFirstOnline(int64_t now_ns);
  void LeaveLogin(User& user);
  void EndLateLogins(int64_t now_ns);
  void EndSilent(int64_t now_ns);
  void EndIfSilent(const User& user, int64_t now_ns);
  void LoseShakes(User& user);
  void NoteWaiting(int64_t steady_ns);
  int64_t NextTurnNs(int64_t now_ns) const;

  bool OnFrame(net::Port& port, net::Connection& connection, User& user, wire::FrameType type, wire::FrameBytes frame,
               net::Replies& out);
  bool OnLogin(net::Port& port, net::Connection& connection, User& user, wire::FrameBytes frame, net::Replies& out);
  bool OnSuperseded(const User& user, wire::FrameBytes frame);
  void Enter(User& user);
  bool RefuseLogin(net::Port& port, net::Connection& connection, User& user, wire::LoginResult why);
  bool OnShakeAnswer(User& user, wire::FrameBytes frame);
  void BookShake(User& user, const InFlightRequest& request, const wire::ShakeResponse& answer);
  void BookMoney(User& user, const MoneyRecord& money);
  bool OnNotice(User& user, wire::FrameBytes frame, net::Replies& out);
  bool OnOpenAnswer(User& user, wire::FrameBytes frame);
  // What became of the search for the request that an answer answers.
  enum class Match { kFound, kRepeated, kNone };
  Match TakeAnswered(User& user, uint64_t stamp, uint32_t envelope_id, InFlightRequest& request);
  // In v1 an answer's 0 means "me", as an open's does: the prototype's server says so to who has won.
  bool IsUser(uint32_t user_id, const User& user) const { return user_id == UserIdOf(user) || (user_id == 0 && !v2()); }
  bool v2() const { return options_.version == wire::Version::k2; }
  uint64_t Stamp(User& user, int64_t wall_ns);
  void SendAgain(User& user, net::Replies& out);
  void SendShakeFrame(User& user, uint64_t stamp, net::Replies& out);
  void SendOpen(User& user, uint32_t envelope_id, uint64_t stamp, net::Replies& out);

  void AskBase(User& user, bool first_session, uint64_t server_last_stamp, net::Replies& out);
  void AskStatement(User& user, StatementState awaited, net::Replies& out);
  void AskStatements();
  bool MayAsk() const;
  void AskLast(User& user);
  void SkipStatement(User& user);
  void LoseStatement(User& user);
  void AbandonStatements();
  bool OnStatement(User& user, wire::FrameBytes frame);

  // A frame that should not have come: counted, and the connection ends.
  bool Refuse(Counter why) {
    cells_.Add(why);
    return false;
  }

  const FleetOptions options_;
  const AddressPlan& addresses_;
  const std::vector<net::Port*> ports_;
  FleetClock clock_;
  time::Schedule& schedule_;
  time::SkewEstimator& skew_;
  WorkerTally& tally_;
  count::Cells<Counter>& cells_;
  Bookkeeper books_;

  const uint32_t first_user_;
  const uint32_t user_count_;
  net::LazyArray<User> users_;
  std::vector<net::LazyArray<uint32_t>> slot_users_;  // by port, by slot: index into users_
  InFlight in_flight_;
  SeenNotices seen_;
  time::Walker walker_;

  UserQueue ready_;
  ReconnectWheel wheel_;
  RateLimit connect_limit_;
  LoginWatch logins_;        // users in kLoggingIn
  SilenceWatch silence_;
  uint32_t next_silent_ = 0;   // user that EndSilent looks at next
  int64_t silent_ns_;          // when it looked last, monotonic
  int64_t silent_credit_ = 0;  // looks that are due, times a round
  uint32_t connecting_ = 0;  // users in kConnecting or kLoggingIn
  uint32_t settled_ = 0;     // users that have had a session, or never will
  size_t next_port_ = 0;
  uint64_t random_;


  int64_t now_ns_ = 0;          // monotonic, as last read
  int64_t second_ = kNoSecond;  // under way, of the steady time
  bool stopping_ = false;       // nothing new is sent
  bool draining_ = false;       // the end: nobody connects any more
  bool asking_ = false;         // for statements, from users_[next_statement_] on
  uint32_t next_statement_ = 0;
  uint32_t statements_out_ = 0;  // users in StatementState::kAsked
};

}  // namespace hongbao::load
