// Counters: what a worker of the load generator counts.
//
// Written by one worker, read by anyone. `requests` are the scheduled shakes; logins and opens stand beside them. The
// identities at the end of a run: due = sent + missed; sent = answered + lost + outstanding; opens_sent = opened +
// opened_empty + opens_outstanding; notices = opens_sent + the notices not opened. What is sent or answered again counts
// beside them: `sent` and `answered` are requests, not frames.
// Thread tag: as count::Cells.
#pragma once

#include <cstdint>

#include "libhongbao/count/cells.h"
#include "libhongbao/count/labels.h"

namespace hongbao::load {

// A connection closed sooner after the last byte was not closed for idleness: no server has a shorter idle timeout.
inline constexpr int64_t kIdleAtLeastNs = 1'000'000'000;

// A request sent more than this after it was due counts as late (and is sent all the same).
inline constexpr int64_t kLateAfterNs = 1'000'000;

enum class Counter : uint32_t {
  kScheduled,  // own requests due in the second by the schedule alone: the same whatever happened; whole seconds only
  kDue,        // own requests whose time came, as the worker came to them
  kSent,
  kLate,           // of kSent: more than kLateAfterNs after the intended time
  kMissedLate,     // not sent: more than late_max after the intended time
  kMissedOffline,  // not sent: the user had no session
  kMissedBacklog,  // not sent: the user has too many unanswered requests
  kAnswered,
  kLost,             // sent, and given up: v1 when the connection ended, v2 when the client ended or the user was barred
  kShakesRepeated,   // v2: sent again after a reconnect, with the stamp they had
  kAnswersRepeated,  // v2: outcomes that came once more: nothing is booked
  kOutstanding,      // gauge
  kWon,
  kWonFen,
  kNothing,
  kCap,
  kRefused,      // answered "overloaded" or "ahead"
  kStampsAhead,  // of kRefused: as the request was stamped too far ahead of the server's clock
  kNotices,
  kNoticesRepeated,
  kNoticesMisdelivered,  // the user is not among the invited
  kNoticesNotOpened,     // stopping, or no room for another open
  kOpensSent,            // first time
  kOpensRepeated,        // again, after a reconnect; in v2 with the stamp they had
  kOpensOutstanding,     // gauge
  kOpened,
  kOpenedFen,
  kOpenedEmpty,
  kConnects,        // connects that succeeded
  kConnectsFailed,  // by errno: WorkerTally::connect_errors
  kClosed,          // of kConnects
  kLogins,          // sessions begun
  kLoginsRefused,
  kLoginsTimedOut,  // no answer to the login within the connect timeout
  kLoginsClosed,    // the peer ended the connection instead of answering the login
  kLoginsGarbled,   // the login was answered with what is no answer to it
  kClosedSilent,    // of kClosed, by us: nothing came for the answer timeout, though requests waited for it
  kClosedIdle,      // of kClosed, by the server: its idle timeout; the user was back at once
  kSuperseded,      // sessions that a login of the same user elsewhere ended, as far as that is known (docs/PROTOCOL.md, rule 2)
  kOnline,          // gauge: sessions
  kEstablished,     // users that have had a session
  kBarred,          // users the server refused for good
  kMalformed,       // frames that the protocol does not have
  kUnexpected,      // frames that answer nothing or name another user
  kStampMismatch,   // v2: a login's reply that echoes another stamp
  kStatementBases,  // v2: accounts of users with a history, learned behind the first login
  kStatementBasesFen,  // what those users had got by then
  kStatementsAsked,    // at the end; what comes of it, or of not asking:
  kStatementsEqual,
  kStatementsDifferent,
  kStatementsDifferenceFen,  // of the different ones, what the server says more or less than what came
  kStatementsSkipped,        // offline, something in flight, base unknown, or never answered
  kMoneyLogFull,             // booked replies that found no room on their way to the money log
  kCount
};

inline constexpr auto kCounterLabels = count::LabelsOf<Counter>();

constexpr bool IsGauge(Counter id) {
  return id == Counter::kOutstanding || id == Counter::kOpensOutstanding || id == Counter::kOnline ||
         id == Counter::kEstablished || id == Counter::kBarred;
}

inline uint64_t Missed(const count::Values<Counter>& values) {
  return values[Counter::kMissedLate] + values[Counter::kMissedOffline] + values[Counter::kMissedBacklog];
}
inline uint64_t Unanswered(const count::Values<Counter>& values) {
  return values[Counter::kLost] + values[Counter::kOutstanding] + values[Counter::kOpensOutstanding];
}

}  // namespace hongbao::load
