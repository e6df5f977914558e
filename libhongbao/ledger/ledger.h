// Ledger: what the server asks of the place where money is durable. The interface; sqlite_ledger.h is the implementation.
//
// Owns nothing by itself. A worker submits Records to its own lane and never waits; the ledger makes everything that
// waits durable in one commit and only then hands out one Outcome for each record (a resume: several), in the order of the
// lane. A record without an outcome has not happened. Never knows frames, sockets or sessions: `reply_to` goes through
// it unread. On a failed commit the process ends (fail-stop): no outcome is ever handed out for what is not on disk.
// Thread tag: thread-compatible values; Ledger: each lane has one submitting thread, the rest as said.
#pragma once

#include <compare>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "absl/status/status.h"
#include "libhongbao/envelope/fen.h"
#include "libhongbao/ledger/order.h"
#include "libhongbao/ledger/places.h"

namespace hongbao::ledger {

inline constexpr uint32_t kInvitedMax = 50;
inline constexpr uint32_t kResumePage = 64;       // grants handed out for one kResume, at most
inline constexpr uint32_t kNobody = 0xffff'ffff;  // sender of what was minted

enum class RecordKind : uint8_t {
  kWin,        // `user` claimed the share `envelope_id` of a shake order, `amount_fen`
  kFindWin,    // the outcome of the shake (user, stamp) if there is one; if not, a kWin that comes later is too late (kNone)
  kOpen,       // `user` opened a share of the gift `envelope_id`, `amount_fen`
  kFindOpen,   // changes nothing: what `user` got from the gift `envelope_id`, also after it has expired
  kGift,       // a new gift `envelope_id` of `amount_fen` for `users`, from `user` (kNobody: minted)
  kFindSend,   // the gift of the request (user, stamp) if there is one; if not, a kGift of an earlier `login` that comes later
               // is too late (kNone)
  kRefund,     // the gift `envelope_id` has expired: `amount_fen` in `user_count` shares go back
  kResume,     // changes nothing: every grant of `user` with a stamp above `stamp`, a page at a time from `cursor` on
  kStatement,  // changes nothing: what `user` has got in all
};

struct Record {
  RecordKind kind{};
  bool has_stamp = false;  // (user, stamp) identifies the request (protocol v2); else it has no identity
  uint8_t user_count = 0;  // how many of `users` are meant; kRefund: shares
  uint32_t user = 0;
  uint32_t envelope_id = 0;
  uint32_t amount_fen = 0;
  uint64_t stamp = 0;      // kResume: only grants above it
  uint64_t reply_to = 0;   // the submitter's own
  uint32_t cursor = 0;     // kResume: 0 = from the newest grant, else Outcome::cursor of the page before
  uint32_t login = 0;      // which of the user's logins asks, counted up (and around)
  int64_t at_ms = 0;       // unix time: when it happened
  int64_t expires_ms = 0;  // kGift
  uint32_t users[kInvitedMax] = {};
};

enum class Settled : uint8_t {
  kNew,     // recorded now
  kRepeat,  // had been recorded before: the fields are the first outcome's; `unused_id` was not recorded
  kNone,    // kFind...: there is no such grant. kResume: no (more) grants
};

struct Outcome {
  RecordKind kind{};  // of the record; for a resumed grant kWin or kOpen with `resumed`
  Settled settled{};
  bool resumed = false;  // one of the grants that a kResume asked for
  bool has_stamp = false;
  uint32_t user = 0;
  uint32_t envelope_id = 0;  // as the wire names it
  uint32_t amount_fen = 0;
  uint32_t unused_id = 0;  // kRepeat or kNone of kWin or kGift: the record's own envelope, not needed; else 0
  uint32_t unused_fen = 0;
  uint32_t grants = 0;     // kStatement
  uint64_t total_fen = 0;  // kStatement
  uint64_t stamp = 0;      // of the request that is answered
  uint64_t reply_to = 0;
  uint32_t cursor = 0;  // kResume: where the next page begins; 0 = that was all
};

// The outcome of a record that is settled as new, as it says.
inline Outcome AsNew(const Record& record) {
  return {.kind = record.kind,
          .settled = Settled::kNew,
          .has_stamp = record.has_stamp,
          .user = record.user,
          .envelope_id = record.envelope_id,
          .amount_fen = record.amount_fen,
          .stamp = record.stamp,
          .reply_to = record.reply_to};
}

// ---- what a restart finds ----

// An order that something is left of: to be issued, or issued and not won.
struct UnfinishedOrder {
  Order order{};
  Places taken{};                  // shares that have been won, gifts that were made
  envelope::Fen taken_fen{};       // of a lot
  std::optional<Cancel> cancel{};  // of a lot: only what is below its place is left
};

// One that nothing is left of.
struct FinishedOrder {
  Order order{};
  int64_t issued = 0;  // won, made
  std::optional<Cancel> cancel{};
};

struct LiveGift {
  uint32_t id = 0;
  uint32_t sender = 0;
  uint32_t total_fen = 0;
  int64_t created_ms = 0;  // unix time
  int64_t expires_ms = 0;
  std::vector<uint32_t> users{};
  std::vector<uint32_t> opened_fen{};  // by user; 0 = not opened
};

// The last stamp of a user whose grants have no identity (protocol v1): nobody's, but above 0, so that a v2 login sees that there
// is a history.
inline constexpr uint64_t kHistoryStamp = 1;

// Stamps further ahead of the clock than this are no measure of what a user has done: see Recovered::far_stamps.
inline constexpr int64_t kFarStampMs = 3'600'000;

// What identifies a request of protocol v2.
struct RequestName {
  uint32_t user = 0;
  uint64_t stamp = 0;
  friend auto operator<=>(const RequestName&, const RequestName&) = default;
};

struct UserState {
  // Highest of a grant or a send, but for far_stamps; kHistoryStamp if the user has grants, but none of such a stamp.
  uint64_t last_stamp = 0;
  uint16_t shake_wins = 0;
};

struct Recovered {
  uint64_t epoch = 1;  // counts the starts
  std::vector<UnfinishedOrder> orders{};
  std::vector<FinishedOrder> closed{};
  std::vector<LiveGift> gifts{};
  std::vector<UserState> users{};         // by id, up to the highest that ever appeared
  std::vector<RequestName> far_stamps{};  // ascending; of grants and sends whose stamps are too far ahead of the clock
  uint64_t granted_fen = 0;               // of all grants: what users have got so far
  uint64_t next_shake_id = 0;             // 0 = none was ever used
  uint64_t next_minted_gift_id = 0;       // 0 = none was ever used
  uint64_t next_sent_gift_id = 0;         // 0 = none was ever used
  int64_t clock_ms = 0;                   // unix time that was confirmed last; 0 = never
};

// Where outcomes go. Called on the ledger's thread, after the commit. Must not wait for the submitting thread.
class OutcomeSink {
 public:
  virtual ~OutcomeSink() = default;
  virtual void Deliver(uint32_t lane, const Outcome& outcome) = 0;
};

class Ledger {
 public:
  virtual ~Ledger() = default;

  // Once: the state the file was found in. Empties it.
  virtual Recovered TakeRecovered() = 0;

  // Once, before the first Submit: `lanes` of `lane_records` each. `sink` must live until Stop has returned.
  virtual void Start(uint32_t lanes, uint32_t lane_records, OutcomeSink* sink) = 0;
  // Everything submitted is committed and its outcomes are delivered when it returns; the file is closed. Idempotent.
  virtual void Stop() = 0;

  // Lock-free, never waits. The caller keeps at most `lane_records` records without an outcome in a lane (a broken
  // promise aborts).
  virtual void Submit(uint32_t lane, const Record& record) = 0;

  // Durable when it returns OK. Waits for a commit: not for workers. Any thread.
  virtual absl::Status RecordOrder(const Order& order) = 0;
  // The same. Nothing of what goes back may be won or made any more.
  virtual absl::Status RecordCancel(const Cancel& cancel) = 0;

  // True: hardly any grant fits into the file any more, so no request that may end in one is to be taken on. Any thread.
  virtual bool full() const { return false; }

  // The wall clock is good, and says so (unix time): the file remembers it with a commit to come, every ten seconds or so.
  virtual void SawClock(int64_t) {}
};

}  // namespace hongbao::ledger
