#include "libhongbao/load/answers.h"

#include "libhongbao/check.h"
#include "libhongbao/time/clock.h"

namespace hongbao::load {

PhaseTally& Answers::PhaseOfOtherSegment(uint32_t segment) {
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

PhaseTally& Answers::PhaseDueBefore(int64_t due_ns) {
  const uint32_t segment = schedule_.IndexAt(due_ns);
  PhaseTally* const tally = segment == time::Schedule::kNone ? nullptr : tally_.phases[schedule_.phase(segment)].get();
  return tally != nullptr ? *tally : *newest_;  // null: that second's rate was replaced after the request went out
}

void Answers::CountMissed(PhaseTally& phase, uint64_t missed, Counter why) {
  tally_.cells.Add(Counter::kDue, missed);
  tally_.cells.Add(why, missed);
  phase.cells.Add(PhaseCounter::kDue, missed);
  phase.cells.Add(PhaseCounter::kMissed, missed);
}

void Answers::CountAnswer(PhaseTally& phase, const wire::ShakeResponse& answer) {
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
      cells.Add(Counter::kRefused);
      phase.cells.Add(PhaseCounter::kRefused);
      break;
  }
}

void Answers::CountNothings(PhaseTally& phase, uint64_t count) {
  tally_.cells.Subtract(Counter::kOutstanding, count);
  tally_.cells.Add(Counter::kAnswered, count);
  tally_.cells.Add(Counter::kNothing, count);
  phase.cells.Add(PhaseCounter::kAnswered, count);
}

void Answers::CountLost(const FinishedRequest& request, bool at_end, int64_t now_ns) {
  PhaseTally& phase = PhaseDueAt(request.due_ns);
  tally_.cells.Subtract(Counter::kOutstanding);
  tally_.cells.Add(Counter::kLost);
  phase.cells.Add(PhaseCounter::kLost);
  if (at_end) {
    AddOwn(tally_.lost_timed, 1);
    if (request.timed) {
      RecordLateness(phase, now_ns - request.due_monotonic_ns, now_ns - request.sent_ns);
    }
  }
}

void Answers::RecordLateness(PhaseTally& phase, int64_t lateness_ns, int64_t since_sent_ns) {
  tally_.latency.Record(lateness_ns);
  phase.others.Record(lateness_ns);
  if (since_sent_ns >= 0) {
    phase.service.Record(since_sent_ns);
  }
}

void Answers::CountOpened(uint32_t amount_fen) {
  tally_.cells.Subtract(Counter::kOpensOutstanding);
  tally_.cells.Add(amount_fen == 0 ? Counter::kOpenedEmpty : Counter::kOpened);
  tally_.cells.Add(Counter::kOpenedFen, amount_fen);
}

void Answers::CompareStatement(const wire::Statement& statement, uint32_t grants, uint64_t fen) {
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

void Answers::LogMoney(const MoneyRecord& money) {
  if (log_money_ && !tally_.money.Push(money)) {
    tally_.cells.Add(Counter::kMoneyLogFull);
  }
}

}  // namespace hongbao::load
