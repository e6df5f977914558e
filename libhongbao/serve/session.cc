#include "libhongbao/serve/session.h"

#include <algorithm>
#include <utility>

namespace hongbao::serve {
namespace {

using net::CloseReason;

// v1 stamps are seconds and repeat: no identity to remember, but that there is a history.
uint64_t IdentityOf(const Session& session, uint64_t stamp) {
  return session.version == wire::Version::k2 ? stamp : kHistoryStamp;
}

}  // namespace

SessionDesk::SessionDesk(SessionServices services)
    : services_(std::move(services)), durable_(services_.ledger->durable()) {
  Check(services_.wins_per_user <= Directory::kShakeWinsMax, "a limit of wins per user is at most what can be counted");
}

void SessionDesk::OnClose(const Session& session, uint64_t address) {
  if (session.logged_in && services_.directory->Logout(session.user, address)) {
    services_.cells->Add(Counter::kUsersLeft);
  }
}

// ---- shakes with a ledger ----

std::optional<wire::ShakeResponse> SessionDesk::ShakeForMoney(Session& session, uint64_t address, uint64_t stamp) {
  wire::ShakeResponse response{.stamp = stamp, .user_id = session.user, .result = wire::ShakeResult::kOverload};
  LedgerDesk& ledger = *services_.ledger;
  if (MayHaveOutcome(session, stamp)) {
    // "Overloaded" would be a lie, so it waits whatever the load is (see swamped() for the end of that).
    ++pending_shakes_;
    ledger.Submit(RecordOf(session, address, ledger::RecordKind::kFindWin, stamp));
    return std::nullopt;
  }
  if (draining_ || !services_.overload->Admit(session.user)) {
    return response;
  }
  // Asked again: a win that was under way when this session began may have come to nothing.
  session.at_cap = session.at_cap && AtCap(session.user);
  if (session.at_cap) {
    response.result = wire::ShakeResult::kCap;
    return response;
  }
  if (ledger.full()) {  // before anything is taken
    services_.cells->Add(Counter::kLedgerFull);
    return response;
  }
  // Either a newer login sees this stamp, and asks the ledger when the request is repeated there, or we see that login and
  // stop here: never do both decide (the stamp, then the session: as Login does it the other way round).
  const bool has_identity = session.version == wire::Version::k2;
  services_.directory->RaiseStamp(session.user, has_identity ? stamp : kHistoryStamp);
  if (services_.directory->Find(session.user) != address) {
    services_.cells->Add(Counter::kDropped);  // no answer here can be the right one any more: the newer session gives it
    return std::nullopt;
  }
  envelope::LuckyEnvelope envelope;
  if (!ClaimUnderCap(session, envelope)) {
    response.result = wire::ShakeResult::kCap;
    return response;
  }
  if (envelope.id == 0) {
    response.result = wire::ShakeResult::kNothing;
    return response;
  }
  ledger::Record record = RecordOf(session, address, ledger::RecordKind::kWin, stamp);
  record.envelope_id = envelope.id;
  record.amount_fen = envelope.amount.ToWire();
  if (has_identity) {
    session.stamp_floor = stamp;
  }
  ++pending_shakes_;
  ++pending_wins_.count;
  pending_wins_.sum += envelope.amount;
  ledger.Submit(record);
  return std::nullopt;
}

// Without a look at what is left in the pool: the claimer has to find it empty by itself, or it would go on hoping.
bool SessionDesk::ClaimUnderCap(Session& session, envelope::LuckyEnvelope& envelope) {
  const uint32_t cap = services_.wins_per_user;
  if (cap == 0) {
    services_.claimer->Claim(envelope);
    return true;
  }
  // As in DecideUnderCap: an allowance can be given back.
  if (!services_.directory->TakeShakeWin(session.user, cap)) {
    session.at_cap = true;
    return false;
  }
  if (!services_.claimer->Claim(envelope)) {
    services_.directory->ReturnShakeWin(session.user);
  }
  session.at_cap = AtCap(session.user);
  return true;
}

bool SessionDesk::AtCap(uint32_t user) const {
  return services_.wins_per_user != 0 && services_.directory->shake_wins(user) >= services_.wins_per_user;
}

ledger::Record SessionDesk::RecordOf(const Session& session, uint64_t address, ledger::RecordKind kind,
                                     uint64_t stamp) const {
  return {.kind = kind,
          .has_stamp = session.version == wire::Version::k2,
          .user = session.user,
          .stamp = stamp,
          .reply_to = address,
          .at_ms = services_.clock->WallNs() / time::kNsPerMs};
}

void SessionDesk::CountAnswer(wire::ShakeResult result) {
  if (result == wire::ShakeResult::kOverload) {
    services_.cells->Add(Counter::kRefused);
    return;
  }
  services_.cells->Add(Counter::kReplied);
  services_.cells->Add(result == wire::ShakeResult::kCap ? Counter::kCap : Counter::kNothing);
}

void SessionDesk::CountShake(const ledger::Outcome& outcome) {
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
      services_.directory->ReturnShakeWin(outcome.user);
    }
  }
  if (outcome.settled == ledger::Settled::kRepeat) {
    cells.Add(Counter::kRepeated);
  } else if (outcome.settled == ledger::Settled::kNone) {
    cells.Add(Counter::kNothing);
  }
}

