#include "libhongbao/serve/app.h"

#include <algorithm>
#include <optional>
#include <utility>
#include <variant>

#include "libhongbao/serve/outcome.h"
#include "libhongbao/time/clock.h"
#include "libhongbao/wire/codec.h"

namespace hongbao::serve {
namespace {

// Notices that a gateway's login may cause, in so much time. They come as messages from all workers, so their number is bounded
// by the time and not by what has been sent: even 15 ms of them at once, of the largest kind, have room.
constexpr uint32_t kRemindersAtOnce = 64;
constexpr int64_t kRemindersEveryNs = time::kNsPerMs;
// What is kept of notices without room, 1 MB; beyond, a notice comes with the next login.
constexpr size_t kUnnoticedMax = 65'536;
constexpr size_t kUnnoticedAtOnce = 256;

// net::Replies, with the question that Sessions asks.
class ConnectionReplies : public net::Replies {
 public:
  ConnectionReplies(const net::Replies& replies, const net::Connection& connection)
      : net::Replies(replies), connection_(connection) {}
  bool open() const { return connection_.state == net::ConnectionState::kOpen; }

 private:
  const net::Connection& connection_;
};

// Whether the user's newer session is told when there is one: what a client would otherwise never hear of by itself.
bool OutlivesItsConnection(const ledger::Outcome& outcome) {
  return outcome.has_stamp && !outcome.resumed && outcome.settled != ledger::Settled::kNone &&
         outcome.kind != ledger::RecordKind::kStatement;
}

}  // namespace

App::App(net::WorkerContext<Message>& context, const WorkerOptions& options, Shared& shared, WorkerCounters& counters)
    : context_(context),
      connections_max_(options.connections_max),
      shared_(shared),
      counters_(counters),
      parts_(context.index(), context.workers(), options, shared, context.clock(), counters.cells,
             [this](uint32_t worker, const Message& message) { Post(worker, message); }),
      wall_(shared.wall) {
  Check(context.workers() <= 256 && context.ports().size() <= 256, "an address has 8 bits for worker and port");
  for (const net::Port* port : context.ports()) {
    Check(port->slots() <= Address::kSlotMax, "an address has 24 bits for the slot");
    records_.emplace_back(port->slots());
  }
  RestoreGifts();
}

void App::RestoreGifts() {
  const time::Moment now = wall_.Look();
  // Relaxed: set before the workers start; later a flag that stands for itself.
  clock_confirmed_ = shared_.clock_confirmed.load(std::memory_order_relaxed);
  parts_.gifts.SetFloor(shared_.clock_floor_ns);
  for (const ledger::LiveGift& gift : shared_.gifts) {
    if (OwnerOf(gift.id, context_.workers()) == context_.index()) {
      parts_.gifts.Restore(gift, now.monotonic_ns, now.wall_ns, clock_confirmed_);
    }
  }
}

void App::LookAtTheClock(const time::Moment& now) {
  if (context_.index() == 0 && now.monotonic_ns >= trust_ns_ && shared_.trust.has_value()) {
    trust_ns_ = now.monotonic_ns + time::kNsPerSecond;
    shared_.trust->Look(now);
    shared_.clock_confirmed.store(shared_.trust->confirmed(), std::memory_order_relaxed);
    if (shared_.ledger != nullptr && shared_.trust->confirmed()) {
      shared_.ledger->SawClock(now.wall_ns / time::kNsPerMs);
    }
  }
  // Gifts that have a deadline keep it: it goes by the monotonic clock.
  if (!clock_confirmed_ && shared_.clock_confirmed.load(std::memory_order_relaxed)) {
    clock_confirmed_ = true;
    parts_.gifts.ConfirmClock(now.monotonic_ns, now.wall_ns);
  }
}

void App::OnOpen(net::Port& port, net::Connection& connection) {
  counters_.cells.Add(Counter::kConnectionsOpened);
  const uint32_t before = shared_.connections.Begin();
  // Kept until it logs in, so that it is told why; its login deadline bounds how long that can be.
  records_[port.index()][connection.slot] = Session{.over_limit = before >= connections_max_};
}

size_t App::OnBytes(net::Port& port, net::Connection& connection, absl::Span<const std::byte> in, net::Replies& out) {
  Session& session = records_[port.index()][connection.slot];
  if (parts_.sessions.gateway_logins().Entering(session)) [[unlikely]] {
    return KeepEarly(AddressOf(port, connection), in);
  }
  const bool was_logged_in = session.logged_in;
  ConnectionReplies replies(out, connection);
  const Served served = parts_.sessions.OnBytes(session, AddressOf(port, connection), in, replies);
  port.Owe(connection, parts_.sessions.TakeOwed());
  if (served.close != net::CloseReason::kNone) {
    port.CloseAfterFlush(connection, served.close);  // replies to good frames before a bad one are still owed
  } else if (session.logged_in && !was_logged_in) {
    port.ClearDeadline(connection);
    if (session.is_gateway()) {
      return served.consumed + MeetGateway(port, connection, in.subspan(served.consumed));
    }
  }
  return served.consumed;
}

void App::OnClose(net::Port& port, net::Connection& connection, net::CloseReason) {
  shared_.connections.End([&] {
    counters_.cells.Add(Counter::kConnectionsClosed);
    Session& session = records_[port.index()][connection.slot];
    parts_.sessions.OnClose(session, AddressOf(port, connection));
    session = Session{};
  });
}

int64_t App::OnTurn(int64_t now_ns) {
  const time::Moment now = wall_.Look(now_ns);
  wall_ns_ = now.wall_ns;
  counters_.history.Roll(time::UnixSecond(now.steady_ns), counters_.cells);
  LookAtTheClock(now);
  parts_.sessions.shakes().LimitStamps(shared_.highest_wall.Look(now) + wire::kStampAheadMaxMs * time::kNsPerMs);
  // The time since the start of the turn before, without what the worker slept of it, is how long what comes now may
  // have waited for this thread, whether the thread worked or was not scheduled. What still lies in socket buffers for
  // want of receive buffers has waited longer: the signal is a lower bound then, and above the threshold long before.
  const int64_t wait_ns = turn_ns_ == 0 ? 0 : now_ns - turn_ns_ - context_.slept_ns();
  turn_ns_ = now_ns;
  parts_.overload.BeginTurn(now_ns, wait_ns, time::UnixSecond(wall_ns_) / 3600);
  const bool leaving = parts_.sessions.gateway_logins().BeginTurn();
  if (!newcomers_.empty()) {
    ContinueEntering();
  }
  if (!resumes_.empty()) {
    ContinueResumes();
  }
  if ((!reminders_.empty() || !unnoticed_.empty()) && now_ns >= reminders_ns_) {
    reminders_ns_ = now_ns + kRemindersEveryNs;
    ContinueReminders();
    NoticeAgain();
  }
  if (parts_.gifts.BeginTurn(now_ns, wall_ns_) || leaving || !newcomers_.empty()) {
    return now_ns;
  }
  const int64_t second_ns = time::kNsPerSecond - now.steady_ns % time::kNsPerSecond;  // every second is filed, idle or not
  const bool more = !resumes_.empty() || !reminders_.empty() || !unnoticed_.empty();
  return now_ns + (more ? std::min(second_ns, time::kNsPerMs) : second_ns);
}

void App::OnMessage(const Message& message) {
  std::visit([this](const auto& one) { Handle(one); }, message);
}

void App::Handle(const GatewayMove& move) {
  if (std::optional<Move> moved = shared_.moves.Take(move.ticket)) {
    BeginArrival(*std::move(moved));
  }
}

void App::Handle(const OpenRefused& refused) {
  if (const Peer peer = Find(refused.address)) {
    peer.port.CloseAfterFlush(*peer.connection, net::CloseReason::kSwamped);
  }
}

void App::Handle(const Supersede& supersede) {
  if (const Peer peer = Find(supersede.address)) {
    EndSuperseded(peer);
  }
}

// What it is told is its last frame; v1 has no word for it.
void App::EndSuperseded(const Peer& peer) {
  net::Replies out = peer.port.Out(*peer.connection);
  const size_t bytes = wire::LoginResponseBytes(wire::Version::k2);
  if (peer.session.version == wire::Version::k2 && peer.session.logged_in && out.Room() >= bytes) {
    wire::EncodeLoginResponse(out.Append(bytes), wire::Version::k2,
                              {.first_user = peer.session.user,
                               .result = wire::LoginResult::kSuperseded,
                               .server_unix_ns = static_cast<uint64_t>(context_.clock().WallNs())});
  }
  peer.port.CloseAfterFlush(*peer.connection, net::CloseReason::kSuperseded);
}

void App::Post(uint32_t worker, const Message& message) {
  if (worker == context_.index()) {
    OnMessage(message);
  } else {
    context_.Post(worker, message);
  }
}

App::Peer App::Find(uint64_t packed) {
  const Address address = Unpack(packed);
  net::Port& port = *context_.ports()[address.port];
  return {.port = port,
          .connection = port.Find({.slot = address.slot, .generation = address.generation}),
          .session = SessionOf(address)};
}

// ---- what the ledger has settled ----

void App::Handle(const ForwardedOutcome& forwarded) {
  Tell(forwarded.outcome);
  if (forwarded.pays) {
    Paid(forwarded.outcome.reply_to);
  }
}

void App::Handle(const RecordSettled& settled) {
  const ledger::Outcome& outcome = settled.outcome;
  if (outcome.resumed) {
    if (parts_.sessions.shakes().stamps().IsAhead(outcome.stamp)) {
      return;  // of a server that took such stamps; a peer that keeps to the protocol would not know what it is
    }
    counters_.cells.Add(Counter::kResumed);
    return Tell(outcome);
  }
  parts_.ledger.ReturnCredit(outcome.kind);
  switch (outcome.kind) {
    case ledger::RecordKind::kWin:
      if (outcome.unused_id != 0) {
        shared_.returned.GiveEnvelope({.id = outcome.unused_id, .amount = envelope::Fen(outcome.unused_fen)});
      }
      [[fallthrough]];
    case ledger::RecordKind::kFindWin:
      parts_.sessions.shakes().OnShakeSettled(outcome);
      Tell(outcome);
      return Paid(outcome.reply_to);
    case ledger::RecordKind::kGift:
      parts_.gifts.OnGiftSettled(outcome);
      if (outcome.has_stamp) {  // a user's, not a minted one
        if (outcome.settled != ledger::Settled::kNone) {
          Tell(outcome);
        }
        Paid(outcome.reply_to);
      }
      return;
    case ledger::RecordKind::kFindSend:
      counters_.cells.Add(outcome.settled == ledger::Settled::kNone ? Counter::kSendsOverload : Counter::kSendsRepeated);
      Tell(outcome);
      return Paid(outcome.reply_to);
    case ledger::RecordKind::kOpen:
    case ledger::RecordKind::kFindOpen:
      Forward(outcome, outcome.reply_to, /*pays=*/true);
      return parts_.gifts.OnOpenSettled(outcome);
    case ledger::RecordKind::kStatement:
      Tell(outcome);
      return Paid(outcome.reply_to);
    case ledger::RecordKind::kResume:
      if (outcome.cursor == 0) {
        return Paid(outcome.reply_to, ledger::kResumePage);
      }
      resumes_.push_back(outcome);  // the next page is asked for in the next turn, when the bytes of this one are on their way
      return;
    case ledger::RecordKind::kRefund:
      return;
  }
}

void App::Forward(const ledger::Outcome& outcome, uint64_t address, bool pays) {
  ForwardedOutcome forwarded{.outcome = outcome, .pays = pays};
  forwarded.outcome.reply_to = address;
  Post(Unpack(address).worker, forwarded);
}

void App::Paid(uint64_t packed, uint32_t answers) {
  if (const Peer peer = Find(packed)) {
    peer.port.Paid(*peer.connection, answers);
  }
}

void App::Tell(const ledger::Outcome& outcome) {
  if (OutlivesItsConnection(outcome)) {
    // Also when the older connection is still open: its peer may be long gone, and the resume of the newer one was perhaps
    // answered before this was committed.
    const uint64_t newest = shared_.directory.Find(outcome.user);
    if (newest != kOffline && newest != outcome.reply_to) {
      counters_.cells.Add(Counter::kForwarded);
      return Forward(outcome, newest, /*pays=*/false);
    }
  }
  const Peer peer = Find(outcome.reply_to);
  // A newer session of version 1 has no way to say what has a stamp.
  if (!peer || !parts_.sessions.Owns(peer.session, outcome.user) ||
      (outcome.has_stamp && peer.session.version != wire::Version::k2)) {
    return counters_.cells.Add(Counter::kRepliesLost);
  }
  std::byte* to = peer.port.Out(*peer.connection).Append(OutcomeBytes(outcome, peer.session.version));
  if (peer.connection->state != net::ConnectionState::kOpen) {
    return counters_.cells.Add(Counter::kRepliesLost);
  }
  EncodeOutcome(to, outcome, peer.session.version);
}

void App::ContinueResumes() {
  for (const ledger::Outcome& page : std::exchange(resumes_, {})) {
    const Peer peer = Find(page.reply_to);
    if (!peer) {
      continue;
    }
    if (peer.HasUnsent() || parts_.ledger.swamped()) {
      resumes_.push_back(page);  // it reads slowly: more would only close it
      continue;
    }
    parts_.ledger.Submit({.kind = ledger::RecordKind::kResume,
                          .has_stamp = true,
                          .user = page.user,
                          .stamp = page.stamp,
                          .reply_to = page.reply_to,
                          .cursor = page.cursor});
  }
}

// ---- gateways ----

// A gateway's login has been judged: its users enter, some of them each turn, and it is answered behind the last. Returns how
// much of `rest`, which came behind the login, has been taken.
size_t App::MeetGateway(net::Port& port, net::Connection& connection, absl::Span<const std::byte> rest) {
  const uint64_t address = AddressOf(port, connection);
  if (!port.MakeBulk(connection)) {  // those that are ending still hold their blocks: it shall come again
    RefuseGateway(Find(address), net::CloseReason::kFull);
    return rest.size();
  }
  AddNewcomer(port, connection, {rest.begin(), rest.end()});
  MoveIfCrowded(port, connection, newcomers_.back());
  ContinueEntering();
  return rest.size();
}

void App::AddNewcomer(net::Port& port, net::Connection& connection, std::vector<std::byte> early) {
  newcomers_.push_back({.address = AddressOf(port, connection), .early = std::move(early)});
  port.Wait(connection);
  port.Owe(connection, 1);  // the answer to the login: a peer that has sent its last byte stays for it
}

size_t App::KeepEarly(uint64_t address, absl::Span<const std::byte> in) {
  for (Newcomer& newcomer : newcomers_) {
    if (newcomer.address == address) {
      newcomer.early.insert(newcomer.early.end(), in.begin(), in.end());
    }
  }
  return in.size();
}

void App::ContinueEntering() {
  for (Newcomer& newcomer : std::exchange(newcomers_, {})) {
    const Peer peer = Find(newcomer.address);
    if (!peer || parts_.sessions.draining()) {
      shared_.gateway_order.Remove(newcomer.ticket);
      if (peer) {  // else OnClose has seen to what had entered
        RefuseGateway(peer, net::CloseReason::kDrain);
      }
      continue;
    }
    if (newcomer.ticket != 0) {
      newcomers_.push_back(std::move(newcomer));  // until OnMovedOut or OnNotMoved
      continue;
    }
    switch (parts_.sessions.gateway_logins().EnterSome(peer.session, newcomer.address)) {
      case GatewayLogins::Entered::kSome:
        newcomers_.push_back(std::move(newcomer));
        break;
      case GatewayLogins::Entered::kAll:
        WelcomeGateway(peer, newcomer);
        break;
      case GatewayLogins::Entered::kSuperseded:
        EndSuperseded(peer);
        break;
    }
  }
}

void App::WelcomeGateway(const Peer& peer, const Newcomer& newcomer) {
  const auto& [port, connection, session] = peer;
  ConnectionReplies replies(port.Out(*connection), *connection);
  parts_.sessions.gateway_logins().Answer(session, wire::LoginResult::kOk,
                                          replies.Append(wire::LoginResponseBytes(session.version)));
  reminders_.push_back({.address = newcomer.address});
  const absl::Span<const std::byte> early = newcomer.early;
  const Served served = parts_.sessions.OnBytes(session, newcomer.address, early, replies);
  port.Owe(*connection, parts_.sessions.TakeOwed());
  if (served.close != net::CloseReason::kNone) {
    return port.CloseAfterFlush(*connection, served.close);
  }
  port.Resume(*connection, early.subspan(served.consumed));
  port.Paid(*connection);
}

void App::RefuseGateway(const Peer& peer, net::CloseReason reason) {
  std::byte* to = peer.port.Out(*peer.connection).Append(wire::LoginResponseBytes(peer.session.version));
  parts_.sessions.gateway_logins().Answer(peer.session, wire::LoginResult::kFullOrDraining, to);
  peer.port.CloseAfterFlush(*peer.connection, reason);
}

// A direct session is told at its login. A gateway may have a million users, so they are looked at a part at a time, and no
// further while what was found is not on its way.
void App::ContinueReminders() {
  for (Reminder& reminder : std::exchange(reminders_, {})) {
    const Peer peer = Find(reminder.address);
    if (!peer) {
      continue;
    }
    if (!peer.HasUnsent()) {
      reminder.place =
          parts_.sessions.logins().AskForSomeNotices(peer.session, reminder.address, reminder.place, kRemindersAtOnce);
      if (reminder.place == 0) {
        continue;  // all have been looked at
      }
    }
    reminders_.push_back(reminder);
  }
}

// Each in its turn; those for which there is still no room go to the end.
void App::NoticeAgain() {
  for (size_t left = std::min(unnoticed_.size(), kUnnoticedAtOnce); left > 0; --left) {
    const AskForNotice missed = unnoticed_.front();
    unnoticed_.pop_front();
    const Peer peer = Find(missed.address);
    if (!peer) {
      continue;  // the next login asks for all of them
    }
    if (peer.port.HasSpareRoom(*peer.connection, wire::GiftNoticeBytes(peer.session.version, wire::kUsersMax))) {
      Post(OwnerOf(missed.gift_id, context_.workers()), missed);
    } else {
      unnoticed_.push_back(missed);
    }
  }
}

// ---- what other workers have to say ----

void App::Handle(const Notice& notice) {
  const Peer peer = Find(notice.address);
  if (!peer) {
    return counters_.cells.Add(Counter::kNoticesLost);
  }
  const wire::Version version = peer.session.version;
  const size_t bytes = wire::GiftNoticeBytes(version, notice.gift.invited.count);
  if (!peer.port.HasSpareRoom(*peer.connection, bytes)) {  // a hint takes no answer's room, and closes nobody
    if (unnoticed_.size() < kUnnoticedMax) {
      unnoticed_.push_back({.address = notice.address, .user = notice.user, .gift_id = notice.gift.gift_id});
    }
    return counters_.cells.Add(Counter::kNoticesLost);
  }
  const int64_t stamp = version == wire::Version::k1 ? time::UnixSecond(wall_ns_) : wall_ns_;
  wire::EncodeGiftNotice(peer.port.Out(*peer.connection).Append(bytes), version,
                         {.stamp = static_cast<uint64_t>(stamp),
                          .envelope_id = notice.gift.gift_id,
                          .amount_fen = notice.gift.amount_fen,
                          .recipient = notice.user,
                          .users = notice.gift.invited.Users()});
  counters_.cells.Add(Counter::kNotices);
}

void App::Handle(const GiftOpened& opened) {
  const Peer peer = Find(opened.address);
  if (!peer) {
    return counters_.cells.Add(Counter::kRepliesLost);
  }
  const wire::Version version = peer.session.version;
  std::byte* to = peer.port.Out(*peer.connection).Append(wire::OpenResponseBytes(version));
  if (peer.connection->state != net::ConnectionState::kOpen) {
    return counters_.cells.Add(Counter::kRepliesLost);
  }
  wire::EncodeOpenResponse(
      to, version,
      {.stamp = opened.stamp, .envelope_id = opened.gift_id, .amount_fen = opened.amount_fen, .user_id = opened.user});
  peer.port.Paid(*peer.connection, 1);
}

}  // namespace hongbao::serve
