#include "libhongbao/serve/session.h"

#include <algorithm>
#include <limits>
#include <utility>

namespace hongbao::serve {
namespace {

using net::CloseReason;

// A gateway is told no stamp further ahead than this: somebody may have made it up, and the gateway would go on above it.
constexpr uint64_t kStampToldAheadNs = uint64_t{1'800} * time::kNsPerSecond;

constexpr uint32_t kUsersLookedAt = 4'096;  // at once, of a gateway that has logged in: some tens of us

// v1 stamps are seconds and repeat: no identity to remember, but that there is a history.
uint64_t IdentityOf(const Session& session, uint64_t stamp) {
  return session.version == wire::Version::k2 ? stamp : kHistoryStamp;
}

static_assert(ledger::kFarStampMs == wire::kStampAheadMaxMs, "what is taken now is not far at a next start");

// How the directory names the session's connection.
uint64_t Named(const Session& session, uint64_t address) {
  return session.gateway == Gateways::kNone ? address : address | kGatewayBit;
}

}  // namespace

Sessions::Sessions(SessionServices services)
    : services_(std::move(services)), durable_(services_.ledger->durable()), gateways_(services_.gateways_max),
      stamps_(services_.far_stamps),
      users_left_(services_.gateway_users_a_turn) {
  Check(services_.wins_per_user <= Directory::kShakeWinsMax, "a limit of wins per user is at most what can be counted");
}

void Sessions::Drain() {
  draining_ = true;
  LeaveSome(std::numeric_limits<uint64_t>::max());  // nobody comes any more whom it would keep waiting
}

bool Sessions::BeginTurn() {
  users_left_ = services_.gateway_users_a_turn;
  LeaveSome(users_left_);
  return !leaving_.empty();
}

void Sessions::OnClose(const Session& session, uint64_t address) {
  if (!session.logged_in) {
    return;
  }
  if (session.gateway == Gateways::kNone) {
    services_.cells->Add(Counter::kUsersLeft, services_.directory->Logout(session.user, address) ? 1 : 0);
    return;
  }
  address = Named(session, address);
  services_.gateway_order->Remove(address);
  leaving_.push_back({.address = address, .next_user = session.user, .users = gateways_.login(session.gateway).entered});
  gateways_.Remove(session.gateway);
  LeaveSome(draining_ ? std::numeric_limits<uint64_t>::max() : users_left_);
}

void Sessions::LeaveSome(uint64_t users) {
  uint64_t left = 0;
  while (users > 0 && !leaving_.empty()) {
    Leaving& leaving = leaving_.back();
    for (; users > 0 && leaving.users > 0; --users, --leaving.users, ++leaving.next_user) {
      left += services_.directory->Logout(leaving.next_user, leaving.address) ? 1U : 0U;
      users_left_ -= users_left_ > 0 ? 1U : 0U;
    }
    if (leaving.users == 0) {
      leaving_.pop_back();
    }
  }
  services_.cells->Add(Counter::kUsersLeft, left);
}

// ---- the rules of a shake that may win ----

void Sessions::Weigh(Session& session, uint64_t address, Shake& shake) {
  const uint32_t user = shake.user;
  const uint64_t stamp = shake.response.stamp;
  LedgerLane& ledger = *services_.ledger;
  shake.verdict = Verdict::kAnswer;
  shake.response.result = wire::ShakeResult::kOverload;
  if (durable_ && MayHaveOutcome(session, user, stamp)) {
    // "Overloaded" would be a lie, so it waits whatever the load is (see swamped() for the end of that).
    ++pending_shakes_;
    ++owed_;
    ledger.Submit(RecordOf(session, address, ledger::RecordKind::kFindWin, user, stamp));
    shake.verdict = Verdict::kLater;
    return;
  }
  if ((durable_ && draining_) || !services_.overload->Admit(user)) {
    return;
  }
  // Asked again: a win that was under way when this session began may have come to nothing.
  session.at_cap = session.at_cap && AtCap(user);
  if (session.at_cap) {
    shake.response.result = wire::ShakeResult::kCap;
    return;
  }
  if (durable_ && ledger.full()) {  // before anything is taken
    services_.cells->Add(Counter::kLedgerFull);
    return;
  }
  const std::optional<uint32_t> login = services_.directory->Decide(user, IdentityOf(session, stamp), address);
  if (durable_ && session.gateway != Gateways::kNone) {
    session.stamp_floor = std::max(session.stamp_floor, stamp);
  }
  if (!login.has_value()) {
    if (durable_) {
      services_.cells->Add(Counter::kDropped);  // no answer here can be the right one any more: the newer session gives it
      shake.verdict = Verdict::kLater;
    }
    return;  // without a ledger there is no other answer: nothing has happened here
  }
  shake.login = *login;
  // The win is taken from the user's allowance before the envelope is claimed: a claim can't be given back, an allowance can.
  if (services_.wins_per_user != 0 && !services_.directory->ReserveShakeWin(user, services_.wins_per_user)) {
    session.at_cap = session.gateway == Gateways::kNone;
    shake.response.result = wire::ShakeResult::kCap;
    return;
  }
  shake.verdict = Verdict::kClaim;
}

void Sessions::Settle(Session& session, uint64_t address, Shake& shake, const envelope::LuckyEnvelope& envelope) {
  shake.verdict = Verdict::kAnswer;
  if (services_.wins_per_user != 0) {
    if (envelope.id == 0) {
      services_.directory->ReleaseShakeWin(shake.user);
    }
    session.at_cap = session.gateway == Gateways::kNone && AtCap(shake.user);
  }
  if (envelope.id == 0) {
    shake.response.result = wire::ShakeResult::kNothing;
    return;
  }
  if (!durable_) {
    shake.response = Won(shake.user, shake.response.stamp, envelope);
    return;
  }
  ledger::Record record = RecordOf(session, address, ledger::RecordKind::kWin, shake.user, shake.response.stamp);
  record.login = shake.login;
  record.envelope_id = envelope.id;
  record.amount_fen = envelope.amount.ToWire();
  if (session.version == wire::Version::k2) {
    session.stamp_floor = std::max(session.stamp_floor, shake.response.stamp);
  }
  ++pending_shakes_;
  ++owed_;
  ++pending_wins_.count;
  pending_wins_.sum += envelope.amount;
  services_.ledger->Submit(record);
  shake.verdict = Verdict::kLater;
}

bool Sessions::AtCap(uint32_t user) const {
  return services_.wins_per_user != 0 && services_.directory->shake_wins(user) >= services_.wins_per_user;
}

ledger::Record Sessions::RecordOf(const Session& session, uint64_t address, ledger::RecordKind kind, uint32_t user,
                                     uint64_t stamp) const {
  return {.kind = kind,
          .has_stamp = session.version == wire::Version::k2,
          .user = user,
          .stamp = stamp,
          .reply_to = address,
          .login = services_.directory->logins(user),
          .at_ms = services_.clock->WallNs() / time::kNsPerMs};
}

void Sessions::AnswerAhead(const std::byte* frame, std::byte* to) {
  services_.cells->Add(Counter::kRefused);
  services_.cells->Add(Counter::kStampsAhead);
  wire::EncodeLosingResponse(to, frame, wire::ShakeResult::kAhead);
}

void Sessions::CountAnswer(wire::ShakeResult result) {
  if (result == wire::ShakeResult::kOverload) {
    services_.cells->Add(Counter::kRefused);
    return;
  }
  services_.cells->Add(Counter::kReplied);
  if (result != wire::ShakeResult::kWon) {  // what was won is counted where it was given
    services_.cells->Add(result == wire::ShakeResult::kCap ? Counter::kCap : Counter::kNothing);
  }
}

void Sessions::OnShakeSettled(const ledger::Outcome& outcome) {
  count::Cells<Counter>& cells = *services_.cells;
  Check(pending_shakes_ > 0, "a shake is settled once");
  --pending_shakes_;
  cells.Add(Counter::kReplied);
  if (outcome.kind == ledger::RecordKind::kWin) {
    const bool used = outcome.settled == ledger::Settled::kNew;
    const uint32_t fen = used ? outcome.amount_fen : outcome.unused_fen;
    --pending_wins_.count;
    pending_wins_.sum -= envelope::Fen(fen);
    cells.Add(used ? Counter::kWon : Counter::kReturned);
    cells.Add(used ? Counter::kWonFen : Counter::kReturnedFen, fen);
    if (!used && services_.wins_per_user != 0) {
      services_.directory->ReleaseShakeWin(outcome.user);
    }
  }
  if (outcome.settled == ledger::Settled::kRepeat) {
    cells.Add(Counter::kRepeated);
  } else if (outcome.settled == ledger::Settled::kNone) {
    cells.Add(Counter::kNothing);
  }
}

wire::ShakeResponse Sessions::Won(uint32_t user, uint64_t stamp, const envelope::LuckyEnvelope& envelope) {
  const int64_t fen = envelope.amount.value();
  services_.cells->Add(Counter::kWon);
  services_.cells->Add(Counter::kWonFen, static_cast<uint64_t>(fen));
  services_.directory->AddGrant(user, fen);
  return {.stamp = stamp,
          .user_id = user,
          .result = wire::ShakeResult::kWon,
          .envelope_id = envelope.id,
          .amount_fen = envelope.amount.ToWire()};
}

// ---- everything else ----

CloseReason Sessions::Handle(Session& session, uint64_t address, wire::FrameType type, wire::FrameBytes frame,
                                Reply& reply) {
  switch (type) {
    case wire::FrameType::kLoginRequest:
      return Login(session, address, frame, reply);
    case wire::FrameType::kOpenRequest:
      return Open(session, address, frame, reply);
    case wire::FrameType::kSendRequest:
      return Send(session, address, frame, reply);
    case wire::FrameType::kStatementRequest:
      return State(session, address, frame, reply);
    default:  // Peek has refused what a server never receives, and a shake before the login
      return CloseReason::kMalformed;
  }
}

CloseReason Sessions::Login(Session& session, uint64_t address, wire::FrameBytes frame, Reply& reply) {
  wire::LoginRequest request;
  if (session.version != wire::Version::kUnknown || wire::DecodeLoginRequest(frame, request) != wire::Decoded::kOk) {
    return CloseReason::kMalformed;  // among them: a second login
  }
  services_.cells->Add(Counter::kFramesLogin);
  if (request.user_count == 0 || uint64_t{request.first_user} + request.user_count > uint64_t{1} << 32) {
    return CloseReason::kMalformed;
  }
  session.version = request.version;

  wire::LoginResponse response{.stamp = request.stamp, .first_user = request.first_user};
  const bool proved = Proves(request);
  response.result = Judge(session, address, request, proved);
  if (response.result == wire::LoginResult::kOk && request.user_count > 1) {
    AcceptGateway(session, address, request);
    return CloseReason::kNone;  // answered when its users have entered
  }
  if (response.result == wire::LoginResult::kOk && !Accept(session, address, request, proved)) {
    response.result = wire::LoginResult::kBadToken;
  }
  CloseReason close = CloseReason::kRefused;
  Counter counter = Counter::kLoginsOk;
  switch (response.result) {
    case wire::LoginResult::kBadToken:
      counter = Counter::kLoginsBadToken;
      break;
    case wire::LoginResult::kUserOutOfRange:
      counter = Counter::kLoginsOutOfRange;
      break;
    case wire::LoginResult::kFullOrDraining:
      counter = Counter::kLoginsFull;
      close = draining_ ? CloseReason::kDrain : CloseReason::kFull;
      break;
    case wire::LoginResult::kSuperseded:
      Check(false, "no login is answered with the end of another session");
      break;
    case wire::LoginResult::kOk:
      response.server_unix_ns = static_cast<uint64_t>(services_.clock->WallNs());
      response.last_stamp = session.stamp_floor;
      close = CloseReason::kNone;
      reply.logged_in = true;
      break;
  }
  services_.cells->Add(counter);
  wire::EncodeLoginResponse(reply.bytes.data(), session.version, response);
  reply.size = wire::LoginResponseBytes(session.version);
  return close;
}

bool Sessions::Proves(const wire::LoginRequest& request) const {
  if (request.version != wire::Version::k2) {
    return false;  // no room for a token
  }
  if (services_.gateway_token.has_value() && SameToken(request.token, *services_.gateway_token)) {
    return true;
  }
  return services_.user_token && services_.user_token(request.token, request.first_user, request.user_count,
                                                      time::UnixSecond(services_.clock->WallNs()));
}

wire::LoginResult Sessions::Judge(const Session& session, uint64_t address, const wire::LoginRequest& request,
                                     bool proved) {
  const bool gateway = request.user_count > 1;
  // Without a token or a key of its own the server has no gateways: there is no token that would be right.
  if (!proved && (gateway || services_.user_token)) {
    return wire::LoginResult::kBadToken;
  }
  // A gateway's login looks each of its users up, some 100 ns each.
  if (request.user_count > wire::kGatewayUsersMax ||
      uint64_t{request.first_user} + request.user_count > services_.directory->users_max()) {
    return wire::LoginResult::kUserOutOfRange;
  }
  // Connections that have proved nothing could take all places; gateways are counted by themselves.
  if (draining_ || (session.over_limit && !gateway)) {
    return wire::LoginResult::kFullOrDraining;
  }
  if (gateway && gateways_.full()) {
    // Perhaps by its own former connection, whose end nobody has told us of: then that makes room, and it comes again.
    const uint64_t holder = services_.directory->Find(request.first_user);
    const bool former = holder == services_.directory->Find(request.first_user + request.user_count - 1);
    if (former && IsGateway(holder) && Unpack(holder).worker == Unpack(address).worker) {
      services_.post(Unpack(holder).worker,
                     Message{.kind = MessageKind::kSupersede, .user = request.first_user, .address = holder});
    }
    return wire::LoginResult::kFullOrDraining;
  }
  if (durable_ && (services_.ledger->full() || services_.ledger->swamped())) {
    services_.cells->Add(Counter::kLedgerFull);
    return wire::LoginResult::kFullOrDraining;
  }
  return wire::LoginResult::kOk;
}

bool Sessions::Accept(Session& session, uint64_t address, const wire::LoginRequest& request, bool proved) {
  const auto may_replace = [&](uint64_t holder) {
    return proved || !IsGateway(holder) || !services_.gateway_order->Lives(holder);
  };
  const std::optional<Directory::Came> came = services_.directory->LoginIf(request.first_user, address, may_replace);
  if (!came.has_value()) {
    return false;
  }
  session.user = request.first_user;
  session.logged_in = true;
  CountReplaced(session.user, came->replaced);
  session.stamp_floor = came->last_stamp;
  session.at_cap = AtCap(session.user);
  if (durable_ && session.version == wire::Version::k2 && request.resume_after < session.stamp_floor) {
    // Its outcomes come after the answer to this login.
    owed_ += ledger::kResumePage;
    services_.ledger->Submit(RecordOf(session, address, ledger::RecordKind::kResume, session.user, request.resume_after));
  }
  return true;
}

void Sessions::CountReplaced(uint32_t user, uint64_t replaced) {
  if (replaced == kOffline) {
    services_.cells->Add(Counter::kUsersCame);
  } else if (!IsGateway(replaced) || services_.gateway_order->Remove(replaced)) {
    services_.cells->Add(Counter::kSuperseded);
    services_.post(Unpack(replaced).worker, Message{.kind = MessageKind::kSupersede, .user = user, .address = replaced});
  }
}

void Sessions::AcceptGateway(Session& session, uint64_t address, const wire::LoginRequest& request) {
  session.user = request.first_user;
  session.logged_in = true;
  session.gateway = gateways_.Add(request.user_count, request.stamp);
  services_.gateway_order->Add(Named(session, address));
}

Sessions::Entered Sessions::EnterSome(Session& session, uint64_t address) {
  address = Named(session, address);
  const uint32_t users = gateways_.user_count(session.gateway);
  Gateways::Login& login = gateways_.login(session.gateway);
  if (!services_.gateway_order->Lives(address)) {
    return Entered::kSuperseded;
  }
  // What was replaced once is older for good: an address names one connection, and that came before.
  const auto may_replace = [&](uint64_t holder) {
    return !IsGateway(holder) || holder == login.older || !services_.gateway_order->IsNewer(holder, address);
  };
  for (; login.entered < users && users_left_ > 0; ++login.entered, --users_left_) {
    const uint32_t user = session.user + login.entered;
    const std::optional<Directory::Came> came = services_.directory->LoginIf(user, address, may_replace);
    if (!came.has_value()) {
      services_.cells->Add(Counter::kSuperseded, services_.gateway_order->Remove(address) ? 1 : 0);
      return Entered::kSuperseded;
    }
    if (came->replaced == kOffline || came->replaced != login.older) {
      login.older = came->replaced == kOffline ? login.older : came->replaced;
      CountReplaced(user, came->replaced);
    }
    session.stamp_floor = std::max(session.stamp_floor, came->last_stamp);
  }
  return login.entered == users ? Entered::kAll : Entered::kSome;
}

size_t Sessions::AnswerGateway(const Session& session, wire::LoginResult result, std::byte* to) {
  Gateways::Login& login = gateways_.login(session.gateway);
  login.answered = result == wire::LoginResult::kOk;
  services_.cells->Add(login.answered ? Counter::kLoginsOk : Counter::kLoginsFull);
  wire::LoginResponse response{.stamp = login.stamp, .first_user = session.user, .result = result};
  if (login.answered) {
    response.server_unix_ns = static_cast<uint64_t>(services_.clock->WallNs());
    const bool far_ahead = session.stamp_floor > response.server_unix_ns + kStampToldAheadNs;
    response.last_stamp = far_ahead ? 0 : session.stamp_floor;
  }
  wire::EncodeLoginResponse(to, session.version, response);
  return wire::LoginResponseBytes(session.version);
}

void Sessions::AskForNotices(uint32_t user, uint64_t address) {
  if (services_.directory->unopened(user) == 0) {
    return;
  }
  const Message remind{.kind = MessageKind::kRemind, .user = user, .address = address};
  for (uint32_t worker = 0; worker < services_.workers; ++worker) {
    services_.post(worker, remind);
  }
}

uint32_t Sessions::AskForSomeNotices(const Session& session, uint64_t address, uint32_t place, uint32_t notices) {
  const uint32_t users = gateways_.user_count(session.gateway);
  const uint32_t looked_at_end = place + std::min(kUsersLookedAt, users - place);
  uint32_t asked = 0;
  for (; place < looked_at_end && asked < notices; ++place) {
    const uint32_t user = session.user + place;
    asked += std::min(services_.directory->unopened(user), static_cast<uint32_t>(Gifts::kRemindMaxOfAll));
    AskForNotices(user, address);
  }
  return place < users ? place : 0;
}

CloseReason Sessions::Open(const Session& session, uint64_t address, wire::FrameBytes frame, Reply& reply) {
  wire::OpenRequest request;
  if (wire::DecodeOpenRequest(frame, request) != wire::Decoded::kOk) {
    return CloseReason::kMalformed;
  }
  const bool means_me = session.version == wire::Version::k1 && request.user_id == 0;
  const uint32_t user = means_me ? session.user : request.user_id;
  if (!Owns(session, user)) {
    return CloseReason::kMalformed;
  }
  services_.cells->Add(Counter::kFramesOpen);
  services_.overload->Count(user);
  if (IsGift(request.envelope_id)) {
    ++owed_;
    services_.post(OwnerOf(request.envelope_id, services_.workers),
                   Message{.kind = MessageKind::kOpen,
                           // Without one it comes to the same: the gift knows who has opened it.
                           .has_identity = session.version == wire::Version::k2 && !stamps_.IsAhead(request.stamp),
                           .user = user,
                           .address = address,
                           .stamp = request.stamp,
                           .envelope_id = request.envelope_id});
    return CloseReason::kNone;  // the owner's answer comes as a message
  }
  services_.cells->Add(Counter::kOpensEmpty);
  wire::EncodeOpenResponse(reply.bytes.data(), session.version,
                           {.stamp = request.stamp, .envelope_id = request.envelope_id, .user_id = user});
  reply.size = wire::OpenResponseBytes(session.version);
  return CloseReason::kNone;
}

CloseReason Sessions::Send(Session& session, uint64_t address, wire::FrameBytes frame, Reply& reply) {
  wire::SendRequest request;
  if (wire::DecodeSendRequest(frame, request) != wire::Decoded::kOk || !Owns(session, request.sender)) {
    return CloseReason::kMalformed;
  }
  services_.cells->Add(Counter::kFramesSend);
  wire::SendResponse response{.stamp = request.stamp, .sender = request.sender, .result = wire::SendResult::kOverload};
  if (durable_ && stamps_.Knows(request.sender, request.stamp)) {
    return FindSend(session, address, request);
  }
  if (stamps_.IsAhead(request.stamp)) {
    services_.cells->Add(Counter::kSendsOverload);
    services_.cells->Add(Counter::kStampsAhead);
    response.result = wire::SendResult::kAhead;
    wire::EncodeSendResponse(reply.bytes.data(), response);
    reply.size = wire::kSendResponseBytes;
    return CloseReason::kNone;
  }
  // The user's own stamp, not what this session knows of it: sends are few, and an older session may have raised it since.
  const bool may_be_made = durable_ && request.stamp <= services_.directory->last_stamp(request.sender);
  if (!draining_ && services_.overload->Admit(request.sender)) {
    const std::optional<uint32_t> login = services_.directory->Decide(request.sender, request.stamp, address);
    if (!login.has_value()) {
      services_.cells->Add(Counter::kLate);  // as in Weigh: no answer here can be the right one any more
      return CloseReason::kNone;
    }
    response.result = services_.gifts->Send(
        {.sender = request.sender,
         .amount_fen = request.amount_fen,
         .users = request.Users(),
         .stamp = request.stamp,
         .reply_to = address,
         .login = *login},
        &response.envelope_id);
  }
  if (response.result == wire::SendResult::kOk) {
    if (durable_) {
      session.stamp_floor = std::max(session.stamp_floor, request.stamp);
      ++owed_;
      return CloseReason::kNone;  // the answer comes with the outcome
    }
  } else if (response.result != wire::SendResult::kRefused && may_be_made) {
    return FindSend(session, address, request);
  } else {
    if (response.result != wire::SendResult::kCapped) {  // counted by its cap
      services_.cells->Add(response.result == wire::SendResult::kRefused ? Counter::kSendsRefused
                                                                         : Counter::kSendsOverload);
    }
  }
  wire::EncodeSendResponse(reply.bytes.data(), response);
  reply.size = wire::kSendResponseBytes;
  return CloseReason::kNone;
}

// What a send came to that cannot be decided now and may have been: the ledger knows.
CloseReason Sessions::FindSend(const Session& session, uint64_t address, const wire::SendRequest& request) {
  if (services_.ledger->swamped()) {
    services_.cells->Add(Counter::kLedgerFull);
    return CloseReason::kSwamped;  // "nothing changed" could be a lie: it shall ask again later
  }
  ++owed_;
  services_.ledger->Submit(RecordOf(session, address, ledger::RecordKind::kFindSend, request.sender, request.stamp));
  return CloseReason::kNone;
}

CloseReason Sessions::State(const Session& session, uint64_t address, wire::FrameBytes frame, Reply& reply) {
  wire::StatementRequest request;
  if (wire::DecodeStatementRequest(frame, request) != wire::Decoded::kOk || !Owns(session, request.user_id)) {
    return CloseReason::kMalformed;
  }
  services_.cells->Add(Counter::kFramesStatement);
  if (durable_) {
    if (services_.ledger->swamped()) {
      services_.cells->Add(Counter::kLedgerFull);
      return CloseReason::kSwamped;  // it asks for more than can be answered; there is no answer "later"
    }
    ++owed_;
    services_.ledger->Submit(RecordOf(session, address, ledger::RecordKind::kStatement, request.user_id, request.stamp));
    return CloseReason::kNone;
  }
  wire::EncodeStatement(reply.bytes.data(),
                        {.stamp = request.stamp,
                         .user_id = request.user_id,
                         .grants = services_.directory->grants(request.user_id),
                         .total_fen = static_cast<uint64_t>(services_.directory->total_fen(request.user_id))});
  reply.size = wire::kStatementBytes;
  return CloseReason::kNone;
}

}  // namespace hongbao::serve
