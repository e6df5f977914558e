// Fleet's statements: what the server says each user got, against what came. See fleet.cc for the sending side.
//
// A user who got something before this client's time has a base: the statement asked right behind the first login.
#include "libhongbao/load/fleet.h"

namespace hongbao::load {
namespace {

// Answers are read in between, and a server that is slow is asked slowly.
constexpr int kStatementsPerTurnMax = 256;
constexpr uint32_t kStatementsOutMax = 1'024;

}  // namespace

// After a login. A base that was lost with its connection may still be asked while nothing of ours can be in it.
void Fleet::AskBase(User& user, bool first_session, uint64_t server_last_stamp, net::Replies& out) {
  if (!v2() || !options_.statements) {
    return;
  }
  const bool never_asked = first_session && server_last_stamp != 0 && user.statement == StatementState::kNone;
  const bool ask_again = user.statement == StatementState::kBaseLost && user.requests.first == kNoRequest &&
                         user.grants == 0;
  if (never_asked || ask_again) {
    AskStatement(user, StatementState::kBaseAsked, out);
  }
}

void Fleet::AskStatement(User& user, StatementState awaited, net::Replies& out) {
  const uint64_t stamp = Stamp(user, clock_.WallAt(now_ns_));
  user.statement = awaited;
  user.statement_mark = static_cast<uint32_t>(stamp);
  wire::EncodeStatementRequest(out.Append(wire::kStatementRequestBytes), {.stamp = stamp, .user_id = UserIdOf(user)});
}

// At the end of a run: everyone in turn, a few at a time.
void Fleet::AskStatements() {
  if (!asking_) {
    return;
  }
  for (int i = 0; i < kStatementsPerTurnMax && MayAsk(); ++i) {
    AskLast(users_[next_statement_++]);
  }
  if (next_statement_ == user_count_ && statements_out_ == 0) {
    asking_ = false;
    // Release: who sees it also sees all counts.
    tally_.statements_done.store(true, std::memory_order_release);
  }
}

bool Fleet::MayAsk() const { return asking_ && next_statement_ < user_count_ && statements_out_ < kStatementsOutMax; }

// An account can be compared when it does not move any more and its base is known.
void Fleet::AskLast(User& user) {
  net::Connection* connection = nullptr;
  if (user.state == UserState::kOnline && user.statement == StatementState::kNone &&
      user.requests.first == kNoRequest) {
    connection = ports_[user.port]->Find({user.slot, user.generation});
  }
  if (connection == nullptr) {
    SkipStatement(user);
    return;
  }
  net::Replies out = ports_[user.port]->Out(*connection);
  AskStatement(user, StatementState::kAsked, out);
  ++statements_out_;
  cells_.Add(Counter::kStatementsAsked);
}

void Fleet::SkipStatement(User& user) {
  if (user.statement == StatementState::kAsked) {
    --statements_out_;
  }
  user.statement = StatementState::kSettled;
  cells_.Add(Counter::kStatementsSkipped);
}

// The connection that a statement was to come by has ended.
void Fleet::LoseStatement(User& user) {
  if (user.statement == StatementState::kBaseAsked) {
    user.statement = StatementState::kBaseLost;
  } else if (user.statement == StatementState::kAsked) {
    SkipStatement(user);
  }
}

// The end came before everybody had been asked and had answered.
void Fleet::AbandonStatements() {
  if (!asking_) {
    return;
  }
  for (uint32_t i = 0; i < user_count_; ++i) {
    if (users_[i].statement != StatementState::kSettled) {
      SkipStatement(users_[i]);
    }
  }
  asking_ = false;
  tally_.statements_done.store(true, std::memory_order_release);  // see AskStatements
}

bool Fleet::OnStatement(User& user, wire::FrameBytes frame) {
  wire::Statement answer;
  if (wire::DecodeStatement(frame, answer) != wire::Decoded::kOk) {
    return Refuse(Counter::kMalformed);
  }
  if (answer.user_id != UserIdOf(user) || answer.stamp > user.last_stamp) {
    return Refuse(Counter::kUnexpected);
  }
  const bool base = user.statement == StatementState::kBaseAsked;
  if ((!base && user.statement != StatementState::kAsked) || user.statement_mark != static_cast<uint32_t>(answer.stamp)) {
    cells_.Add(Counter::kAnswersRepeated);
    return true;
  }
  if (base) {
    user.statement = StatementState::kNone;
    user.grants += answer.grants;
    user.fen += answer.total_fen;
    cells_.Add(Counter::kStatementBases);
    cells_.Add(Counter::kStatementBasesFen, answer.total_fen);
    return true;
  }
  user.statement = StatementState::kSettled;
  --statements_out_;
  books_.CompareStatement(answer, user.grants, user.fen);
  return true;
}

}  // namespace hongbao::load
