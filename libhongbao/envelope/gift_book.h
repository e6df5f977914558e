// Gift book: the one owner of the gifts whose ids belong to one worker.
//
// Owns each gift from its creation to its expiry: who may open it, what each has drawn, what is left; the index from
// user to unopened gifts (for notices at login); the totals, with issued = opened + left + refunded checked at every
// change. Never draws a share twice, never pays anybody who was not invited, never forgets money: what nobody opened is
// refunded at expiry. Knows no sessions, sockets or clocks: time is handed in. Room for `gifts_max` gifts is set aside
// up front; a gift of at most 3 shares allocates nothing.
// Thread tag: worker-local.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/container/inlined_vector.h"
#include "absl/functional/function_ref.h"
#include "absl/types/span.h"
#include "libhongbao/envelope/fen.h"
#include "libhongbao/envelope/random.h"

namespace hongbao::envelope {

inline constexpr uint32_t kGiftUsersMax = 50;

inline constexpr uint32_t kNoSender = 0xffff'ffff;  // of what was minted

struct GiftBookOptions {
  uint32_t gifts_max = 100'000;  // live gifts (opened ones count until they expire); 1..2^26 - 1
  uint32_t users_max = 10'000;   // distinct users with unopened gifts to set room aside for; not a limit
};

enum class GiftCreated : uint8_t {
  kOk,
  kFull,  // gifts_max live gifts: try again later (nothing changed)
  kBad,   // no users, more than kGiftUsersMax, a user twice, total below one fen each or above 2^32 - 1, already
          // expired, or an id that is in the book: never right (nothing changed)
};

enum class GiftOpened : uint8_t {
  kNone,   // no share for this user: unknown gift, not invited, expired. amount = 0
  kNew,    // drawn by this call
  kAgain,  // drawn by an earlier call: the same amount as then
};

struct GiftOpening {
  GiftOpened outcome = GiftOpened::kNone;
  Fen amount{};
};

struct GiftShare {
  uint32_t user_id = 0;
  uint32_t amount_fen = 0;  // 0: not opened
  uint32_t previous = 0;    // ring of this user's unopened shares (internal)
  uint32_t next = 0;
};

struct Gift {
  uint32_t id = 0;
  uint32_t sender = 0;
  Fen total{};
  Fen left{};
  int64_t created_ms = 0;
  int64_t expires_ms = 0;  // first moment at which it can't be opened any more
  uint32_t shares_left = 0;
  uint32_t previous_of_sender = 0;  // ring of this sender's live gifts, by slot (internal)
  uint32_t next_of_sender = 0;
  bool held = false;                           // not to be opened or told of before Release
  absl::InlinedVector<GiftShare, 3> shares{};  // in the order of the invited users

  // Writes the invited users to `users` (room for kGiftUsersMax) and returns how many: the list for a notice.
  size_t CopyUsers(uint32_t* users) const;
};

static_assert(sizeof(Gift) == 112, "with its places in the book's lists about 150 bytes a live gift, 16 more a share above 3");

// What goes back to the sender of an expired gift.
struct GiftRefund {
  uint32_t gift_id = 0;
  uint32_t sender = 0;
  uint32_t shares = 0;  // >= 1: a gift that was opened by all has no refund
  Fen amount{};
  absl::Span<const uint32_t> users{};  // who had not opened it, `shares` of them; for the time of the call
};

struct GiftTotals {
  uint64_t gifts = 0;  // ever created
  uint64_t gifts_live = 0;
  uint64_t shares = 0, opened_shares = 0, left_shares = 0, refunded_shares = 0;
  Fen issued{}, opened{}, left{}, refunded{};
  // Of the above: what Restore brought, opened shares of restored gifts apart.
  uint64_t restored_shares = 0;
  Fen restored{};
};

class GiftBook {
 public:
  explicit GiftBook(const GiftBookOptions& options);
  GiftBook(const GiftBook&) = delete;
  GiftBook& operator=(const GiftBook&) = delete;

