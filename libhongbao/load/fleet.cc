#include "libhongbao/load/fleet.h"

#include <algorithm>
#include <cerrno>
#include <utility>

#include "libhongbao/check.h"
#include "libhongbao/time/permutation.h"

namespace hongbao::load {
namespace {

using time::kNsPerSecond;

// Two clients of the same users come back within a fraction of it, time and again.
constexpr uint32_t kYoungMs = 1'000;

bool IsShortage(int error) { return error == EMFILE || error == ENFILE || error == ENOBUFS || error == ENOMEM; }

}  // namespace

Fleet::Fleet(const FleetOptions& options, const AddressPlan& addresses, absl::Span<net::Port* const> ports,
             time::WallSteps& wall, time::Schedule& schedule, time::SkewEstimator& skew, WorkerTally& tally)
    : options_(options),
      addresses_(addresses),
      ports_(ports.begin(), ports.end()),
      clock_(wall),
      schedule_(schedule),
      skew_(skew),
      tally_(tally),
      cells_(tally.cells),
      books_(schedule, tally, options.log_money),
      first_user_(static_cast<uint32_t>(options.own.first)),
      user_count_(static_cast<uint32_t>(options.own.size())),
      users_(user_count_, net::Pages::kHuge),
      in_flight_(options.in_flight_max),
      walker_(schedule, time::Permutation(options.total_users), options.own, clock_.steady_ns()),
      wheel_(clock_.monotonic_ns()),
      connect_limit_(options.connects_per_second),
      logins_(std::min(options.connecting_max, user_count_)),
      silence_(options.answer_timeout_ns),
      silent_ns_(clock_.monotonic_ns()),
      random_(options.seed * 0x9e37'79b9'7f4a'7c15 + 1) {
  Check(!ports_.empty() && ports_.size() <= 256, "a fleet has 1 to 256 ports");
  for (const net::Port* port : ports_) {
    slot_users_.emplace_back(port->slots());
  }
  for (uint32_t i = 0; i < user_count_; ++i) {
    users_[i] = User();
    ready_.Push(users_.data(), i);
  }
  CountFirstOnline(clock_.monotonic_ns());  // a worker without users is ready
}

// ---- the turn ----

int64_t Fleet::OnTurn(int64_t now_ns) {
  now_ns_ = now_ns;
  if (clock_.Turn(now_ns)) {
    schedule_.FollowWall(clock_.steps(), clock_.shift_s(), time::UnixSecond(clock_.steady_ns()));
    walker_.FollowWall(clock_.shift_s(), clock_.steady_ns());
    skew_.Forget();
  }
  walker_.Refresh();
  TurnSecond(clock_.steady_ns());
  SendDue(clock_.steady_ns(), clock_.steady_ns());
  ConnectSome(now_ns);
  EndSilent(now_ns);
  AskStatements();
  return NextTurnNs(now_ns);
}

// Closes the second's book once it is over. What was due in it but not sent yet because the worker slept through the
// boundary (by less than a late request's millisecond) still belongs to it: so a second holds exactly what the schedule
// says. After a real stall it does not: then the rows shall show the stall.
void Fleet::TurnSecond(int64_t steady_ns) {
  const int64_t second = time::UnixSecond(steady_ns);
  if (second <= second_) {
    return;
  }
  const int64_t begin_ns = second * kNsPerSecond;
  if (second == second_ + 1 && steady_ns - begin_ns < kLateAfterNs) {
    SendDue(begin_ns - 1, steady_ns);
  }
  if (second_ != kNoSecond && !stopping_) {
    cells_.Add(Counter::kScheduled, walker_.CountBetween(second_ * kNsPerSecond, begin_ns));
  }
  NoteWaiting(begin_ns);
  tally_.history.Roll(second, cells_);
  second_ = second;
  EndLateLogins(now_ns_);
}

// A second's row shows also how long those have waited who have no answer.
void Fleet::NoteWaiting(int64_t steady_ns) {
  in_flight_.ForEachShake(
      [this, steady_ns](const InFlightRequest& one) { tally_.waiting.Record(steady_ns - one.due_ns); });
}

void Fleet::SendDue(int64_t until_ns, int64_t steady_ns) {
  if (stopping_) {
    return;
  }
  time::Due due;
  for (int i = 0; i < kSendsPerTurnMax && walker_.NextDue(until_ns, due); ++i) {
    SendShake(due, steady_ns);
  }
}

void Fleet::SendShake(const time::Due& due, int64_t steady_ns) {
  PhaseTally& phase = books_.PhaseOfSegment(due.segment);
  cells_.Add(Counter::kDue);
  phase.cells.Add(PhaseCounter::kDue);
  User& user = users_[due.user - first_user_];
  const int64_t lateness_ns = steady_ns - due.due_ns;
  Counter missed = Counter::kCount;
  net::Connection* connection = nullptr;
  if (lateness_ns > options_.late_max_ns) {
    missed = Counter::kMissedLate;
  } else if (user.state != UserState::kOnline ||
             (connection = ports_[user.port]->Find({user.slot, user.generation})) == nullptr) {
    missed = Counter::kMissedOffline;
  } else if (user.outstanding >= kOutstandingPerUserMax || in_flight_.full()) {
    missed = Counter::kMissedBacklog;
  }
  if (missed != Counter::kCount) {
    cells_.Add(missed);
    phase.cells.Add(PhaseCounter::kMissed);
    tally_.waiting.Record((second_ + 1) * kNsPerSecond - due.due_ns);
    return;
  }
  const uint64_t stamp = Stamp(user, clock_.Agreed(due.due_ns));
  in_flight_.Append(user.requests, {.due_ns = due.due_ns, .sent_ns = now_ns_, .stamp = stamp});
  ++user.outstanding;
  net::Replies out = ports_[user.port]->Out(*connection);
  SendShakeFrame(user, stamp, out);
  cells_.Add(Counter::kSent);
  cells_.Add(Counter::kOutstanding);
  phase.cells.Add(PhaseCounter::kSent);
  tally_.lag.Record(lateness_ns);
  if (lateness_ns > kLateAfterNs) {
    cells_.Add(Counter::kLate);
    phase.cells.Add(PhaseCounter::kLate);
  }
}

int64_t Fleet::NextTurnNs(int64_t now_ns) const {
  int64_t next_ns = clock_.Monotonic((second_ + 1) * kNsPerSecond);
  if (!stopping_ && walker_.next_due_ns() != time::kNever) {
    const int64_t due_ns = clock_.Monotonic(walker_.next_due_ns());
    // Due and not sent: this turn's share was used up, go on at once.
    next_ns = std::min(next_ns, due_ns <= now_ns ? now_ns : std::max(due_ns, now_ns + options_.send_quantum_ns));
  }
  if (MayConnect() && !ready_.empty() && connecting_ < options_.connecting_max) {
    next_ns = std::min(next_ns, std::max(connect_limit_.next_ns(), now_ns + options_.send_quantum_ns));
  }
  if (MayAsk()) {
    next_ns = now_ns;  // this turn's share was used up
  }
  if (wheel_.waiting() > 0) {
    next_ns = std::min(next_ns, now_ns + ReconnectWheel::kTickNs);
  }
  return next_ns;
}

void Fleet::OnMessage(const Message& message) {
  if (message == Message::kStop) {
    stopping_ = true;
    // Release: who sees it also sees all sends counted.
    tally_.stopped.store(true, std::memory_order_release);
  }
  if (message == Message::kStatements && v2() && !draining_) {
    asking_ = true;  // the next turn begins
  }
  // kWake: being awake is all that is asked for.
}

// The connections end now: what has no answer will get none. (Those that are open count theirs in OnClose.)
void Fleet::OnDrain() {
  stopping_ = true;
  draining_ = true;
  AbandonStatements();
  for (uint32_t i = 0; i < user_count_; ++i) {
    User& user = users_[i];
    if (user.state != UserState::kOnline && user.state != UserState::kLoggingIn) {
      LoseShakes(user);
    }
  }
}

// ---- connecting ----

void Fleet::ConnectSome(int64_t now_ns) {
  wheel_.Advance(users_.data(), now_ns, ready_, [this](uint32_t index) { users_[index].state = UserState::kWaiting; });
  if (!MayConnect()) {
    return;
  }
  // The load is over: only who still waits for an answer has a reason to come back.
  while (stopping_ && !ready_.empty() && users_[ready_.front()].requests.first == kNoRequest) {
    ready_.Pop(users_.data());
  }
  while (!ready_.empty() && connecting_ < options_.connecting_max && connect_limit_.TryTake(now_ns)) {
    if (!StartConnect(ready_.Pop(users_.data()))) {
      return;  // no descriptors or memory: the others would meet the same
    }
  }
}

bool Fleet::StartConnect(uint32_t index) {
  User& user = users_[index];
  const AddressPair pair = addresses_.PairOf(first_user_ + index);
  int32_t slot = -EMFILE;
  // A full table (EMFILE) on one port is no reason to fail while another has room.
  for (size_t tries = 0; tries < ports_.size() && slot == -EMFILE; ++tries) {
    user.port = static_cast<uint8_t>(next_port_);
    next_port_ = (next_port_ + 1) % ports_.size();
    slot = ports_[user.port]->Connect(pair.source, pair.destination);
  }
  if (slot < 0) {
    books_.CountConnectFailed(-slot);
    BackOff(user);
    return !IsShortage(-slot);
  }
  user.slot = static_cast<uint32_t>(slot);
  user.state = UserState::kConnecting;
  slot_users_[user.port][user.slot] = index;
  ++connecting_;
  return true;
}

void Fleet::BackOff(User& user) {
  user.failures = static_cast<uint8_t>(std::min(user.failures + 1, 255));
  user.state = UserState::kBackOff;
  random_ = random_ * 6'364'136'223'846'793'005 + 1'442'695'040'888'963'407;  // Knuth's MMIX generator
  wheel_.Add(users_.data(), IndexOf(user), now_ns_ + BackOffNs(user.failures, random_ >> 16));
}

void Fleet::OnConnectFailed(net::Port& port, uint32_t slot, int error) {
  User& user = UserOf(port, slot);
  user.closed_idle = false;  // it is not there any more
  --connecting_;
  user.ended_young = false;  // its server had gone
  books_.CountConnectFailed(error);
  BackOff(user);
}

void Fleet::OnOpen(net::Port& port, net::Connection& connection) {
  User& user = UserOf(port, connection.slot);
  user.generation = connection.generation & 0xff'ffff;
  user.state = UserState::kLoggingIn;
  cells_.Add(Counter::kConnects);
  logins_.Add(users_.data(), IndexOf(user), now_ns_);
  const uint64_t stamp = Stamp(user, clock_.WallAt(now_ns_));
  net::Replies out = port.Out(connection);
  wire::EncodeLoginRequest(out.Append(wire::LoginRequestBytes(options_.version)),
                           {.stamp = stamp,
                            .version = options_.version,
                            .first_user = UserIdOf(user),
                            .user_count = 1,
                            .resume_after = ResumeAfter(user, stamp),
                            .token = MakeUserToken(options_.user_token, UserIdOf(user), 1)});
}

// Outcomes are wanted from the oldest request without an answer on; everything before it has been booked. The list is in
// the order of its stamps: they grow, and a request that is repeated keeps its place.
uint64_t Fleet::ResumeAfter(const User& user, uint64_t login_stamp) {
  if (!v2()) {
    return 0;
  }
  return user.requests.first == kNoRequest ? login_stamp : in_flight_[user.requests.first].stamp - 1;
}

void Fleet::OnClose(net::Port& port, net::Connection& connection, net::CloseReason reason) {
  User& user = UserOf(port, connection.slot);
  cells_.Add(Counter::kClosed);
  if (user.state == UserState::kOnline) {
    cells_.Subtract(Counter::kOnline);
    const int64_t silent_ns = port.SilentNs(connection);
    user.closed_idle = reason == net::CloseReason::kPeer && user.requests.first == kNoRequest && silent_ns >= kIdleAtLeastNs;
    if (user.closed_idle) {
      tally_.idle_close_ns.store(silent_ns, std::memory_order_relaxed);  // a figure for people, of its own
    }
    const bool by_server = reason == net::CloseReason::kPeer || reason == net::CloseReason::kReset;
    user.ended_young = !v2() && by_server && MillisecondsOf(now_ns_) - user.next < kYoungMs;
  } else if (user.state == UserState::kLoggingIn) {
    user.closed_idle = false;
    books_.CountLoginEnded(reason);
    LeaveLogin(user);
  }
  LoseStatement(user);
  // What has no answer stays: it is sent again after the next login, and its first outcome comes back. But shakes of v1
  // have no identity: the server would decide them anew.
  if (!v2() || draining_ || user.state == UserState::kBarred) {
    LoseShakes(user);
  }
  if (user.state != UserState::kBarred) {
    BackOff(user);
  }
}

void Fleet::LoseShakes(User& user) {
  InFlightRequest request;
  now_ns_ = draining_ && user.requests.first != kNoRequest ? clock_.MonotonicNs() : now_ns_;
  while (in_flight_.TakeFirstShake(user.requests, request)) {
    --user.outstanding;
    books_.CountLost(request.due_ns);
    if (draining_) {
      books_.RecordLateness(request.due_ns, now_ns_ - clock_.DueMonotonic(request.due_ns, clock_.BeforeStep(request.sent_ns)),
                            now_ns_ - request.sent_ns);
      tally_.lost_timed.store(tally_.lost_timed.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
    }
  }
}

// The login has been answered, or its connection has ended.
void Fleet::LeaveLogin(User& user) {
  logins_.Remove(users_.data(), IndexOf(user));
  --connecting_;
}

// Every user is looked at once in a quarter of the timeout, a few in each turn: no list to keep, and no stall.
void Fleet::EndSilent(int64_t now_ns) {
  const int64_t round_ns = std::max<int64_t>(silence_.timeout_ns() / 4, 1);
  silent_credit_ += std::min(now_ns - std::exchange(silent_ns_, now_ns), round_ns) * user_count_;
  const int64_t looks = silent_credit_ / round_ns;
  silent_credit_ -= looks * round_ns;
  for (int64_t i = 0; i < looks && silence_.on() && in_flight_.used() > 0; ++i) {
    EndIfSilent(users_[next_silent_], now_ns);
    next_silent_ = next_silent_ + 1 < user_count_ ? next_silent_ + 1 : 0;
  }
}

void Fleet::EndIfSilent(const User& user, int64_t now_ns) {
  if (user.state != UserState::kOnline || user.requests.first == kNoRequest) {
    return;
  }
  net::Port& port = *ports_[user.port];
  net::Connection* const connection = port.Find({user.slot, user.generation});
  const int64_t waits_ns = now_ns - in_flight_[user.requests.first].sent_ns;
  if (connection != nullptr && silence_.MayEnd(std::min(waits_ns, port.SilentNs(*connection)), now_ns)) {
    cells_.Add(Counter::kClosedSilent);
    port.Close(*connection, net::CloseReason::kNoAnswer);
  }
}

// Looked at once a second: a server that hangs must not hold the places of those who could connect.
void Fleet::EndLateLogins(int64_t now_ns) {
  logins_.Check(now_ns, options_.connect_timeout_ns, [this](uint32_t index) {
    const User& user = users_[index];
    net::Port& port = *ports_[user.port];
    if (net::Connection* connection = port.Find({user.slot, user.generation}); connection != nullptr) {
      cells_.Add(Counter::kLoginsTimedOut);
      port.Close(*connection, net::CloseReason::kLoginDeadline);
    }
  });
}

void Fleet::CountFirstOnline(int64_t now_ns) {
  if (settled_ == user_count_) {
    books_.AllOnline(now_ns);
  }
}

}  // namespace hongbao::load
