#include "libhongbao/load/bookkeeper.h"

#include "libhongbao/check.h"
#include "libhongbao/time/clock.h"

namespace hongbao::load {

PhaseTally& Bookkeeper::PhaseOfOtherSegment(uint32_t segment) {
  PhaseTally* const tally = tally_.phases[schedule_.phase(segment)].get();
  Check(tally != nullptr, "a rate segment was planned without a tally");
  const int64_t from_ns = schedule_.segment(segment).at_second * time::kNsPerSecond;
  if (tally == newest_ && from_ns >= newest_from_ns_) {  // the next of a profile's: what was due before is of the same phase
    segment_ = segment;
  } else if (newest_ == nullptr || from_ns >= newest_from_ns_) {  // another gateway may still be in the one before
    newest_ = tally;
    segment_ = segment;
    newest_from_ns_ = from_ns;
  }
  return *tally;
}

PhaseTally& Bookkeeper::PhaseDueBefore(int64_t due_ns) {
  const uint32_t segment = schedule_.IndexAt(due_ns);
  PhaseTally* const tally = segment == time::Schedule::kNone ? nullptr : tally_.phases[schedule_.phase(segment)].get();
  return tally != nullptr ? *tally : *newest_;  // null: that second's rate was replaced after the request went out
}

void Bookkeeper::CountAnswer(PhaseTally& phase, const wire::ShakeResponse& answer) {
  count::Cells<Counter>& cells = tally_.cells;
  cells.Subtract(Counter::kOutstanding);
  cells.Add(Counter::kAnswered);
  phase.cells.Add(PhaseCounter::kAnswered);
  switch (answer.result) {
    case wire::ShakeResult::kWon:
      cells.Add(Counter::kWon);
      cells.Add(Counter::kWonFen, answer.amount_fen);
      phase.cells.Add(PhaseCounter::kWon);
      phase.cells.Add(PhaseCounter::kWonFen, answer.amount_fen);
      break;
    case wire::ShakeResult::kNothing:
      cells.Add(Counter::kNothing);
      break;
    case wire::ShakeResult::kCap:
      cells.Add(Counter::kCap);
      break;
    case wire::ShakeResult::kAhead:
      cells.Add(Counter::kStampsAhead);
      [[fallthrough]];
    case wire::ShakeResult::kOverload:
      cells.Add(Counter::kOverload);
      phase.cells.Add(PhaseCounter::kOverload);
      break;
  }
}

void Bookkeeper::CountLost(int64_t due_ns) {
  tally_.cells.Subtract(Counter::kOutstanding);
  tally_.cells.Add(Counter::kLost);
  PhaseDueAt(due_ns).cells.Add(PhaseCounter::kLost);
}

void Bookkeeper::RecordLateness(int64_t due_ns, int64_t lateness_ns, int64_t since_sent_ns) {
  PhaseTally& phase = PhaseDueAt(due_ns);
  tally_.latency.Record(lateness_ns);
  phase.others.Record(lateness_ns);
  if (since_sent_ns >= 0) {
    phase.service.Record(since_sent_ns);
  }
}

void Bookkeeper::CountOpened(uint32_t amount_fen) {
  tally_.cells.Subtract(Counter::kOpensOutstanding);
  tally_.cells.Add(amount_fen == 0 ? Counter::kOpenedEmpty : Counter::kOpened);
  tally_.cells.Add(Counter::kOpenedFen, amount_fen);
}

void Bookkeeper::CompareStatement(const wire::Statement& statement, uint32_t grants, uint64_t fen) {
  if (statement.grants == grants && statement.total_fen == fen) {
    tally_.cells.Add(Counter::kStatementsEqual);
    return;
  }
  tally_.cells.Add(Counter::kStatementsDifferent);
  tally_.cells.Add(Counter::kStatementsDifferenceFen,
                   statement.total_fen > fen ? statement.total_fen - fen : fen - statement.total_fen);
  // The first few; all of them are counted.
  tally_.differences.Push({statement.user_id, grants, fen, statement.grants, statement.total_fen});
}

void Bookkeeper::LogMoney(const MoneyRecord& money) {
  if (log_money_ && !tally_.money.Push(money)) {
    tally_.cells.Add(Counter::kMoneyLogFull);
  }
}

void Bookkeeper::CountConnectFailed(int error) {
  tally_.cells.Add(Counter::kConnectsFailed);
  tally_.connect_errors.Add(static_cast<Errno>(std::clamp<int>(error, 0, static_cast<int>(Errno::kCount) - 1)));
}

void Bookkeeper::CountLoginRefused(wire::LoginResult why) {
  tally_.cells.Add(Counter::kLoginsRefused);
  constexpr uint32_t kLast = static_cast<uint32_t>(LoginRefusal::kCount) - 1;
  tally_.login_refusals.Add(static_cast<LoginRefusal>(std::min(static_cast<uint32_t>(why), kLast)));
}

void Bookkeeper::CountLoginEnded(net::CloseReason reason) {
  if (reason == net::CloseReason::kPeer || reason == net::CloseReason::kReset) {
    tally_.cells.Add(Counter::kLoginsClosed);
  }
}

void Bookkeeper::CountGarbled(absl::Span<const std::byte> bytes) {
  tally_.cells.Add(Counter::kLoginsGarbled);
  tally_.stranger.Take(bytes.data(), bytes.size());
}

}  // namespace hongbao::load
