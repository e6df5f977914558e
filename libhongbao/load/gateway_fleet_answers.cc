// GatewayFleet's answers: what comes from the server, and what is booked for it. See gateway_fleet.cc for the sending
// side.
#include <algorithm>
#include <utility>

#include "libhongbao/load/gateway_fleet.h"
#include "libhongbao/net/application.h"

namespace hongbao::load {
namespace {

using net::kMalformed;
using time::kNsPerSecond;
using wire::kShakeResponseBytes;

// Whether the frame at `at` is the answer "nothing" to `request`.
inline bool IsNothing(const std::byte* at, const GatewayRequest& request) {
  return wire::LoadU32(at) == wire::Head(wire::FrameType::kShakeResponse, kShakeResponseBytes) &&
         wire::LoadU64(at + 4) == request.stamp && wire::LoadU32(at + 12) == request.user &&
         wire::LoadU32(at + 16) == static_cast<uint32_t>(wire::ShakeResult::kNothing) &&
         wire::LoadU64(at + 20) == 0;  // no envelope, no amount
}

}  // namespace

size_t GatewayFleet::OnBytes(net::Port& port, net::Connection& connection, absl::Span<const std::byte> in,
                             net::Replies&) {
  now_ns_ = clock_.MonotonicNs();
  silence_.Heard(now_ns_);
  Gateway& gateway = GatewayOf(port, connection.slot);
  size_t consumed = 0;
  while (consumed < in.size()) {
    consumed += TakeNothings(gateway, in.subspan(consumed));
    const wire::Peeked peeked = wire::Peek(in.subspan(consumed), wire::Side::kClient, wire::Version::k2);
    if (peeked.framing == wire::Framing::kPartial) {
      break;
    }
    const bool taken = peeked.framing != wire::Framing::kMalformed &&
                       OnFrame(port, connection, gateway, peeked.type, in.subspan(consumed, peeked.length));
    if (!taken) {
      cells_.Add(Counter::kMalformed, peeked.framing == wire::Framing::kMalformed ? 1 : 0);
      if (gateway.state == GatewayState::kLoggingIn) {
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

// The hot path: the answers at the start of `in` that say "nothing" to the oldest requests, one after the other.
// Returns how many bytes they are. What they have in common is counted once.
size_t GatewayFleet::TakeNothings(Gateway& gateway, absl::Span<const std::byte> in) {
  GatewayWindow& window = gateway.window();
  const GatewayRequest* const oldest = window.oldest();
  // After a change of the rate the last ones of the phase before are looked at one by one.
  if (gateway.state != GatewayState::kOnline || oldest == nullptr || !books_.DueInNewest(DueOf(gateway, *oldest))) {
    return 0;
  }
  PhaseTally& phase = books_.newest_phase();
  const std::byte* const answers = in.data();
  const size_t taken = window.TakeInOrder(
      in.size() / kShakeResponseBytes,
      [answers](size_t i, const GatewayRequest& request) {
        return IsNothing(answers + i * kShakeResponseBytes, request);
      },
      [this, &gateway, &phase](const GatewayAnswered& answered) { RecordLatency(gateway, phase, answered, /*won=*/false); });
  cells_.Add(Counter::kAnswered, taken);
  cells_.Subtract(Counter::kOutstanding, taken);
  cells_.Add(Counter::kNothing, taken);
  phase.cells.Add(PhaseCounter::kAnswered, taken);
  return taken * kShakeResponseBytes;
}

void GatewayFleet::RecordLatency(const Gateway& gateway, PhaseTally& phase, const GatewayAnswered& answered, bool won) {
  if (!answered.request.sample()) {
    return;
  }
  const int64_t due_ns = clock_.DueMonotonic(DueOf(gateway, answered.request), gateway.BeforeStep(answered.request));
  const int64_t latency_ns = now_ns_ - due_ns;
  tally_.latency.Record(latency_ns);
  (won ? phase.winners : phase.others).Record(latency_ns);
  if (answered.sent_ns != 0) {
    phase.service.Record(now_ns_ - answered.sent_ns);
  }
}

// False: counted, close the connection.
bool GatewayFleet::OnFrame(net::Port& port, net::Connection& connection, Gateway& gateway, wire::FrameType type,
                           wire::FrameBytes frame) {
  if (gateway.state == GatewayState::kBarred) {
    return true;  // is being closed
  }
  const bool logged_in = gateway.state == GatewayState::kOnline || gateway.state == GatewayState::kBases;
  if (logged_in && type == wire::FrameType::kShakeResponse) [[likely]] {
    return OnShakeAnswer(gateway, frame);
  }
  if (logged_in && type == wire::FrameType::kStatement) {
    return OnStatement(gateway, frame);
  }
  if (logged_in && type == wire::FrameType::kGiftNotice) {
    return OnNotice(gateway, frame);
  }
  if (logged_in && type == wire::FrameType::kOpenResponse) {
    return OnOpenAnswer(gateway, frame);
  }
  if (gateway.state == GatewayState::kLoggingIn && type == wire::FrameType::kLoginResponse) {
    return OnLogin(port, connection, gateway, frame);
  }
  if (logged_in && type == wire::FrameType::kLoginResponse) {
    return OnSuperseded(gateway, frame);
  }
  return Refuse(Counter::kUnexpected);
}

// ---- the session ----

bool GatewayFleet::OnLogin(net::Port& port, net::Connection& connection, Gateway& gateway, wire::FrameBytes frame) {
  wire::LoginResponse answer;
  if (wire::DecodeLoginResponse(frame, wire::Version::k2, answer) != wire::Decoded::kOk) {
    return Refuse(Counter::kMalformed);
  }
  if (answer.first_user != gateway.first_user() || answer.result == wire::LoginResult::kSuperseded) {
    return Refuse(Counter::kUnexpected);
  }
  if (answer.stamp != gateway.login_stamp) {
    return Refuse(Counter::kStampMismatch);
  }
  if (answer.result != wire::LoginResult::kOk) {
    RefuseLogin(port, connection, gateway, answer.result);
    return true;
  }
  const int64_t wall_ns = WallNs();
  skew_.Add(static_cast<int64_t>(answer.stamp), wall_ns, static_cast<int64_t>(answer.server_unix_ns));
  if (!IsCredible(answer, gateway.last_stamp(), wall_ns)) {
    return Refuse(Counter::kUnexpected);
  }
  if (!port.MakeBulk(connection)) {
    // Its place is still taken by the one before, which the kernel has not let go yet.
    port.Close(connection, net::CloseReason::kFull);
    return true;
  }
  gateway.LoggedIn(answer.last_stamp);
  cells_.Add(Counter::kClosedIdle, std::exchange(gateway.closed_idle, false) ? 1 : 0);
  cells_.Add(Counter::kLogins);
  if (options_.statements && !gateway.has_bases) {
    gateway.state = GatewayState::kBases;
  } else {
    Enter(gateway);
  }
  return true;
}

// The server closes the connection after it.
bool GatewayFleet::OnSuperseded(const Gateway& gateway, wire::FrameBytes frame) {
  wire::LoginResponse answer;
  if (wire::DecodeLoginResponse(frame, wire::Version::k2, answer) != wire::Decoded::kOk ||
      answer.result != wire::LoginResult::kSuperseded || answer.first_user != gateway.first_user()) {
    return Refuse(Counter::kUnexpected);
  }
  cells_.Add(Counter::kSuperseded);
  return true;
}

void GatewayFleet::RefuseLogin(net::Port& port, net::Connection& connection, Gateway& gateway, wire::LoginResult why) {
  books_.CountLoginRefused(why);
  gateway.closed_idle = false;
  if (why != wire::LoginResult::kFullOrDraining) {
    gateway.state = GatewayState::kBarred;  // asking again would not change it
    cells_.Add(Counter::kBarred, gateway.user_count());
    if (!gateway.seen_online) {
      ++settled_;
      CountFirstOnline(now_ns_);
    }
  }
  port.Close(connection, net::CloseReason::kRefused);
}

// The gateway may send.
void GatewayFleet::Enter(Gateway& gateway) {
  gateway.state = GatewayState::kOnline;
  gateway.has_bases = true;
  gateway.failures = 0;
  cells_.Add(Counter::kOnline, gateway.user_count());
  if (!gateway.seen_online) {
    gateway.seen_online = true;
    cells_.Add(Counter::kEstablished, gateway.user_count());
    ++settled_;
    CountFirstOnline(now_ns_);
  }
}

// ---- shakes ----

bool GatewayFleet::MayRepeat(const Gateway& gateway, uint64_t stamp) {
  if (!gateway.MayRepeat(stamp)) {
    return Refuse(Counter::kUnexpected);  // answers nothing: its money is not counted
  }
  cells_.Add(Counter::kAnswersRepeated);
  return true;
}

bool GatewayFleet::OnShakeAnswer(Gateway& gateway, wire::FrameBytes frame) {
  wire::ShakeResponse answer;
  if (wire::DecodeShakeResponse(frame, answer) != wire::Decoded::kOk) {
    return Refuse(Counter::kMalformed);
  }
  const bool won = answer.result == wire::ShakeResult::kWon;
  // An amount without a win, or a win without one, is no outcome that anybody could book.
  if (!gateway.owns(answer.user_id) || won != (answer.amount_fen != 0) || won != (answer.envelope_id != 0)) {
    return Refuse(Counter::kUnexpected);
  }
  GatewayAnswered answered;
  if (!gateway.window().Take(answer.stamp, answer.user_id, answered)) {
    return MayRepeat(gateway, answer.stamp);
  }
  BookShake(gateway, answered, answer);
  return true;
}

void GatewayFleet::BookShake(const Gateway& gateway, const GatewayAnswered& answered, const wire::ShakeResponse& answer) {
  PhaseTally& phase = books_.PhaseDueAt(DueOf(gateway, answered.request));
  books_.CountAnswer(phase, answer);
  RecordLatency(gateway, phase, answered, answer.result == wire::ShakeResult::kWon);
  if (answer.result == wire::ShakeResult::kWon) {
    BookMoney({answer.stamp, answer.user_id, answer.envelope_id, answer.amount_fen, MoneyKind::kShake});
  }
}

void GatewayFleet::BookMoney(const MoneyRecord& money) {
  Account& account = AccountOf(money.user);
  ++account.grants;
  account.fen += money.fen;
  books_.LogMoney(money);
}

// ---- gifts ----

// One notice may invite several users of the gateway: it counts once for each.
bool GatewayFleet::OnNotice(Gateway& gateway, wire::FrameBytes frame) {
  wire::GiftNotice notice;
  if (wire::DecodeGiftNotice(frame, wire::Version::k2, notice) != wire::Decoded::kOk) {
    return Refuse(Counter::kMalformed);
  }
  if (notice.envelope_id == 0) {
    return Refuse(Counter::kUnexpected);
  }
  bool any = false;
  for (const uint32_t user : notice.Users()) {
    if (gateway.owns(user)) {
      any = true;
      cells_.Add(Counter::kNotices);
      cells_.Add(OpenFor(gateway, user, notice.envelope_id));
    }
  }
  if (!any) {
    cells_.Add(Counter::kNotices);
    cells_.Add(Counter::kNoticesMisdelivered);
  }
  return true;
}

// Returns what became of the notice. The open leaves with the turn, once the users' bases are known: whether a share
// that is opened before is in its user's base nobody could tell.
Counter GatewayFleet::OpenFor(Gateway& gateway, uint32_t user, uint32_t envelope_id) {
  const bool open = std::any_of(gateway.opens.begin(), gateway.opens.end(), [=](const GatewayOpen& one) {
    return one.user == user && one.envelope_id == envelope_id;
  });
  if (!open && (stopping_ || gateway.opens.size() == kGatewayOpensMax)) {
    return Counter::kNoticesNotOpened;
  }
  if (open || !seen_.Insert(user, envelope_id)) {
    return Counter::kNoticesRepeated;
  }
  gateway.opens.push_back({.stamp = gateway.NextStamp(WallNs()), .user = user, .envelope_id = envelope_id});
  cells_.Add(Counter::kOpensOutstanding);
  return Counter::kOpensSent;
}

void GatewayFleet::SendOpens(Gateway& gateway, net::Replies& out) {
  for (; gateway.opens_sent < gateway.opens.size() && out.Room() >= wire::kOpenRequestBytes; ++gateway.opens_sent) {
    GatewayOpen& open = gateway.opens[gateway.opens_sent];
    wire::EncodeOpenRequest(out.Append(wire::kOpenRequestBytes),
                            {.stamp = open.stamp, .user_id = open.user, .envelope_id = open.envelope_id});
    cells_.Add(Counter::kOpensRepeated, open.sent ? 1 : 0);
    open.sent = true;
  }
}

bool GatewayFleet::OnOpenAnswer(Gateway& gateway, wire::FrameBytes frame) {
  wire::OpenResponse answer;
  if (wire::DecodeOpenResponse(frame, wire::Version::k2, answer) != wire::Decoded::kOk) {
    return Refuse(Counter::kMalformed);
  }
  if (answer.envelope_id == 0 || !gateway.owns(answer.user_id)) {
    return Refuse(Counter::kUnexpected);
  }
  if (!gateway.TakeOpen(answer.stamp, answer.user_id, answer.envelope_id)) {
    return MayRepeat(gateway, answer.stamp);
  }
  books_.CountOpened(answer.amount_fen);
  if (answer.amount_fen != 0) {
    BookMoney({answer.stamp, answer.user_id, answer.envelope_id, answer.amount_fen, MoneyKind::kOpen});
  }
  return true;
}

}  // namespace hongbao::load
