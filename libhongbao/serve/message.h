// Message: what one worker (or the minter) tells another. Everything else of a worker is its own.
//
// Owns nothing; copied by value through the inboxes of net/.
// Thread tag: thread-compatible (a value).
#pragma once

#include <cstdint>
#include <cstring>
#include <type_traits>

#include "libhongbao/ledger/ledger.h"

namespace hongbao::serve {

inline constexpr uint32_t kGiftUsersMax = 50;

enum class MessageKind : uint8_t {
  kSupersede,  // to the worker of `address`: close that connection, a newer login has replaced it
  kGift,       // to the owner of `envelope_id`: a new gift of `amount_fen` for `users`, from `user`
  kNotice,  // to the worker of `address`: tell `user` there of the gift `envelope_id` (amount_fen, users: all invited)
  kOpen,    // to the owner of `envelope_id`: `user` opens it; the answer goes to `address`
  kOpened,  // to the worker of `address`: the answer, `amount_fen` (0: no share)
  kRemind,  // to every owner: notices of all gifts that `user` has not opened, to `address`
  kRemindOf,  // to the owner of `envelope_id`: a notice of it for `user` found no room at `address`, and now there may be some
  kRefuseOpen,  // to the worker of `address`: an open that cannot be answered now; the connection is closed, to come again
  kOutcome,     // from the ledger to the worker that submitted the record: outcome()
  kMove,        // to the worker that shall serve a gateway: `address` is its ticket, see moves.h
  kForward,     // to the worker of `address`, `user`'s newer session: outcome() found the older one gone
};

struct Message {
  MessageKind kind{};
  uint8_t user_count = 0;     // how many of `users` are meant
  bool has_identity = false;  // kOpen: `stamp` is a v2 request's identity
  bool pays = false;  // kForward: the answer that the connection is owed (net::Port::Owe), not one of an older connection's
  uint32_t user = 0;
  uint64_t address = 0;  // packed, see directory.h
  uint64_t stamp = 0;    // of the request that is answered
  uint32_t envelope_id = 0;
  uint32_t amount_fen = 0;
  uint32_t users[kGiftUsersMax] = {};  // kOutcome, kForward: the bytes of an outcome

  ledger::Outcome outcome() const {
    ledger::Outcome outcome;
    std::memcpy(&outcome, users, sizeof(outcome));
    return outcome;
  }
  static Message Of(MessageKind kind, const ledger::Outcome& outcome) {
    static_assert(std::is_trivially_copyable_v<ledger::Outcome> && sizeof(outcome) <= sizeof(users));
    Message message{.kind = kind};
    std::memcpy(message.users, &outcome, sizeof(outcome));
    return message;
  }
};
static_assert(std::is_trivially_copyable_v<Message> && sizeof(Message) <= 256, "fits an inbox cell");

// ---- envelope ids: three ranges that can't meet ----
// Won by shaking:        0x00100001 up to 0x7fffffff
// Gifts of a mint run:   0x80000001 up to 0xbfffffff, numbered by the minter
// Gifts sent by a user:  0xc0000000 up, numbered by the worker that owns them

inline constexpr uint32_t kFirstShakeId = 0x00100001;
inline constexpr uint32_t kLastShakeId = 0x7fffffff;
inline constexpr uint32_t kGiftBit = 0x80000000;
inline constexpr uint32_t kFirstMintedGiftId = 0x80000001;
inline constexpr uint32_t kLastMintedGiftId = 0xbfffffff;
inline constexpr uint32_t kFirstSentGiftId = 0xc0000000;
inline constexpr uint32_t kLastSentGiftId = 0xffffffff;

constexpr bool IsGift(uint32_t envelope_id) { return (envelope_id & kGiftBit) != 0; }

// The worker whose book holds the gift; everything that happens to it happens there.
constexpr uint32_t OwnerOf(uint32_t envelope_id, uint32_t workers) { return (envelope_id & ~kGiftBit) % workers; }

}  // namespace hongbao::serve
