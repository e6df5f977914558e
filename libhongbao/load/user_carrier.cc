#include "libhongbao/load/user_carrier.h"

#include "libhongbao/load/fleet_impl.h"
#include "libhongbao/time/permutation.h"

namespace hongbao::load {
namespace {

constexpr int kSendsPerTurnMax = 4'096;  // answers are read in between, even after a stall
// Two clients of the same users come back within a fraction of it, time and again.
constexpr uint32_t kYoungMs = 1'000;
// Answers are read in between, and a server that is slow is asked slowly.
constexpr int kStatementsPerTurnMax = 256;
constexpr uint32_t kStatementsOutMax = 1'024;

}  // namespace

UserCarrier::UserCarrier(FleetContext& context)
    : context_(context),
      first_user_(static_cast<uint32_t>(context.options.own.first)),
      users_(context.options.own.size(), net::Pages::kHuge),
      in_flight_(context.options.in_flight_max),
      walker_(context.schedule, time::Permutation(context.options.total_users), context.options.own, context.clock.steady_ns()) {
  std::fill_n(users_.data(), users_.size(), User());
}

// ---- sending ----

void UserCarrier::Send(int64_t until_ns, int64_t steady_ns) {
  time::Due due;
  for (int i = 0; !context_.stopping && i < kSendsPerTurnMax && walker_.NextDue(until_ns, due); ++i) {
    SendShake(due, steady_ns);
  }
}

void UserCarrier::SendShake(const time::Due& due, int64_t steady_ns) {
  PhaseTally& phase = context_.answers.PhaseOfSegment(due.segment);
  User& user = users_[due.user - first_user_];
  const int64_t lateness_ns = steady_ns - due.due_ns;
  Counter missed = Counter::kCount;
  net::Connection* connection = nullptr;
  if (lateness_ns > context_.options.late_max_ns) {
    missed = Counter::kMissedLate;
  } else if (user.state != MemberState::kOnline || (connection = context_.Find(user)) == nullptr) {
    missed = Counter::kMissedOffline;
  } else if (user.outstanding >= kOutstandingPerUserMax || in_flight_.full()) {
    missed = Counter::kMissedBacklog;
  }
  if (missed != Counter::kCount) {
    context_.answers.CountMissed(phase, 1, missed);
    context_.tally.waiting.Record((context_.second + 1) * time::kNsPerSecond - due.due_ns);
    return;
  }
  const uint64_t stamp = context_.NextStamp(user, context_.clock.Agreed(due.due_ns));
  in_flight_.Append(user.requests, {.due_ns = due.due_ns, .sent_ns = context_.now_ns, .stamp = stamp});
  ++user.outstanding;
  net::Replies out = context_.Out(user, *connection);
  SendFrame(user, stamp, 0, out);
  context_.answers.CountSent(phase, 1, lateness_ns > kLateAfterNs ? 1 : 0);
  context_.tally.lag.Record(lateness_ns);
}

// `envelope_id`: of an open; 0 = a shake.
void UserCarrier::SendFrame(const User& user, uint64_t stamp, uint32_t envelope_id, net::Replies& out) const {
  const uint32_t id = FirstUser(user);
  if (envelope_id == 0) {
    wire::EncodeShakeRequest(out.Append(wire::kShakeRequestBytes), {.stamp = stamp, .user_id = id});
    return;
  }
  wire::EncodeOpenRequest(out.Append(wire::kOpenRequestBytes), {.stamp = stamp,
                                                                .user_id = context_.v2() ? id : 0,  // v1: 0 means "me"
                                                                .envelope_id = envelope_id});
}

int64_t UserCarrier::NextTurnNs() const {
  if (MayAsk()) {
    return context_.now_ns;  // this turn's share of the statements was used up
  }
  if (context_.stopping || walker_.next_due_ns() == time::kNever) {
    return time::kNever;
  }
  const int64_t due_ns = context_.clock.Monotonic(walker_.next_due_ns());
  // Due and not sent: this turn's share was used up, go on at once.
  return due_ns <= context_.now_ns ? context_.now_ns : std::max(due_ns, context_.now_ns + context_.options.send_quantum_ns);
}

// ---- the session ----

// Outcomes are wanted from the oldest request without an answer on; everything before it has been booked. The list is
// in the order of its stamps: they grow, and a request that is repeated keeps its place.
uint64_t UserCarrier::ResumeAfter(const User& user, uint64_t login_stamp) {
  if (!context_.v2()) {
    return 0;
  }
  return Waits(user) ? in_flight_[user.requests.first].stamp - 1 : login_stamp;
}

// A user who got something before this client's time has a base: the statement that is asked right behind the first
// login. A base that was lost with its connection may still be asked while nothing of ours can be in it. Then
// everything is sent again that the connection before has left unanswered (in v1: opens). The stamp stays, as it is the
// request's identity; but v1's is only the time.
void UserCarrier::LoggedIn(User& user, bool has_history, net::Replies& out) {
  const bool never_asked = has_history && user.statement == StatementState::kNone;
  const bool ask_again = user.statement == StatementState::kBaseLost && !Waits(user) && user.grants == 0;
  if (context_.v2() && context_.options.statements && (never_asked || ask_again)) {
    AskStatement(user, StatementState::kBaseAsked, out);
  }
  for (uint32_t index = user.requests.first; index != kNoRequest; index = in_flight_[index].next) {
    InFlightRequest& request = in_flight_[index];
    if (!context_.v2()) {
      request.stamp = context_.NextStamp(user, context_.WallNs());
    }
    SendFrame(user, request.stamp, request.envelope_id, out);
    context_.cells.Add(request.envelope_id == 0 ? Counter::kShakesRepeated : Counter::kOpensRepeated);
  }
}

void UserCarrier::Entered(User& user) {
  user.next = MillisecondsOf(context_.now_ns);
  // v1: thrown out, and let in again at once: not by a server that went away.
  context_.cells.Add(Counter::kSuperseded, user.ended_young ? 1 : 0);
  user.ended_young = false;
}

void UserCarrier::SessionEnded(User& user, net::CloseReason reason) {
  const bool by_server = reason == net::CloseReason::kPeer || reason == net::CloseReason::kReset;
  user.ended_young = !context_.v2() && by_server && MillisecondsOf(context_.now_ns) - user.next < kYoungMs;
}

// The statement that was to come by this connection does not come any more.
void UserCarrier::Disconnected(User& user) {
  if (user.statement == StatementState::kBaseAsked) {
    user.statement = StatementState::kBaseLost;
  } else if (user.statement == StatementState::kAsked) {
    SkipStatement(user);
  }
}

int64_t UserCarrier::WaitedNs(const User& user) {
  return user.state == MemberState::kOnline && Waits(user) ? context_.now_ns - in_flight_[user.requests.first].sent_ns : 0;
}

// ---- requests in flight ----

FinishedRequest UserCarrier::Finished(const User& user, const InFlightRequest& request) const {
  const bool before_step = context_.clock.BeforeStep(request.sent_ns);
  return {.stamp = request.stamp,
          .user = FirstUser(user),
          .due_ns = request.due_ns,
          .due_monotonic_ns = context_.clock.DueMonotonic(request.due_ns, before_step),
          .sent_ns = request.sent_ns};
}

// v2: by the stamp. One that is not in flight but was used has been answered before (a repeated request, or the
// outcomes that a server sends again after a login): one copy per stamp counts. v1: by order and envelope.
Match UserCarrier::Take(User& user, uint64_t stamp, uint32_t envelope_id, FinishedRequest& request) {
  const bool v2 = context_.v2();
  InFlightRequest taken;
  const bool found = v2                 ? in_flight_.TakeStamp(user.requests, stamp, envelope_id, taken)
                     : envelope_id == 0 ? in_flight_.TakeFirstShake(user.requests, taken)
                                        : in_flight_.TakeOpen(user.requests, envelope_id, taken);
  if (!found) {  // one that is in flight asked for something else
    return v2 && stamp <= user.last_stamp && !in_flight_.HoldsStamp(user.requests, stamp) ? Match::kRepeated : Match::kNone;
  }
  --user.outstanding;
  request = Finished(user, taken);
  return Match::kFound;
}

bool UserCarrier::GiveUpShake(User& user, FinishedRequest& shake) {
  InFlightRequest taken;
  if (!in_flight_.TakeFirstShake(user.requests, taken)) {
    return false;
  }
  --user.outstanding;
  shake = Finished(user, taken);
  return true;
}

// ---- gifts ----

// The base may or may not have this gift in it: another worker of the server opens it.
void UserCarrier::NoteGift(User& user) {
  if (user.statement == StatementState::kBaseAsked) {
    user.statement = StatementState::kBaseLost;
  }
}

void UserCarrier::Open(User& user, uint32_t, uint32_t envelope_id, net::Replies& out) {
  const uint64_t stamp = context_.NextStamp(user, context_.WallNs());
  in_flight_.Append(user.requests, {.due_ns = context_.clock.SteadyAt(context_.now_ns),
                                    .sent_ns = context_.now_ns,
                                    .stamp = stamp,
                                    .envelope_id = envelope_id});
  ++user.outstanding;
  SendFrame(user, stamp, envelope_id, out);
}

// ---- statements ----

void UserCarrier::AskStatement(User& user, StatementState awaited, net::Replies& out) {
  const uint64_t stamp = context_.NextStamp(user, context_.WallNs());
  user.statement = awaited;
  user.statement_mark = static_cast<uint32_t>(stamp);
  wire::EncodeStatementRequest(out.Append(wire::kStatementRequestBytes), {.stamp = stamp, .user_id = FirstUser(user)});
}

// At the end of a run: everyone in turn, a few at a time.
void UserCarrier::EndTurn() {
  if (!context_.asking) {
    return;
  }
  for (int i = 0; i < kStatementsPerTurnMax && MayAsk(); ++i) {
    AskLast(users_[next_statement_++]);
  }
  if (next_statement_ == users_.size() && statements_out_ == 0) {
    context_.EndStatements();
  }
}

bool UserCarrier::MayAsk() const {
  return context_.asking && next_statement_ < users_.size() && statements_out_ < kStatementsOutMax;
}

// An account can be compared when it does not move any more and its base is known.
void UserCarrier::AskLast(User& user) {
  const bool comparable = user.state == MemberState::kOnline && user.statement == StatementState::kNone && !Waits(user);
  net::Connection* const connection = comparable ? context_.Find(user) : nullptr;
  if (connection == nullptr) {
    SkipStatement(user);
    return;
  }
  net::Replies out = context_.Out(user, *connection);
  AskStatement(user, StatementState::kAsked, out);
  ++statements_out_;
  context_.cells.Add(Counter::kStatementsAsked);
}

void UserCarrier::SkipStatement(User& user) {
  statements_out_ -= user.statement == StatementState::kAsked ? 1 : 0;
  user.statement = StatementState::kSettled;
  context_.cells.Add(Counter::kStatementsSkipped);
}

void UserCarrier::AbandonStatements() {
  for (User& user : members()) {
    if (user.statement != StatementState::kSettled) {
      SkipStatement(user);
    }
  }
}

Match UserCarrier::TakeStatement(User& user, const wire::Statement& answer, bool& is_base) {
  if (answer.user_id != FirstUser(user) || answer.stamp > user.last_stamp) {
    return Match::kNone;
  }
  is_base = user.statement == StatementState::kBaseAsked;
  if ((!is_base && user.statement != StatementState::kAsked) || user.statement_mark != static_cast<uint32_t>(answer.stamp)) {
    return Match::kRepeated;
  }
  statements_out_ -= is_base ? 0 : 1;
  user.statement = is_base ? StatementState::kNone : StatementState::kSettled;
  return Match::kFound;
}

template class Fleet<UserCarrier>;

}  // namespace hongbao::load
