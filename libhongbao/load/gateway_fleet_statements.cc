// GatewayFleet's statements: what the server says each user got, against what came. See gateway_fleet.cc for the
// sending side.
//
// A gateway's login does not say who has a history, so every user's base is asked before the first request: nothing of
// ours can be in it, over however many connections it comes.
#include <algorithm>

#include "libhongbao/load/gateway_fleet.h"

namespace hongbao::load {

void GatewayFleet::AskSome(Gateway& gateway, net::Replies& out) {
  const uint64_t left = gateway.first_user() + uint64_t{gateway.user_count()} - gateway.next_statement;
  const size_t n = std::min<uint64_t>(gateway.RoomFor(out, gateway.statements()), left);
  if (n > 0) {
    gateway.AskStatements(out, n, WallNs(), now_ns_);
    cells_.Add(Counter::kStatementsAsked, asking_ ? n : 0);
  }
}

// At the end of a run: everyone in turn. An account can be compared when it does not move any more and its base is
// known.
void GatewayFleet::StartAsking() {
  asking_ = true;
  for (Gateway& gateway : gateways_) {
    gateway.GiveUpStatements();  // bases that have not come yet
    gateway.next_statement = gateway.first_user();
    if (!gateway.has_bases || gateway.state == GatewayState::kBarred || gateway.window().in_flight() > 0 ||
        !gateway.opens.empty()) {
      SkipStatements(gateway);
    }
  }
}

void GatewayFleet::AskStatements() {
  if (!asking_) {
    return;
  }
  bool done = true;
  for (Gateway& gateway : gateways_) {
    if (!gateway.AllAsked() && gateway.state == GatewayState::kOnline && gateway.statements().to_repeat() == 0) {
      if (net::Connection* const connection = ConnectionOf(gateway); connection != nullptr) {
        net::Replies out = ports_[gateway.port]->Out(*connection);
        AskSome(gateway, out);
      }
    }
    if (gateway.state == GatewayState::kBarred) {
      SkipStatements(gateway);  // by now: the server has come back as another
    }
    done = done && gateway.AllAsked() && gateway.statements().in_flight() == 0;
  }
  if (done) {
    asking_ = false;
    // Release: who sees it also sees all counts.
    tally_.statements_done.store(true, std::memory_order_release);
  }
}

// Who has not been asked, or has not answered, is not compared.
void GatewayFleet::SkipStatements(Gateway& gateway) {
  const uint64_t end = gateway.first_user() + uint64_t{gateway.user_count()};
  cells_.Add(Counter::kStatementsSkipped, end - gateway.next_statement + gateway.GiveUpStatements());
  gateway.next_statement = end;
}

// The end came before everybody had been asked and had answered.
void GatewayFleet::AbandonStatements() {
  if (!asking_) {
    return;
  }
  for (Gateway& gateway : gateways_) {
    SkipStatements(gateway);
  }
  asking_ = false;
  tally_.statements_done.store(true, std::memory_order_release);  // see AskStatements
}

bool GatewayFleet::OnStatement(Gateway& gateway, wire::FrameBytes frame) {
  wire::Statement answer;
  if (wire::DecodeStatement(frame, answer) != wire::Decoded::kOk) {
    return Refuse(Counter::kMalformed);
  }
  GatewayAnswered answered;
  if (!gateway.statements().Take(answer.stamp, answer.user_id, answered)) {
    return MayRepeat(gateway, answer.stamp);
  }
  if (gateway.state == GatewayState::kBases) {
    if (answer.grants != 0 || answer.total_fen != 0) {  // the others' accounts stay untouched memory
      AccountOf(answer.user_id) = {.fen = answer.total_fen, .grants = answer.grants};
      cells_.Add(Counter::kStatementBases);
      cells_.Add(Counter::kStatementBasesFen, answer.total_fen);
    }
    if (gateway.AllAsked() && gateway.statements().in_flight() == 0) {
      Enter(gateway);
    }
    return true;
  }
  const Account& account = AccountOf(answer.user_id);
  books_.CompareStatement(answer, account.grants, account.fen);
  return true;
}

}  // namespace hongbao::load
