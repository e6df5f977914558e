#include "libhongbao/load/gateway_fleet.h"

#include <algorithm>
#include <cerrno>

#include "libhongbao/check.h"

namespace hongbao::load {
namespace {

using time::kNsPerSecond;

// At max_rate answers come in pieces of a socket's size: what they make room for is sent in pieces as large.
constexpr size_t kMaxRateBatchMin = 1'024;

}  // namespace

GatewayFleet::GatewayFleet(const GatewayFleetOptions& options, const AddressPlan& addresses,
                           absl::Span<net::Port* const> ports, time::WallSteps& wall, time::Schedule& schedule,
                           time::SkewEstimator& skew, WorkerTally& tally)
    : options_(options),
      addresses_(addresses),
      ports_(ports.begin(), ports.end()),
      clock_(wall),
      schedule_(schedule),
      skew_(skew),
      tally_(tally),
      cells_(tally.cells),
      books_(schedule, tally, options.log_money),
      accounts_(options.own.size()),
      connect_limit_(options.connects_per_second),
      silence_(options.answer_timeout_ns),
      random_(options.seed * 0x9e37'79b9'7f4a'7c15 + 1) {
  Check(!ports_.empty() && ports_.size() <= 256, "a fleet has 1 to 256 ports");
  for (const net::Port* port : ports_) {
    slot_gateways_.emplace_back(port->slots());
  }
  gateways_.reserve(options.gateways);
  for (uint64_t i = 0; i < options.gateways; ++i) {
    const uint64_t quota = options.quota == std::numeric_limits<uint64_t>::max()
                               ? options.quota
                               : time::Slice({0, options.quota}, i, options.gateways).size();
    gateways_.emplace_back(time::Slice(options.own, i, options.gateways), schedule, options.total_users, options.window,
                           GatewayPace{options.max_rate, quota}, clock_.steady_ns());
  }
  CountFirstOnline(clock_.monotonic_ns());  // a worker without gateways is ready
}

// ---- the turn ----

int64_t GatewayFleet::OnTurn(int64_t now_ns) {
  now_ns_ = now_ns;
  if (clock_.Turn(now_ns)) {
    FollowWall();
  }
  // Before the walkers look: what was planned by now they know.
  const bool planned = schedule_.size() > 0;
  for (Gateway& gateway : gateways_) {
    gateway.walker().Refresh();
  }
  TurnSecond(clock_.steady_ns());
  Send(clock_.steady_ns(), clock_.steady_ns());
  TellSentAll(planned);
  ConnectSome(now_ns);
  AskStatements();
  return NextTurnNs(now_ns);
}

void GatewayFleet::FollowWall() {
  schedule_.FollowWall(clock_.steps(), clock_.shift_s(), time::UnixSecond(clock_.steady_ns()));
  skew_.Forget();
  for (Gateway& gateway : gateways_) {
    gateway.FollowWall(clock_.shift_s(), clock_.steady_ns());
  }
}

// As Fleet::TurnSecond: what was due in the second that has just ended still belongs to it.
void GatewayFleet::TurnSecond(int64_t steady_ns) {
  const int64_t second = time::UnixSecond(steady_ns);
  if (second <= second_) {
    return;
  }
  const int64_t begin_ns = second * kNsPerSecond;
  if (second == second_ + 1 && steady_ns - begin_ns < kLateAfterNs && !options_.max_rate) {
    Send(begin_ns - 1, steady_ns);
  }
  if (second_ != kNoSecond && !stopping_) {
    for (Gateway& gateway : gateways_) {
      cells_.Add(Counter::kScheduled, gateway.walker().CountBetween(second_ * kNsPerSecond, begin_ns));
    }
  }
  for (Gateway& gateway : gateways_) {  // for the second's row
    gateway.window().ForEachSample(
        [&](const GatewayRequest& one) { tally_.waiting.Record(begin_ns - DueOf(gateway, one)); });
  }
  tally_.history.Roll(second, cells_);
  second_ = second;
  EndLateLogins(now_ns_);
  EndSilent(now_ns_);
}

// Each turn another gateway begins, so that none is always the last to be served.
void GatewayFleet::Send(int64_t until_ns, int64_t steady_ns) {
  for (size_t i = 0; i < gateways_.size(); ++i) {
    SendOf(gateways_[(first_ + i) % gateways_.size()], until_ns, steady_ns);
  }
  first_ = first_ + 1 < gateways_.size() ? first_ + 1 : 0;
}

void GatewayFleet::SendOf(Gateway& gateway, int64_t until_ns, int64_t steady_ns) {
  if (gateway.state == GatewayState::kBarred && !stopping_) {
    MissUntil(gateway, until_ns + 1, Counter::kMissedOffline);
  }
  if (gateway.state != GatewayState::kOnline && gateway.state != GatewayState::kBases) {
    return;
  }
  net::Connection* const connection = ConnectionOf(gateway);
  if (connection == nullptr) {
    return;
  }
  net::Replies out = ports_[gateway.port]->Out(*connection);
  if (!RepeatUnanswered(gateway, out)) {
    return;
  }
  if (gateway.state == GatewayState::kBases) {
    AskSome(gateway, out);
    return;
  }
  SendOpens(gateway, out);
  if (stopping_) {
    return;
  }
  if (options_.max_rate) {
    SendAtMaxRate(gateway, out);
  } else {
    SendScheduled(gateway, out, until_ns, steady_ns);
  }
}

// First what the connection before has left, in the order of the stamps. False: there is more of it than has room now.
bool GatewayFleet::RepeatUnanswered(Gateway& gateway, net::Replies& out) {
  Gateway::Repeat(out, gateway.statements(), wire::FrameType::kStatementRequest);
  cells_.Add(Counter::kShakesRepeated, Gateway::Repeat(out, gateway.window(), wire::FrameType::kShakeRequest));
  return gateway.statements().to_repeat() == 0 && gateway.window().to_repeat() == 0;
}

// At most once in a quantum: a busy worker comes round every few microseconds, and a segment for each handful of requests
// would cost both sides far more than the requests do. But the rest of a second that has ended leaves with it.
void GatewayFleet::SendScheduled(Gateway& gateway, net::Replies& out, int64_t until_ns, int64_t steady_ns) {
  if (now_ns_ < gateway.next_send_ns && until_ns == steady_ns) {
    return;
  }
  for (size_t left = kSendsPerTurnMax; left > 0;) {
    const size_t room = std::min({left, kBatch, gateway.RoomFor(out, gateway.window())});
    uint32_t segment = time::Schedule::kNone;
    const size_t n = gateway.walker().NextDueMany(until_ns, {due_.data(), room}, segment);
    if (n == 0) {
      return;
    }
    gateway.next_send_ns = now_ns_ + options_.send_quantum_ns;
    const absl::Span<const time::DueUser> due(due_.data(), n);
    for (size_t i = gateway.window().before_next_sample(); i < n; i += GatewayWindow::kSampleEvery) {
      tally_.lag.Record(steady_ns - due[i].due_ns);
    }
    gateway.SendDue(out, due, clock_.shift_s() * kNsPerSecond, now_ns_);
    const auto in_time = std::partition_point(
        due.begin(), due.end(), [steady_ns](const time::DueUser& one) { return steady_ns - one.due_ns > kLateAfterNs; });
    CountSent(segment, n, static_cast<size_t>(in_time - due.begin()));
    left -= n;
  }
  gateway.next_send_ns = now_ns_;  // this turn's share was used up: go on at once
}

void GatewayFleet::SendAtMaxRate(Gateway& gateway, net::Replies& out) {
  const uint32_t segment = schedule_.IndexAt(clock_.steady_ns());
  if (segment == time::Schedule::kNone || schedule_.segment(segment).qps == 0) {
    return;
  }
  const GatewayWindow& window = gateway.window();
  const size_t n = std::min<uint64_t>(gateway.RoomFor(out, window), gateway.quota());
  const size_t enough = std::min<uint64_t>({kMaxRateBatchMin, (window.capacity() + 7) / 8, gateway.quota()});
  if (n == 0 || (n < enough && window.in_flight() > 0)) {
    return;
  }
  gateway.SendNext(out, n, clock_.wall_ns(), now_ns_);
  CountSent(segment, n, 0);
}

void GatewayFleet::CountSent(uint32_t segment, size_t sent, size_t late) {
  PhaseTally& phase = books_.PhaseOfSegment(segment);
  cells_.Add(Counter::kDue, sent);
  cells_.Add(Counter::kSent, sent);
  cells_.Add(Counter::kLate, late);
  cells_.Add(Counter::kOutstanding, sent);
  phase.cells.Add(PhaseCounter::kDue, sent);
  phase.cells.Add(PhaseCounter::kSent, sent);
  phase.cells.Add(PhaseCounter::kLate, late);
}

// Gives up what is due before `steady_ns`: for a gateway that the server does not take, and at the end; then it is known how
// late it is.
void GatewayFleet::MissUntil(Gateway& gateway, int64_t steady_ns, Counter why) {
  time::Walker& walker = gateway.walker();
  while (walker.next_due_ns() < steady_ns) {
    // Second by second, as a second belongs to one phase.
    PhaseTally& phase = books_.PhaseOfSegment(walker.next().segment);
    const int64_t due_ns = walker.next_due_ns();
    const int64_t second_end_ns = (time::UnixSecond(due_ns) + 1) * kNsPerSecond;
    const uint64_t missed = walker.SkipTo(std::min(steady_ns, second_end_ns));
    cells_.Add(Counter::kDue, missed);
    cells_.Add(why, missed);
    phase.cells.Add(PhaseCounter::kDue, missed);
    phase.cells.Add(PhaseCounter::kMissed, missed);
    if (stopping_) {
      const int64_t middle_ns = due_ns + (std::min(steady_ns, second_end_ns) - due_ns) / 2;
      for (uint64_t sample = 0; sample < missed; sample += GatewayWindow::kSampleEvery) {
        books_.RecordLateness(due_ns, steady_ns - middle_ns, -1);
      }
      tally_.missed_timed.store(tally_.missed_timed.load(std::memory_order_relaxed) + missed, std::memory_order_relaxed);
    }
  }
}

void GatewayFleet::TellSentAll(bool planned) {
  if (!options_.limited || !planned ||
      tally_.sent_all.load(std::memory_order_relaxed)) {  // ours: as stored
    return;
  }
  const bool all = std::all_of(gateways_.begin(), gateways_.end(), [this](Gateway& gateway) {
    return options_.max_rate ? gateway.quota() == 0 || gateway.state == GatewayState::kBarred
                             : gateway.walker().next_due_ns() == time::kNever;
  });
  if (all) {
    tally_.sent_all.store(true, std::memory_order_release);  // who sees it also sees all sends counted
  }
}

int64_t GatewayFleet::NextTurnNs(int64_t now_ns) {
  int64_t next_ns = clock_.Monotonic((second_ + 1) * kNsPerSecond);
  for (Gateway& gateway : gateways_) {
    if (gateway.state == GatewayState::kWaiting && !draining_) {
      const int64_t ready_ns = std::max(gateway.ready_ns, connect_limit_.next_ns());
      next_ns = std::min(next_ns, std::max(ready_ns, now_ns + options_.send_quantum_ns));
    } else if (gateway.state == GatewayState::kOnline && !stopping_) {
      next_ns = std::min(next_ns, NextSendNs(gateway, now_ns));
    }
  }
  return next_ns;
}

// When the gateway wants to send by itself. What waits for room, in the window or in the socket, waits for a
// completion.
int64_t GatewayFleet::NextSendNs(Gateway& gateway, int64_t now_ns) {
  net::Connection* const connection = ConnectionOf(gateway);
  if (options_.max_rate || connection == nullptr || gateway.walker().next_due_ns() == time::kNever ||
      gateway.RoomFor(ports_[gateway.port]->Out(*connection), gateway.window()) == 0) {
    return time::kNever;
  }
  const int64_t due_ns = clock_.Monotonic(gateway.walker().next_due_ns());
  return due_ns <= now_ns ? std::max(gateway.next_send_ns, now_ns)
                          : std::max(due_ns, now_ns + options_.send_quantum_ns);
}

void GatewayFleet::OnMessage(const Message& message) {
  if (message == Message::kStop && !stopping_) {
    stopping_ = true;
    for (Gateway& gateway : gateways_) {
      MissUntil(gateway, clock_.SteadyAt(now_ns_), Counter::kMissedBacklog);  // due, and never sent now: that shall be seen
    }
    // Release: who sees it also sees all sends counted.
    tally_.stopped.store(true, std::memory_order_release);
  }
  if (message == Message::kStatements && !draining_) {
    StartAsking();
  }
  // kWake: being awake is all that is asked for.
}

// The connections end now: what has no answer will get none. (Those that are open count theirs in OnClose.)
void GatewayFleet::OnDrain() {
  stopping_ = true;
  draining_ = true;
  now_ns_ = clock_.MonotonicNs();
  AbandonStatements();
  for (Gateway& gateway : gateways_) {
    if (gateway.state == GatewayState::kWaiting || gateway.state == GatewayState::kConnecting) {
      LoseUnanswered(gateway);
    }
  }
}

// ---- connecting ----

void GatewayFleet::ConnectSome(int64_t now_ns) {
  for (uint32_t i = 0; i < gateways_.size() && !draining_; ++i) {
    const Gateway& gateway = gateways_[i];
    if (gateway.state != GatewayState::kWaiting || gateway.ready_ns > now_ns) {
      continue;
    }
    if (!connect_limit_.TryTake(now_ns) || !StartConnect(i)) {
      return;
    }
  }
}

// False: no descriptors or memory, the others would meet the same.
bool GatewayFleet::StartConnect(uint32_t index) {
  Gateway& gateway = gateways_[index];
  const AddressPair pair = addresses_.PairOf(options_.first_gateway + index);
  int32_t slot = -EMFILE;
  // A full table (EMFILE) on one port is no reason to fail while another has room.
  for (size_t tries = 0; tries < ports_.size() && slot == -EMFILE; ++tries) {
    gateway.port = static_cast<uint32_t>(next_port_);
    next_port_ = (next_port_ + 1) % ports_.size();
    slot = ports_[gateway.port]->Connect(pair.source, pair.destination);
  }
  if (slot < 0) {
    books_.CountConnectFailed(-slot);
    BackOff(gateway);
    return -slot != EMFILE && -slot != ENFILE && -slot != ENOBUFS && -slot != ENOMEM;
  }
  gateway.connection = {.slot = static_cast<uint32_t>(slot)};
  gateway.state = GatewayState::kConnecting;
  slot_gateways_[gateway.port][gateway.connection.slot] = index;
  return true;
}

void GatewayFleet::BackOff(Gateway& gateway) {
  ++gateway.failures;
  gateway.state = GatewayState::kWaiting;
  random_ = random_ * 6'364'136'223'846'793'005 + 1'442'695'040'888'963'407;  // Knuth's MMIX generator
  gateway.ready_ns = now_ns_ + BackOffNs(gateway.failures, random_ >> 16);
}

void GatewayFleet::OnConnectFailed(net::Port& port, uint32_t slot, int error) {
  GatewayOf(port, slot).closed_idle = false;  // it is not there any more
  books_.CountConnectFailed(error);
  BackOff(GatewayOf(port, slot));
}

void GatewayFleet::OnOpen(net::Port& port, net::Connection& connection) {
  Gateway& gateway = GatewayOf(port, connection.slot);
  gateway.connection = net::Port::IdOf(connection);
  gateway.state = GatewayState::kLoggingIn;
  gateway.login_since_ns = now_ns_;
  gateway.login_stamp = gateway.NextStamp(WallNs());
  cells_.Add(Counter::kConnects);
  net::Replies out = port.Out(connection);
  // resume_after 0, by rule 7: what has no answer is sent again.
  wire::EncodeLoginRequest(out.Append(wire::LoginRequestBytes(wire::Version::k2)),
                           {.stamp = gateway.login_stamp,
                            .version = wire::Version::k2,
                            .first_user = gateway.first_user(),
                            .user_count = gateway.user_count(),
                            .token = options_.token.has_value()
                                         ? *options_.token
                                         : MakeUserToken(options_.user_token, gateway.first_user(), gateway.user_count())});
}

void GatewayFleet::OnClose(net::Port& port, net::Connection& connection, net::CloseReason reason) {
  Gateway& gateway = GatewayOf(port, connection.slot);
  cells_.Add(Counter::kClosed);
  if (gateway.state == GatewayState::kOnline) {
    cells_.Subtract(Counter::kOnline, gateway.user_count());
    const int64_t silent_ns = port.SilentNs(connection);
    gateway.closed_idle = reason == net::CloseReason::kPeer && !gateway.Waits() && silent_ns >= kIdleAtLeastNs;
    if (gateway.closed_idle) {
      tally_.idle_close_ns.store(silent_ns, std::memory_order_relaxed);  // a figure for people, of its own
    }
  } else if (gateway.state == GatewayState::kLoggingIn) {
    gateway.closed_idle = false;
    books_.CountLoginEnded(reason);
  }
  gateway.Rewind();
  if (draining_ || gateway.state == GatewayState::kBarred) {
    LoseUnanswered(gateway);
  }
  if (gateway.state != GatewayState::kBarred) {
    BackOff(gateway);
  }
}

void GatewayFleet::LoseUnanswered(Gateway& gateway) {
  gateway.Rewind();
  GatewayRequest request;
  uint64_t lost = 0;
  for (; gateway.window().GiveUpOldest(request); ++lost) {
    const int64_t due_ns = DueOf(gateway, request);
    books_.CountLost(due_ns);
    if (draining_ && request.sample()) {  // when it was sent the window does not know any more: not before its stamp
      const int64_t since_due_ns = now_ns_ - clock_.DueMonotonic(due_ns, gateway.BeforeStep(request));
      const int64_t stamp_after_due_ns = static_cast<int64_t>(request.stamp) - request.due_ns();
      books_.RecordLateness(due_ns, since_due_ns, since_due_ns - stamp_after_due_ns);
    }
  }
  if (draining_) {
    tally_.lost_timed.store(tally_.lost_timed.load(std::memory_order_relaxed) + lost, std::memory_order_relaxed);
  }
}

// Looked at once a second, as in Fleet.
void GatewayFleet::EndLateLogins(int64_t now_ns) {
  for (Gateway& gateway : gateways_) {
    if (gateway.state != GatewayState::kLoggingIn || now_ns - gateway.login_since_ns < options_.connect_timeout_ns) {
      continue;
    }
    if (net::Connection* connection = ConnectionOf(gateway); connection != nullptr) {
      cells_.Add(Counter::kLoginsTimedOut);
      ports_[gateway.port]->Close(*connection, net::CloseReason::kLoginDeadline);
    }
  }
}

// Looked at once a second, too.
void GatewayFleet::EndSilent(int64_t now_ns) {
  for (Gateway& gateway : gateways_) {
    net::Connection* const connection = gateway.state == GatewayState::kOnline || gateway.state == GatewayState::kBases
                                            ? ConnectionOf(gateway)
                                            : nullptr;
    if (connection == nullptr || !gateway.Waits()) {
      gateway.idle_ns = now_ns;
      continue;
    }
    net::Port& port = *ports_[gateway.port];
    if (silence_.MayEnd(std::min(now_ns - gateway.idle_ns, port.SilentNs(*connection)), now_ns)) {
      cells_.Add(Counter::kClosedSilent);
      port.Close(*connection, net::CloseReason::kNoAnswer);
    }
  }
}

void GatewayFleet::CountFirstOnline(int64_t now_ns) {
  if (settled_ == gateways_.size()) {
    books_.AllOnline(now_ns);
  }
}

}  // namespace hongbao::load