// ---- shakes without ----

wire::ShakeResponse SessionDesk::DecideUnderCap(Session& session, uint64_t stamp) {
  wire::ShakeResponse response{.stamp = stamp, .user_id = session.user, .result = wire::ShakeResult::kCap};
  count::Cells<Counter>& cells = *services_.cells;
  if (session.at_cap) {
    cells.Add(Counter::kCap);
    return response;
  }
  // The user's record is touched only if there may be something to win. The win is taken from the user's allowance
  // before the envelope is claimed: a claim can't be given back, an allowance can.
  if (services_.pool->left() > 0) {
    if (!services_.directory->TakeShakeWin(session.user, services_.wins_per_user)) {
      session.at_cap = true;
      cells.Add(Counter::kCap);
      return response;
    }
    envelope::LuckyEnvelope envelope;
    if (services_.claimer->Claim(envelope)) {
      session.at_cap = services_.directory->shake_wins(session.user) >= services_.wins_per_user;
      return Won(session, stamp, envelope);
    }
    services_.directory->ReturnShakeWin(session.user);
  }
  cells.Add(Counter::kNothing);
  response.result = wire::ShakeResult::kNothing;
  return response;
}

wire::ShakeResponse SessionDesk::Won(Session& session, uint64_t stamp, const envelope::LuckyEnvelope& envelope) {
  const int64_t fen = envelope.amount.value();
  services_.cells->Add(Counter::kWon);
  services_.cells->Add(Counter::kWonFen, static_cast<uint64_t>(fen));
  services_.directory->AddGrant(session.user, fen);
  services_.directory->RaiseStamp(session.user, IdentityOf(session, stamp));
  return {.stamp = stamp,
          .user_id = session.user,
          .result = wire::ShakeResult::kWon,
          .envelope_id = envelope.id,
          .amount_fen = envelope.amount.ToWire()};
}

