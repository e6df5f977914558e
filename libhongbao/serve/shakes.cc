#include "libhongbao/serve/shakes.h"

#include <algorithm>

#include "libhongbao/check.h"

namespace hongbao::serve {
namespace {

// v1 stamps are seconds and repeat: no identity to remember, but that there is a history.
uint64_t IdentityOf(const Session& session, uint64_t stamp) {
  return session.version == wire::Version::k2 ? stamp : kHistoryStamp;
}

}  // namespace

Shakes::Shakes(const SessionOptions& options, const SessionServices& services, const Gateways& gateways, uint32_t& owed)
    : SessionPart(services),
      wins_per_user_(options.wins_per_user),
      claimer_(services.claimer),
      gateways_(gateways),
      owed_(owed),
      stamps_(services.far_stamps) {
  static_assert(ledger::kFarStampMs == wire::kStampAheadMaxMs, "what is taken now is not far at a next start");
  Check(wins_per_user_ <= Directory::kShakeWinsMax, "a limit of wins per user is at most what can be counted");
}

// ---- the rules of a shake that may win ----

void Shakes::Weigh(Session& session, uint64_t address, Shake& shake) {
  const uint32_t user = shake.user;
  const uint64_t stamp = shake.response.stamp;
  shake.verdict = Verdict::kAnswer;
  shake.response.result = wire::ShakeResult::kOverload;
  if (durable_ && MayHaveOutcome(session, user, stamp)) {
    // "Overloaded" would be a lie, so it waits whatever the load is (see swamped() for the end of that).
    ++pending_shakes_;
    ++owed_;
    ledger_.Submit(RecordOf(ledger::RecordKind::kFindWin, session, address, user, stamp));
    shake.verdict = Verdict::kLater;
    return;
  }
  if ((durable_ && draining_) || !overload_.Admit(user)) {
    return;
  }
  // Asked again: a win that was under way when this session began may have come to nothing.
  session.at_cap = session.at_cap && IsAtCap(user);
  if (session.at_cap) {
    shake.response.result = wire::ShakeResult::kCap;
    return;
  }
  if (durable_ && ledger_.full()) {  // before anything is taken
    cells_.Add(Counter::kLedgerFull);
    return;
  }
  const std::optional<uint32_t> login = directory_.Decide(user, IdentityOf(session, stamp), address);
  if (durable_ && session.is_gateway()) {
    session.stamp_floor = std::max(session.stamp_floor, stamp);
  }
  if (!login.has_value()) {
    if (durable_) {
      cells_.Add(Counter::kDropped);  // no answer here can be the right one any more: the newer session gives it
      shake.verdict = Verdict::kLater;
    }
    return;  // without a ledger there is no other answer: nothing has happened here
  }
  shake.login = *login;
  // The win is taken from the user's allowance before the envelope is claimed: a claim can't be given back, an allowance can.
  if (wins_per_user_ != 0 && !directory_.ReserveShakeWin(user, wins_per_user_)) {
    session.at_cap = !session.is_gateway();
    shake.response.result = wire::ShakeResult::kCap;
    return;
  }
  shake.verdict = Verdict::kClaim;
}

void Shakes::FinishClaim(Session& session, uint64_t address, Shake& shake, const envelope::LuckyEnvelope& envelope) {
  shake.verdict = Verdict::kAnswer;
  if (wins_per_user_ != 0) {
    if (envelope.id == 0) {
      directory_.ReleaseShakeWin(shake.user);
    }
    session.at_cap = !session.is_gateway() && IsAtCap(shake.user);
  }
  if (envelope.id == 0) {
    shake.response.result = wire::ShakeResult::kNothing;
  } else if (durable_) {
    SubmitWin(session, address, shake, envelope);
    shake.verdict = Verdict::kLater;
  } else {
    AnswerWin(shake, envelope);
  }
}

void Shakes::AnswerWin(Shake& shake, const envelope::LuckyEnvelope& envelope) {
  const int64_t fen = envelope.amount.value();
  cells_.Add(Counter::kWon);
  cells_.Add(Counter::kWonFen, static_cast<uint64_t>(fen));
  directory_.AddGrant(shake.user, fen);
  shake.response.result = wire::ShakeResult::kWon;
  shake.response.envelope_id = envelope.id;
  shake.response.amount_fen = envelope.amount.ToWire();
}

void Shakes::SubmitWin(Session& session, uint64_t address, const Shake& shake, const envelope::LuckyEnvelope& envelope) {
  ledger::Record record = RecordOf(ledger::RecordKind::kWin, session, address, shake.user, shake.response.stamp);
  record.login = shake.login;
  record.envelope_id = envelope.id;
  record.amount_fen = envelope.amount.ToWire();
  if (session.version == wire::Version::k2) {
    session.stamp_floor = std::max(session.stamp_floor, shake.response.stamp);
  }
  ++pending_shakes_;
  ++owed_;
  pending_wins_ += {1, envelope.amount};
  ledger_.Submit(record);
}

bool Shakes::IsAtCap(uint32_t user) const { return wins_per_user_ != 0 && directory_.shake_wins(user) >= wins_per_user_; }

void Shakes::AnswerAhead(const std::byte* frame, std::byte* to) {
  cells_.Add(Counter::kRefused);
  cells_.Add(Counter::kStampsAhead);
  wire::EncodeLosingResponse(to, frame, wire::ShakeResult::kAhead);
}

void Shakes::CountAnswer(wire::ShakeResult result) {
  if (result == wire::ShakeResult::kOverload) {
    cells_.Add(Counter::kRefused);
    return;
  }
  cells_.Add(Counter::kReplied);
  if (result != wire::ShakeResult::kWon) {  // what was won is counted where it was given
    cells_.Add(result == wire::ShakeResult::kCap ? Counter::kCap : Counter::kNothing);
  }
}

void Shakes::OnShakeSettled(const ledger::Outcome& outcome) {
  Check(pending_shakes_ > 0, "a shake is settled once");
  --pending_shakes_;
  cells_.Add(Counter::kReplied);
  if (outcome.kind == ledger::RecordKind::kWin) {
    const bool used = outcome.settled == ledger::Settled::kNew;
    const uint32_t fen = used ? outcome.amount_fen : outcome.unused_fen;
    pending_wins_ -= {1, envelope::Fen(fen)};
    cells_.Add(used ? Counter::kWon : Counter::kReturned);
    cells_.Add(used ? Counter::kWonFen : Counter::kReturnedFen, fen);
    if (!used && wins_per_user_ != 0) {
      directory_.ReleaseShakeWin(outcome.user);
    }
  }
  if (outcome.settled == ledger::Settled::kRepeat) {
    cells_.Add(Counter::kRepeated);
  } else if (outcome.settled == ledger::Settled::kNone) {
    cells_.Add(Counter::kNothing);
  }
}

}  // namespace hongbao::serve