  // `users`: the invited, distinct, 1..kGiftUsersMax. Times in ms of one clock of the caller's. `gift_id` is the
  // caller's to choose, unused so far.
  GiftCreated Create(uint32_t gift_id, uint32_t sender, Fen total, absl::Span<const uint32_t> users, int64_t now_ms,
                     int64_t expires_ms);

  // What Create made last is not to be opened or told of until Release: somebody still has to agree to it.
  void Hold(uint32_t gift_id);
  // False: the gift is not there any more.
  bool Release(uint32_t gift_id);
  // Takes a held gift back, as if it had never been created. Quick for one of those that expire last.
  void Cancel(uint32_t gift_id);

  // A gift from an earlier life: `opened_fen` by user, 0 = not opened. What was opened counts in no total, but is
  // returned when opened again.
  GiftCreated Restore(uint32_t gift_id, uint32_t sender, Fen total, absl::Span<const uint32_t> users,
                      absl::Span<const uint32_t> opened_fen, int64_t now_ms, int64_t expires_ms);

  // One share per invited user, drawn at the first call (envelope/split.h).
  GiftOpening Open(uint32_t gift_id, uint32_t user_id, int64_t now_ms, Random& random);

  // The gift, or null. Valid until the next call that is not const. Expired gifts are found until Expire takes them
  // out.
  const Gift* Find(uint32_t gift_id) const;

  // Whether one of `users` is invited to `limit` live gifts of this sender's already. O(the sender's live gifts).
  bool AnyInvitedOften(uint32_t sender, absl::Span<const uint32_t> users, size_t limit) const;

  // Calls `visit` for up to `limit` gifts that this user may still open, oldest first. `visit` must not change the
  // book. Returns the number of calls.
  size_t ForEachUnopened(uint32_t user_id, int64_t now_ms, size_t limit, absl::FunctionRef<void(const Gift&)> visit) const;

  // Takes out at most `budget` gifts with expires_ms <= now_ms, the earliest first, and calls `refund` for each that
  // still held money (after the totals have changed). A held gift stays, and what expires later stays behind it, until it is
  // released or cancelled. Returns the number taken out; == budget: there may be more.
  // `gone`: for each that was taken out, its sender.
  size_t Expire(
      int64_t now_ms, size_t budget, absl::FunctionRef<void(const GiftRefund&)> refund,
      absl::FunctionRef<void(uint32_t sender)> gone = [](uint32_t) {});

  // Gives each gift another moment at which it expires. O(gifts).
  void Reschedule(absl::FunctionRef<int64_t(const Gift&)> expires_ms);

  const GiftTotals& totals() const { return totals_; }
  uint32_t gifts_max() const { return options_.gifts_max; }
  // Counts everything again from the gifts themselves and compares with the totals; aborts on a difference. O(gifts).
  void Audit() const;

 private:
  struct Expiry {
    int64_t expires_ms;
    uint32_t slot;
  };

  GiftShare& At(uint32_t share);
  const GiftShare& At(uint32_t share) const;
  void Link(uint32_t share);
  void Unlink(uint32_t share);
  void CheckTotals() const;
  void LinkSender(uint32_t slot);
  void UnlinkSender(uint32_t slot);
  void TakeOut(uint32_t slot);
  void ForgetExpiry(uint32_t slot);

  GiftBookOptions options_;
  std::vector<Gift> gifts_;  // slots; a slot not in use has no shares
  std::vector<uint32_t> free_slots_;
  std::vector<Expiry> expiries_;                        // heap, the earliest first; one entry per live gift
  absl::flat_hash_map<uint32_t, uint32_t> slot_of_id_;  // live gifts
  absl::flat_hash_map<uint32_t, uint32_t> unopened_;    // user -> its oldest unopened share (slot << 6 | index)
  absl::flat_hash_map<uint32_t, uint32_t> of_sender_;   // sender -> slot of one of its live gifts
  GiftTotals totals_;
};

}  // namespace hongbao::envelope