CloseReason SessionDesk::Handle(Session& session, uint64_t address, wire::FrameType type, wire::FrameBytes frame,
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

CloseReason SessionDesk::Login(Session& session, uint64_t address, wire::FrameBytes frame, Reply& reply) {
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
  CloseReason close = CloseReason::kRefused;
  Counter counter = Counter::kLoginsOk;
  if (request.user_count > 1) {
    response.result = wire::LoginResult::kBadToken;  // a gateway, and this server has no gateway token
    counter = Counter::kLoginsBadToken;
  } else if (request.first_user >= services_.directory->users_max()) {
    response.result = wire::LoginResult::kUserOutOfRange;
    counter = Counter::kLoginsOutOfRange;
  } else if (draining_ || session.over_limit || (durable_ && (services_.ledger->full() || services_.ledger->swamped()))) {
    response.result = wire::LoginResult::kFullOrDraining;
    counter = Counter::kLoginsFull;
    close = draining_ ? CloseReason::kDrain : CloseReason::kFull;
    if (!draining_ && !session.over_limit) {
      services_.cells->Add(Counter::kLedgerFull);
    }
  } else {
    session.user = request.first_user;
    Accept(session, address);
    response.server_unix_ns = static_cast<uint64_t>(services_.clock->WallNs());
    response.last_stamp = services_.directory->last_stamp(session.user);  // after the session is the newest, see RaiseStamp
    session.stamp_floor = response.last_stamp;
    if (durable_ && session.version == wire::Version::k2 && request.resume_after < response.last_stamp) {
      ledger::Record resume = RecordOf(session, address, ledger::RecordKind::kResume, request.resume_after);
      services_.ledger->Submit(resume);  // its outcomes come after the answer to this login
    }
    close = CloseReason::kNone;
    reply.logged_in = true;
  }
  services_.cells->Add(counter);
  wire::EncodeLoginResponse(reply.bytes.data(), session.version, response);
  reply.size = wire::LoginResponseBytes(session.version);
  return close;
}

void SessionDesk::Accept(Session& session, uint64_t address) {
  session.logged_in = true;
  session.at_cap = AtCap(session.user);
  const uint64_t replaced = services_.directory->Login(session.user, address);
  if (replaced == kOffline) {
    services_.cells->Add(Counter::kUsersCame);
    return;
  }
  services_.cells->Add(Counter::kSuperseded);
  services_.post(Unpack(replaced).worker,
                 Message{.kind = MessageKind::kSupersede, .user = session.user, .address = replaced});
}

void SessionDesk::AskForNotices(const Session& session, uint64_t address) {
  if (services_.directory->unopened(session.user) == 0) {
    return;
  }
  const Message remind{.kind = MessageKind::kRemind, .user = session.user, .address = address};
  for (uint32_t worker = 0; worker < services_.workers; ++worker) {
    services_.post(worker, remind);
  }
}

CloseReason SessionDesk::Open(const Session& session, uint64_t address, wire::FrameBytes frame, Reply& reply) {
  wire::OpenRequest request;
  if (wire::DecodeOpenRequest(frame, request) != wire::Decoded::kOk) {
    return CloseReason::kMalformed;
  }
  const bool means_me = session.version == wire::Version::k1 && request.user_id == 0;
  if (!means_me && request.user_id != session.user) {
    return CloseReason::kMalformed;
  }
  services_.cells->Add(Counter::kFramesOpen);
  if (IsGift(request.envelope_id)) {
    services_.post(OwnerOf(request.envelope_id, services_.workers),
                   Message{.kind = MessageKind::kOpen,
                           .has_identity = session.version == wire::Version::k2,
                           .user = session.user,
                           .address = address,
                           .stamp = request.stamp,
                           .envelope_id = request.envelope_id});
    return CloseReason::kNone;  // the owner's answer comes as a message
  }
  services_.cells->Add(Counter::kOpensEmpty);
  wire::EncodeOpenResponse(reply.bytes.data(), session.version,
                           {.stamp = request.stamp, .envelope_id = request.envelope_id, .user_id = session.user});
  reply.size = wire::OpenResponseBytes(session.version);
  return CloseReason::kNone;
}

CloseReason SessionDesk::Send(Session& session, uint64_t address, wire::FrameBytes frame, Reply& reply) {
  wire::SendRequest request;
  if (wire::DecodeSendRequest(frame, request) != wire::Decoded::kOk || request.sender != session.user) {
    return CloseReason::kMalformed;
  }
  services_.cells->Add(Counter::kFramesSend);
  wire::SendResponse response{.stamp = request.stamp, .sender = session.user, .result = wire::SendResult::kOverload};
  if (!draining_ && services_.overload->Admit(session.user)) {
    response.result = services_.gifts->Send(
        {.sender = session.user,
         .amount_fen = request.amount_fen,
         .users = request.Users(),
         .stamp = request.stamp,
         .reply_to = address},
        &response.envelope_id);
  }
  if (response.result == wire::SendResult::kOk) {
    services_.directory->RaiseStamp(session.user, request.stamp);
    if (durable_) {
      session.stamp_floor = std::max(session.stamp_floor, request.stamp);
      return CloseReason::kNone;  // the answer comes with the outcome
    }
  } else {
    services_.cells->Add(response.result == wire::SendResult::kRefused ? Counter::kSendsRefused
                                                                       : Counter::kSendsOverload);
    if (durable_ && response.result == wire::SendResult::kOverload && MayHaveOutcome(session, request.stamp)) {
      return CloseReason::kUnsentBytes;  // the gift may have been made: it shall ask again later
    }
  }
  wire::EncodeSendResponse(reply.bytes.data(), response);
  reply.size = wire::kSendResponseBytes;
  return CloseReason::kNone;
}

CloseReason SessionDesk::State(const Session& session, uint64_t address, wire::FrameBytes frame, Reply& reply) {
  wire::StatementRequest request;
  if (wire::DecodeStatementRequest(frame, request) != wire::Decoded::kOk || request.user_id != session.user) {
    return CloseReason::kMalformed;
  }
  services_.cells->Add(Counter::kFramesStatement);
  if (durable_) {
    if (services_.ledger->swamped()) {
      services_.cells->Add(Counter::kLedgerFull);
      return CloseReason::kUnsentBytes;  // it asks for more than can be answered; there is no answer "later"
    }
    services_.ledger->Submit(RecordOf(session, address, ledger::RecordKind::kStatement, request.stamp));
    return CloseReason::kNone;
  }
  wire::EncodeStatement(reply.bytes.data(),
                        {.stamp = request.stamp,
                         .user_id = session.user,
                         .grants = services_.directory->grants(session.user),
                         .total_fen = static_cast<uint64_t>(services_.directory->total_fen(session.user))});
  reply.size = wire::kStatementBytes;
  return CloseReason::kNone;
}

}  // namespace hongbao::serve
