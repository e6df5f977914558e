#include "libhongbao/load/gateway_carrier.h"

#include <algorithm>

#include "libhongbao/load/fleet_impl.h"

namespace hongbao::load {
namespace {

using wire::kShakeResponseBytes;

constexpr uint32_t kSendsPerTurnMax = 8'192;  // of one gateway; answers are read in between
// At max_rate answers come in pieces of a socket's size: what they make room for is sent in pieces as large.
constexpr size_t kMaxRateBatchMin = 1'024;

// Whether the frame at `at` is the answer "nothing" to `request`.
inline bool IsNothing(const std::byte* at, const GatewayRequest& request) {
  return wire::LoadU32(at) == wire::Head(wire::FrameType::kShakeResponse, kShakeResponseBytes) &&
         wire::LoadU64(at + 4) == request.stamp && wire::LoadU32(at + 12) == request.user &&
         wire::LoadU32(at + 16) == static_cast<uint32_t>(wire::ShakeResult::kNothing) &&
         wire::LoadU64(at + 20) == 0;  // no envelope, no amount
}

}  // namespace

GatewayCarrier::GatewayCarrier(FleetContext& context) : context_(context), accounts_(context.options.own.size()) {
  const FleetOptions& options = context.options;
  gateways_.reserve(options.gateways);
  for (uint64_t i = 0; i < options.gateways; ++i) {
    const uint64_t quota = options.quota == std::numeric_limits<uint64_t>::max()
                               ? options.quota
                               : time::Slice({0, options.quota}, i, options.gateways).size();
    gateways_.emplace_back(time::Slice(options.own, i, options.gateways), context.schedule, options.total_users, options.window,
                           GatewayPace{options.max_rate, quota}, context.clock.steady_ns());
  }
}

// ---- the turn ----

void GatewayCarrier::FollowWall() {
  for (Gateway& gateway : gateways_) {
    gateway.FollowWall(context_.clock.shift_s(), context_.clock.steady_ns());
  }
}

void GatewayCarrier::BeginTurn() {
  planned_ = context_.schedule.size() > 0;  // before the walkers look: what was planned by now they know
  for (Gateway& gateway : gateways_) {
    gateway.walker().Refresh();
  }
}

uint64_t GatewayCarrier::ScheduledBetween(int64_t from_ns, int64_t to_ns) {
  uint64_t count = 0;
  for (Gateway& gateway : gateways_) {
    count += gateway.walker().CountBetween(from_ns, to_ns);
  }
  return count;
}

// Each turn another gateway begins, so that none is always the last to be served.
void GatewayCarrier::Send(int64_t until_ns, int64_t steady_ns) {
  for (size_t i = 0; i < gateways_.size(); ++i) {
    SendOf(gateways_[(first_ + i) % gateways_.size()], until_ns, steady_ns);
  }
  first_ = first_ + 1 < gateways_.size() ? first_ + 1 : 0;
}

void GatewayCarrier::SendOf(Gateway& gateway, int64_t until_ns, int64_t steady_ns) {
  if (gateway.state == MemberState::kBarred && !context_.stopping) {
    MissUntil(gateway, until_ns + 1, Counter::kMissedOffline);
  }
  net::Connection* const connection = gateway.logged_in() ? context_.Find(gateway) : nullptr;
  if (connection == nullptr) {
    return;
  }
  net::Replies out = context_.Out(gateway, *connection);
  if (!RepeatUnanswered(gateway, out)) {
    return;
  }
  if (gateway.state == MemberState::kBases) {
    AskSome(gateway, out);
    return;
  }
  SendOpens(gateway, out);
  if (context_.stopping) {
    return;
  }
  if (context_.options.max_rate) {
    SendAtMaxRate(gateway, out);
  } else {
    SendScheduled(gateway, out, until_ns, steady_ns);
  }
}

// First what the connection before has left, in the order of the stamps. False: there is more of it than has room now.
bool GatewayCarrier::RepeatUnanswered(Gateway& gateway, net::Replies& out) {
  Gateway::Repeat(out, gateway.statements(), wire::FrameType::kStatementRequest);
  context_.cells.Add(Counter::kShakesRepeated, Gateway::Repeat(out, gateway.window(), wire::FrameType::kShakeRequest));
  return gateway.statements().to_repeat() == 0 && gateway.window().to_repeat() == 0;
}

// The opens leave with the turn, once the users' bases are known: whether a share that is opened before is in its
// user's base nobody could tell.
void GatewayCarrier::SendOpens(Gateway& gateway, net::Replies& out) {
  for (; gateway.opens_sent < gateway.opens.size() && out.Room() >= wire::kOpenRequestBytes; ++gateway.opens_sent) {
    GatewayOpen& open = gateway.opens[gateway.opens_sent];
    wire::EncodeOpenRequest(out.Append(wire::kOpenRequestBytes),
                            {.stamp = open.stamp, .user_id = open.user, .envelope_id = open.envelope_id});
    context_.cells.Add(Counter::kOpensRepeated, open.sent ? 1 : 0);
    open.sent = true;
  }
}

// At most once in a quantum: a busy worker comes round every few microseconds, and a segment for each handful of
// requests would cost both sides far more than the requests do. But the rest of a second that has ended leaves with it.
void GatewayCarrier::SendScheduled(Gateway& gateway, net::Replies& out, int64_t until_ns, int64_t steady_ns) {
  const int64_t now_ns = context_.now_ns;
  if (now_ns < gateway.next_send_ns && until_ns == steady_ns) {
    return;
  }
  for (size_t left = kSendsPerTurnMax; left > 0;) {
    const size_t room = std::min({left, kBatch, gateway.RoomFor(out, gateway.window())});
    uint32_t segment = time::Schedule::kNone;
    const size_t n = gateway.walker().NextDueMany(until_ns, {due_.data(), room}, segment);
    if (n == 0) {
      return;
    }
    gateway.next_send_ns = now_ns + context_.options.send_quantum_ns;
    const absl::Span<const time::DueUser> due(due_.data(), n);
    for (size_t i = gateway.window().before_next_sample(); i < n; i += GatewayWindow::kSampleEvery) {
      context_.tally.lag.Record(steady_ns - due[i].due_ns);
    }
    gateway.SendDue(out, due, context_.clock.shift_s() * time::kNsPerSecond, now_ns);
    const auto in_time = std::partition_point(
        due.begin(), due.end(), [steady_ns](const time::DueUser& one) { return steady_ns - one.due_ns > kLateAfterNs; });
    context_.answers.CountSent(context_.answers.PhaseOfSegment(segment), n, static_cast<size_t>(in_time - due.begin()));
    left -= n;
  }
  gateway.next_send_ns = now_ns;  // this turn's share was used up: go on at once
}

void GatewayCarrier::SendAtMaxRate(Gateway& gateway, net::Replies& out) {
  const uint32_t segment = context_.schedule.IndexAt(context_.clock.steady_ns());
  if (segment == time::Schedule::kNone || context_.schedule.segment(segment).qps == 0) {
    return;
  }
  const GatewayWindow& window = gateway.window();
  const size_t n = std::min<uint64_t>(gateway.RoomFor(out, window), gateway.quota());
  const size_t enough = std::min<uint64_t>({kMaxRateBatchMin, (window.capacity() + 7) / 8, gateway.quota()});
  if (n == 0 || (n < enough && window.in_flight() > 0)) {
    return;
  }
  gateway.SendNext(out, n, context_.clock.wall_ns(), context_.now_ns);
  context_.answers.CountSent(context_.answers.PhaseOfSegment(segment), n, 0);
}

// Gives up what is due before `steady_ns`: for a gateway that the server does not take, and at the end; then it is
// known how late it is.
void GatewayCarrier::MissUntil(Gateway& gateway, int64_t steady_ns, Counter why) {
  time::Walker& walker = gateway.walker();
  while (walker.next_due_ns() < steady_ns) {
    // Second by second, as a second belongs to one phase.
    PhaseTally& phase = context_.answers.PhaseOfSegment(walker.next().segment);
    const int64_t due_ns = walker.next_due_ns();
    const int64_t end_ns = std::min(steady_ns, (time::UnixSecond(due_ns) + 1) * time::kNsPerSecond);
    const uint64_t missed = walker.SkipTo(end_ns);
    context_.answers.CountMissed(phase, missed, why);
    if (context_.stopping) {
      const int64_t middle_ns = due_ns + (end_ns - due_ns) / 2;
      for (uint64_t sample = 0; sample < missed; sample += GatewayWindow::kSampleEvery) {
        context_.answers.RecordLateness(phase, steady_ns - middle_ns, -1);
      }
      AddOwn(context_.tally.missed_timed, missed);
    }
  }
}

void GatewayCarrier::StopSending() {
  for (Gateway& gateway : gateways_) {  // due, and never sent now: that shall be seen
    MissUntil(gateway, context_.clock.SteadyAt(context_.now_ns), Counter::kMissedBacklog);
  }
}

void GatewayCarrier::EndTurn() {
  NoteSentAll();
  AskStatements();
}

void GatewayCarrier::NoteSentAll() {
  const FleetOptions& options = context_.options;
  // Relaxed: only this thread stores it.
  if (!options.limited || !planned_ || context_.tally.sent_all.load(std::memory_order_relaxed)) {
    return;
  }
  const bool all = std::all_of(gateways_.begin(), gateways_.end(), [&options](Gateway& gateway) {
    return options.max_rate ? gateway.quota() == 0 || gateway.state == MemberState::kBarred
                            : gateway.walker().next_due_ns() == time::kNever;
  });
  if (all) {
    context_.tally.sent_all.store(true, std::memory_order_release);  // whoever sees it also sees all sends counted
  }
}

int64_t GatewayCarrier::NextTurnNs() {
  int64_t next_ns = time::kNever;
  for (Gateway& gateway : gateways_) {
    if (gateway.state == MemberState::kOnline && !context_.stopping) {
      next_ns = std::min(next_ns, NextSendNs(gateway));
    }
  }
  return next_ns;
}

// When the gateway wants to send by itself. What waits for room, in the window or in the socket, waits for a
// completion.
int64_t GatewayCarrier::NextSendNs(Gateway& gateway) {
  net::Connection* const connection = context_.Find(gateway);
  if (context_.options.max_rate || connection == nullptr || gateway.walker().next_due_ns() == time::kNever ||
      gateway.RoomFor(context_.Out(gateway, *connection), gateway.window()) == 0) {
    return time::kNever;
  }
  const int64_t now_ns = context_.now_ns, due_ns = context_.clock.Monotonic(gateway.walker().next_due_ns());
  return due_ns <= now_ns ? std::max(gateway.next_send_ns, now_ns) : std::max(due_ns, now_ns + context_.options.send_quantum_ns);
}

// ---- the session ----

bool GatewayCarrier::LetIn(net::Port& port, net::Connection& connection) {
  if (port.MakeBulk(connection)) {
    return true;
  }
  // Its place is still taken by the one before, which the kernel has not let go yet.
  port.Close(connection, net::CloseReason::kFull);
  return false;
}

int64_t GatewayCarrier::WaitedNs(Gateway& gateway) {
  if (!gateway.logged_in() || !gateway.Waits()) {
    gateway.idle_ns = context_.now_ns;
  }
  return context_.now_ns - gateway.idle_ns;
}

// ---- requests in flight ----

// The hot path: the answers at the start of `in` that say "nothing" to the oldest requests, one after the other.
// Returns how many bytes they are. What they have in common is counted once.
size_t GatewayCarrier::TakeNothings(Gateway& gateway, absl::Span<const std::byte> in) {
  GatewayWindow& window = gateway.window();
  const GatewayRequest* const oldest = window.oldest();
  // After a change of the rate the last ones of the phase before are looked at one by one.
  if (gateway.state != MemberState::kOnline || oldest == nullptr || !context_.answers.DueInNewest(DueOf(gateway, *oldest))) {
    return 0;
  }
  PhaseTally& phase = context_.answers.newest_phase();
  const std::byte* const answers = in.data();
  const size_t taken = window.TakeInOrder(
      in.size() / kShakeResponseBytes,
      [answers](size_t i, const GatewayRequest& request) { return IsNothing(answers + i * kShakeResponseBytes, request); },
      [this, &gateway, &phase](const GatewayAnswered& answered) {
        context_.answers.RecordLatency(phase, Finished(gateway, answered), /*won=*/false, context_.now_ns);
      });
  context_.answers.CountNothings(phase, taken);
  return taken * kShakeResponseBytes;
}

FinishedRequest GatewayCarrier::Finished(const Gateway& gateway, const GatewayAnswered& answered) const {
  const GatewayRequest& request = answered.request;
  const int64_t due_ns = DueOf(gateway, request);
  return {.stamp = request.stamp,
          .user = request.user,
          .timed = request.sample(),
          .due_ns = due_ns,
          .due_monotonic_ns = context_.clock.DueMonotonic(due_ns, gateway.BeforeStep(request)),
          .sent_ns = answered.sent_ns};
}

Match GatewayCarrier::TakeShake(Gateway& gateway, uint64_t stamp, uint32_t id, FinishedRequest& shake) {
  GatewayAnswered answered;
  if (!gateway.window().Take(stamp, id, answered)) {
    return NotInFlight(gateway, stamp);
  }
  shake = Finished(gateway, answered);
  return Match::kFound;
}

bool GatewayCarrier::GiveUpShake(Gateway& gateway, FinishedRequest& shake) {
  GatewayAnswered given_up;
  if (!gateway.window().GiveUpOldest(given_up.request)) {
    return false;
  }
  shake = Finished(gateway, given_up);
  // When it was sent the window does not know any more: not before its stamp.
  shake.sent_ns = shake.due_monotonic_ns + static_cast<int64_t>(shake.stamp) - given_up.request.due_ns();
  return true;
}

// ---- gifts ----

bool GatewayCarrier::HoldsOpen(const Gateway& gateway, uint32_t id, uint32_t envelope_id) {
  return std::any_of(gateway.opens.begin(), gateway.opens.end(),
                     [=](const GatewayOpen& one) { return one.user == id && one.envelope_id == envelope_id; });
}

void GatewayCarrier::Open(Gateway& gateway, uint32_t id, uint32_t envelope_id, net::Replies&) {
  const uint64_t stamp = NextStamp(gateway, context_.WallNs());
  gateway.opens.push_back({.stamp = stamp, .user = id, .envelope_id = envelope_id});
}

Match GatewayCarrier::TakeOpen(Gateway& gateway, uint64_t stamp, uint32_t id, uint32_t envelope_id, FinishedRequest& open) {
  open = {.stamp = stamp, .user = id};
  return gateway.TakeOpen(stamp, id, envelope_id) ? Match::kFound : NotInFlight(gateway, stamp);
}

// ---- statements ----

// A gateway's login does not say who has a history, so every user's base is asked before the first request: nothing of
// ours can be in it, over however many connections it comes.
void GatewayCarrier::AskSome(Gateway& gateway, net::Replies& out) {
  const uint64_t left = gateway.first_user() + uint64_t{gateway.user_count()} - gateway.next_statement;
  const size_t n = std::min<uint64_t>(gateway.RoomFor(out, gateway.statements()), left);
  if (n > 0) {
    gateway.AskStatements(out, n, context_.WallNs(), context_.now_ns);
    context_.cells.Add(Counter::kStatementsAsked, context_.asking ? n : 0);
  }
}

// At the end of a run: everyone in turn. An account can be compared when it does not move any more and its base is
// known.
void GatewayCarrier::StartAsking() {
  for (Gateway& gateway : gateways_) {
    gateway.GiveUpStatements();  // bases that have not come yet
    gateway.next_statement = gateway.first_user();
    if (!gateway.has_bases || gateway.state == MemberState::kBarred || gateway.window().in_flight() > 0 ||
        !gateway.opens.empty()) {
      SkipStatements(gateway);
    }
  }
}

void GatewayCarrier::AskStatements() {
  if (!context_.asking) {
    return;
  }
  bool done = true;
  for (Gateway& gateway : gateways_) {
    if (!gateway.AllAsked() && gateway.state == MemberState::kOnline && gateway.statements().to_repeat() == 0) {
      if (net::Connection* const connection = context_.Find(gateway); connection != nullptr) {
        net::Replies out = context_.Out(gateway, *connection);
        AskSome(gateway, out);
      }
    }
    if (gateway.state == MemberState::kBarred) {
      SkipStatements(gateway);  // by now: the server has come back as another
    }
    done = done && gateway.AllAsked() && gateway.statements().in_flight() == 0;
  }
  if (done) {
    context_.EndStatements();
  }
}

// A user that has not been asked, or has not answered, is not compared.
void GatewayCarrier::SkipStatements(Gateway& gateway) {
  const uint64_t end = gateway.first_user() + uint64_t{gateway.user_count()};
  context_.cells.Add(Counter::kStatementsSkipped, end - gateway.next_statement + gateway.GiveUpStatements());
  gateway.next_statement = end;
}

void GatewayCarrier::AbandonStatements() {
  for (Gateway& gateway : gateways_) {
    SkipStatements(gateway);
  }
}

Match GatewayCarrier::TakeStatement(Gateway& gateway, const wire::Statement& answer, bool& is_base) {
  is_base = gateway.state == MemberState::kBases;
  GatewayAnswered answered;
  return gateway.statements().Take(answer.stamp, answer.user_id, answered) ? Match::kFound : NotInFlight(gateway, answer.stamp);
}

template class Fleet<GatewayCarrier>;

}  // namespace hongbao::load
