// Gifts: the gifts that one worker owns, as the other workers deal with them: by message, both ways.
//
// Owns the worker's gift book and its random numbers. Every request comes as a call or a message and every answer
// leaves as a message through `post`, also to the own worker, so there is one path and it needs no socket to be tested.
// Keeps the directory's unopened count in step, which is what lets a login skip the question. Thread tag: worker-local.
#pragma once

#include <cstdint>

#include "absl/container/flat_hash_map.h"
#include "absl/types/span.h"
#include "libhongbao/count/cells.h"
#include "libhongbao/envelope/gift_book.h"
#include "libhongbao/envelope/lucky_pool.h"
#include "libhongbao/envelope/random.h"
#include "libhongbao/serve/counters.h"
#include "libhongbao/serve/directory.h"
#include "libhongbao/serve/ledger_lane.h"
#include "libhongbao/serve/message.h"
#include "libhongbao/serve/returned.h"
#include "libhongbao/time/clock_trust.h"
#include "libhongbao/wire/messages.h"

namespace hongbao::serve {

// The limits of one worker's gifts.
struct GiftOptions {
  uint32_t gifts_max = 100'000;  // live gifts in this worker's book
  int64_t expiry_ms = 24 * 3'600'000;
  uint64_t first_sent_id = kFirstSentGiftId;  // gifts sent by users are numbered from here on
  uint32_t gifts_per_sender = 0;              // live gifts of one sender, in all books; 0 = no limit
  uint32_t gifts_per_pair = 0;                // of one sender to one user, in this book; 0 = no limit
};

// What a worker's gifts work with.
struct GiftServices {
  uint32_t worker = 0;  // this one
  uint32_t workers = 1;
  Directory& directory;
  LedgerLane& ledger;
  count::Cells<Counter>& cells;
  Returned& returned;  // takes minted gifts that find no room
  PostFunction post;
};

// A gift that a user asks to send.
struct GiftSend {
  uint32_t sender = 0;
  uint32_t amount_fen = 0;
  absl::Span<const uint32_t> users{};
  uint64_t stamp = 0;
  uint64_t reply_to = 0;  // the connection's address
  uint32_t login = 0;     // see Directory::Decide
};

class Gifts {
 public:
  // Notices sent to one user by one owner at a login: the oldest unopened gifts. Each that is opened lets the next one in.
  static constexpr size_t kRemindMax = 32;
  // By all owners together: of the longest notices (224 bytes) no more than a connection may hold unsent.
  static constexpr size_t kRemindMaxOfAll = 64;

  Gifts(const GiftOptions& options, const GiftServices& services,
        const envelope::Random& random = envelope::Random::FromSystem());

  // For each gift of an earlier life, before any worker starts: a login that comes before the gift's owner has restored it asks
  // for notices all the same.
  static void CountUnopened(const ledger::LiveGift& gift, Directory& directory);
  // Such a gift, before the first turn. `now_ns` monotonic, `wall_ns` unix time of the same moment. While `wall_ns` is not
  // confirmed it does not expire.
  void Restore(const ledger::LiveGift& gift, int64_t now_ns, int64_t wall_ns, bool confirmed = true);
  // The wall clock is good now: what was restored without one expires when the ledger says.
  void ConfirmClock(int64_t now_ns, int64_t wall_ns);
  // Expiries that are written down are never before what this makes of the monotonic clock: a wall clock that is set back
  // makes no gift's life shorter.
  void SetFloor(int64_t floor_ns) { floor_ms_ = floor_ns / time::kNsPerMs; }

  // From then on "now" (monotonic, and unix time). Takes out up to `budget` expired gifts. True when more may be due.
  bool BeginTurn(int64_t now_ns, int64_t wall_ns, size_t budget = 256);

  // A user's send: a gift in this worker's book. `gift_id` is set when kOk. With a ledger kOk means: under way, the answer
  // comes with the outcome.
  wire::SendResult Send(const GiftSend& send, uint32_t* gift_id);

  // The ledger has settled a gift (kGift) or an opened share (kOpen) of this worker's.
  void OnGiftSettled(const ledger::Outcome& outcome);
  void OnOpenSettled(const ledger::Outcome& outcome);

  // What other workers and the minter have to say to the owner of a gift.
  void Handle(const MintedGift& gift);
  void Handle(const OpenGift& open);
  void Handle(const AskForNotices& ask) { Remind(ask, 0); }
  void Handle(const AskForNotice& ask);

  const envelope::GiftBook& book() const { return book_; }
  // Shares in the book that the ledger has not settled: of held gifts, and drawn ones.
  const envelope::Tally& pending_shares() const { return pending_shares_; }
  const envelope::Tally& pending_opens() const { return pending_opens_; }

 private:
  envelope::GiftCreated Create(uint32_t gift_id, uint32_t sender, uint32_t amount_fen, absl::Span<const uint32_t> users,
                               uint32_t unopened_max);
  // Whether the sender may send such a gift now, and if not, the answer; counted. Counts it as the sender's if so.
  wire::SendResult ReserveAllowance(const GiftSend& send);
  void ReleaseAllowance(uint32_t sender);
  // The gift is in the book: it is told of, or goes to the ledger first. `has_stamp`: a user has sent it.
  void Begin(uint32_t gift_id, const GiftSend& send, bool has_stamp);
  void SubmitGift(uint32_t gift_id, const GiftSend& send, bool has_stamp);
  // Counts it, and tells the invited who are here.
  void Announce(uint32_t gift_id, uint32_t amount_fen, absl::Span<const uint32_t> users);
  void CountOpen(uint32_t user, uint32_t amount_fen);
  ledger::Record RecordOf(ledger::RecordKind kind, uint32_t gift_id, uint32_t amount_fen) const;
  void SubmitOpen(const OpenGift& open, ledger::RecordKind kind, uint32_t amount_fen);
  void AnswerOpen(const OpenGift& open, const envelope::GiftOpening& opening);
  void RefuseOpen(const OpenGift& open);
  void RememberShare(const OpenGift& open) {
    directory_.RememberShare(open.user, open.has_identity ? open.stamp : kHistoryStamp);
  }
  void Refund(const envelope::GiftRefund& refund);
  void Notify(const envelope::Gift& gift, uint32_t user, uint64_t address);
  // Notices of the user's oldest unopened gifts, remind_max_ at most, without the first `skip`.
  void Remind(const AskForNotices& ask, size_t skip);
  int64_t LivesMs(int64_t expires_ms, int64_t wall_ms) const;

  const GiftOptions options_;
  const uint32_t worker_;
  const uint32_t workers_;
  const size_t remind_max_;
  Directory& directory_;
  LedgerLane& ledger_;
  count::Cells<Counter>& cells_;
  Returned& returned_;
  PostFunction post_;
  envelope::Random random_;
  envelope::GiftBook book_;
  int64_t now_ms_ = 0;
  int64_t wall_ms_ = 0;
  int64_t floor_ms_ = 0;                            // agreed less monotonic, at least
  absl::flat_hash_map<uint32_t, int64_t> waiting_;  // restored gifts whose expiry (unix ms) waits for a clock
  uint64_t next_sent_id_;                           // 64 bits: may stand one past the last id
  envelope::Tally pending_shares_;
  envelope::Tally pending_opens_;
};

}  // namespace hongbao::serve
