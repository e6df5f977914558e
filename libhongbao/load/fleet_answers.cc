// Fleet's answers: what comes from the server, and what is booked for it. See fleet.cc for the sending side.
#include <algorithm>

#include "libhongbao/load/fleet.h"
#include "libhongbao/net/application.h"

namespace hongbao::load {
namespace {

using net::kMalformed;
using time::kNsPerSecond;

}  // namespace

size_t Fleet::OnBytes(net::Port& port, net::Connection& connection, absl::Span<const std::byte> in, net::Replies& out) {
  now_ns_ = clock_.MonotonicNs();
  silence_.Heard(now_ns_);
  User& user = UserOf(port, connection.slot);
  size_t consumed = 0;
  while (consumed < in.size()) {
    const wire::Peeked peeked = wire::Peek(in.subspan(consumed), wire::Side::kClient, options_.version);
    if (peeked.framing == wire::Framing::kPartial) {
      break;
    }
    const bool taken = peeked.framing != wire::Framing::kMalformed &&
                       OnFrame(port, connection, user, peeked.type, in.subspan(consumed, peeked.length), out);
    if (!taken) {
      cells_.Add(Counter::kMalformed, peeked.framing == wire::Framing::kMalformed ? 1 : 0);
      if (user.state == UserState::kLoggingIn) {
        books_.CountGarbled(in.subspan(consumed));
      }
      return kMalformed;
    }
    consumed += peeked.length;
    if (connection.state != net::ConnectionState::kOpen) {
      break;  // refused above: what follows is nobody's
    }
  }
  return consumed;
}

// False: counted, close the connection.
bool Fleet::OnFrame(net::Port& port, net::Connection& connection, User& user, wire::FrameType type,
                    wire::FrameBytes frame, net::Replies& out) {
  if (user.state == UserState::kBarred) {
    return true;  // is being closed
  }
  const bool online = user.state == UserState::kOnline;
  if (online && type == wire::FrameType::kShakeResponse) [[likely]] {
    return OnShakeAnswer(user, frame);
  }
  if (online && type == wire::FrameType::kGiftNotice) {
    return OnNotice(user, frame, out);
  }
  if (online && type == wire::FrameType::kOpenResponse) {
    return OnOpenAnswer(user, frame);
  }
  if (online && type == wire::FrameType::kStatement) {
    return OnStatement(user, frame);
  }
  if (user.state == UserState::kLoggingIn && type == wire::FrameType::kLoginResponse) {
    return OnLogin(port, connection, user, frame, out);
  }
  if (online && type == wire::FrameType::kLoginResponse) {
    return OnSuperseded(user, frame);
  }
  return Refuse(Counter::kUnexpected);
}

bool Fleet::OnLogin(net::Port& port, net::Connection& connection, User& user, wire::FrameBytes frame,
                    net::Replies& out) {
  wire::LoginResponse answer;
  if (wire::DecodeLoginResponse(frame, options_.version, answer) != wire::Decoded::kOk) {
    return Refuse(Counter::kMalformed);
  }
  if (answer.first_user != UserIdOf(user) || answer.result == wire::LoginResult::kSuperseded) {
    return Refuse(Counter::kUnexpected);
  }
  if (v2() && answer.stamp != user.last_stamp) {  // nothing is sent between a login and its answer
    return Refuse(Counter::kStampMismatch);
  }
  if (answer.result != wire::LoginResult::kOk) {
    return RefuseLogin(port, connection, user, answer.result);
  }
  if (v2()) {
    const int64_t wall_ns = clock_.WallAt(now_ns_);
    skew_.Add(static_cast<int64_t>(answer.stamp), wall_ns, static_cast<int64_t>(answer.server_unix_ns));
    if (!IsCredible(answer, user.last_stamp, wall_ns)) {
      return Refuse(Counter::kUnexpected);
    }
    user.last_stamp = std::max(user.last_stamp, answer.last_stamp);
  }
  const bool first_session = !user.seen_online;
  Enter(user);
  AskBase(user, first_session, answer.last_stamp, out);
  SendAgain(user, out);
  return true;
}

// The server closes the connection after it.
bool Fleet::OnSuperseded(const User& user, wire::FrameBytes frame) {
  wire::LoginResponse answer;
  if (!v2() || wire::DecodeLoginResponse(frame, options_.version, answer) != wire::Decoded::kOk ||
      answer.result != wire::LoginResult::kSuperseded || answer.first_user != UserIdOf(user)) {
    return Refuse(Counter::kUnexpected);
  }
  cells_.Add(Counter::kSuperseded);
  return true;
}

bool Fleet::RefuseLogin(net::Port& port, net::Connection& connection, User& user, wire::LoginResult why) {
  books_.CountLoginRefused(why);
  user.closed_idle = false;
  if (why != wire::LoginResult::kFullOrDraining) {
    LeaveLogin(user);
    user.state = UserState::kBarred;  // asking again would not change it
    cells_.Add(Counter::kBarred);
    if (!user.seen_online) {
      ++settled_;
      CountFirstOnline(now_ns_);
    }
  }
  port.Close(connection, net::CloseReason::kRefused);
  return true;
}

// A session begins.
void Fleet::Enter(User& user) {
  LeaveLogin(user);
  user.state = UserState::kOnline;
  user.failures = 0;
  cells_.Add(Counter::kClosedIdle, user.closed_idle ? 1 : 0);
  user.closed_idle = false;
  user.next = MillisecondsOf(now_ns_);
  // v1: thrown out, and let in again at once: not by a server that went away.
  cells_.Add(Counter::kSuperseded, user.ended_young ? 1 : 0);
  user.ended_young = false;
  cells_.Add(Counter::kLogins);
  cells_.Add(Counter::kOnline);
  if (!user.seen_online) {
    user.seen_online = true;
    cells_.Add(Counter::kEstablished);
    ++settled_;
    CountFirstOnline(now_ns_);
  }
}

// What the connection before has left unanswered (in v1: opens). The stamp stays, it is the request's identity; but v1's
// is only the time.
void Fleet::SendAgain(User& user, net::Replies& out) {
  for (uint32_t index = user.requests.first; index != kNoRequest; index = in_flight_[index].next) {
    InFlightRequest& request = in_flight_[index];
    if (!v2()) {
      request.stamp = Stamp(user, clock_.WallAt(now_ns_));
    }
    if (request.envelope_id == 0) {
      SendShakeFrame(user, request.stamp, out);
      cells_.Add(Counter::kShakesRepeated);
    } else {
      SendOpen(user, request.envelope_id, request.stamp, out);
      cells_.Add(Counter::kOpensRepeated);
    }
  }
}

// v2: by the stamp. One that is not in flight but was used has been answered before (a repeated request, or the outcomes
// that a server sends again after a login): one copy per stamp counts. v1: by order and envelope.
Fleet::Match Fleet::TakeAnswered(User& user, uint64_t stamp, uint32_t envelope_id, InFlightRequest& request) {
  if (!v2()) {
    const bool found = envelope_id == 0 ? in_flight_.TakeFirstShake(user.requests, request)
                                        : in_flight_.TakeOpen(user.requests, envelope_id, request);
    return found ? Match::kFound : Match::kNone;
  }
  const InFlightRequest* asked = in_flight_.Find(user.requests, stamp);
  if (asked == nullptr) {
    return stamp <= user.last_stamp ? Match::kRepeated : Match::kNone;
  }
  if (asked->envelope_id != envelope_id) {
    return Match::kNone;  // an answer to something else than was asked
  }
  in_flight_.TakeStamp(user.requests, stamp, request);
  return Match::kFound;
}

bool Fleet::OnShakeAnswer(User& user, wire::FrameBytes frame) {
  wire::ShakeResponse answer;
  if (wire::DecodeShakeResponse(frame, answer) != wire::Decoded::kOk) {
    return Refuse(Counter::kMalformed);
  }
  const bool won = answer.result == wire::ShakeResult::kWon;
  // An amount without a win, or a win without one, is no outcome that anybody could book.
  if (!IsUser(answer.user_id, user) || won != (answer.amount_fen != 0) || won != (answer.envelope_id != 0)) {
    return Refuse(Counter::kUnexpected);
  }
  InFlightRequest request;
  const Match match = TakeAnswered(user, answer.stamp, 0, request);
  if (match == Match::kNone) {
    return Refuse(Counter::kUnexpected);  // answers nothing: its money is not counted
  }
  if (match == Match::kRepeated) {
    cells_.Add(Counter::kAnswersRepeated);
    return true;
  }
  --user.outstanding;
  BookShake(user, request, answer);
  return true;
}

void Fleet::BookShake(User& user, const InFlightRequest& request, const wire::ShakeResponse& answer) {
  PhaseTally& phase = books_.PhaseDueAt(request.due_ns);
  books_.CountAnswer(phase, answer);
  const int64_t latency_ns = now_ns_ - clock_.DueMonotonic(request.due_ns, clock_.BeforeStep(request.sent_ns));
  tally_.latency.Record(latency_ns);
  (answer.result == wire::ShakeResult::kWon ? phase.winners : phase.others).Record(latency_ns);
  phase.service.Record(now_ns_ - request.sent_ns);
  if (answer.result == wire::ShakeResult::kWon) {
    BookMoney(user, {request.stamp, UserIdOf(user), answer.envelope_id, answer.amount_fen, MoneyKind::kShake});
  }
}

void Fleet::BookMoney(User& user, const MoneyRecord& money) {
  ++user.grants;
  user.fen += money.fen;
  books_.LogMoney(money);
}

// ---- gifts ----

bool Fleet::OnNotice(User& user, wire::FrameBytes frame, net::Replies& out) {
  wire::GiftNotice notice;
  if (wire::DecodeGiftNotice(frame, options_.version, notice) != wire::Decoded::kOk) {
    return Refuse(Counter::kMalformed);
  }
  if (notice.envelope_id == 0) {
    return Refuse(Counter::kUnexpected);
  }
  cells_.Add(Counter::kNotices);
  const absl::Span<const uint32_t> invited = notice.Users();
  const uint32_t user_id = UserIdOf(user);
  if (std::find(invited.begin(), invited.end(), user_id) == invited.end()) {
    cells_.Add(Counter::kNoticesMisdelivered);
    return true;
  }
  if (in_flight_.HoldsOpen(user.requests, notice.envelope_id)) {
    cells_.Add(Counter::kNoticesRepeated);
    return true;
  }
  if (stopping_ || in_flight_.full() || user.outstanding >= (v2() ? kRequestsPerUserMax : 255)) {
    cells_.Add(Counter::kNoticesNotOpened);
    return true;
  }
  if (user.statement == StatementState::kBaseAsked) {
    user.statement = StatementState::kBaseLost;  // the base may or may not have this gift in it: another worker opens it
  }
  if (!seen_.Insert(user_id, notice.envelope_id)) {
    cells_.Add(Counter::kNoticesRepeated);
    return true;
  }
  const int64_t wall_ns = clock_.WallAt(now_ns_);
  const uint64_t stamp = Stamp(user, wall_ns);
  in_flight_.Append(user.requests,
                    {.due_ns = clock_.SteadyAt(now_ns_), .sent_ns = now_ns_, .stamp = stamp, .envelope_id = notice.envelope_id});
  ++user.outstanding;
  SendOpen(user, notice.envelope_id, stamp, out);
  cells_.Add(Counter::kOpensSent);
  cells_.Add(Counter::kOpensOutstanding);
  return true;
}

bool Fleet::OnOpenAnswer(User& user, wire::FrameBytes frame) {
  wire::OpenResponse answer;
  if (wire::DecodeOpenResponse(frame, options_.version, answer) != wire::Decoded::kOk) {
    return Refuse(Counter::kMalformed);
  }
  if (answer.envelope_id == 0 || (v2() && answer.user_id != UserIdOf(user))) {
    return Refuse(Counter::kUnexpected);
  }
  InFlightRequest request;
  const Match match = TakeAnswered(user, answer.stamp, answer.envelope_id, request);
  if (match == Match::kNone) {
    return Refuse(Counter::kUnexpected);
  }
  if (match == Match::kRepeated) {
    cells_.Add(Counter::kAnswersRepeated);
    return true;
  }
  --user.outstanding;
  books_.CountOpened(answer.amount_fen);
  if (answer.amount_fen != 0) {
    BookMoney(user, {request.stamp, UserIdOf(user), answer.envelope_id, answer.amount_fen, MoneyKind::kOpen});
  }
  return true;
}

uint64_t Fleet::Stamp(User& user, int64_t wall_ns) {
  return v2() ? NextStamp(user, wall_ns) : static_cast<uint64_t>(std::max<int64_t>(wall_ns, 0) / kNsPerSecond);
}

void Fleet::SendShakeFrame(User& user, uint64_t stamp, net::Replies& out) {
  wire::EncodeShakeRequest(out.Append(wire::kShakeRequestBytes), {.stamp = stamp, .user_id = UserIdOf(user)});
}

void Fleet::SendOpen(User& user, uint32_t envelope_id, uint64_t stamp, net::Replies& out) {
  wire::EncodeOpenRequest(
      out.Append(wire::kOpenRequestBytes),
      {.stamp = stamp,
       .user_id = v2() ? UserIdOf(user) : 0,  // v1: 0 means "me"
       .envelope_id = envelope_id});
}

}  // namespace hongbao::load
