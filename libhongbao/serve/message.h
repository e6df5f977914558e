// Message: what one worker, the minter or the ledger tells a worker. Everything else of a worker is its own.
//
// Each kind of message is a struct with what it says and nothing else; a Message is one of them. `address` is always a packed
// connection (session_address.h), and the message goes to that connection's worker. Owns nothing; copied by value through the
// inboxes of net/. Thread tag: thread-compatible (a value).
#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <type_traits>
#include <variant>

#include "absl/types/span.h"
#include "libhongbao/ledger/ledger.h"
#include "libhongbao/serve/envelope_ids.h"

namespace hongbao::serve {

inline constexpr uint32_t kGiftUsersMax = 50;

// All whom a gift is for.
struct Invited {
  uint8_t count = 0;
  uint32_t users[kGiftUsersMax] = {};

  Invited() = default;
  explicit Invited(absl::Span<const uint32_t> all) : count(static_cast<uint8_t>(all.size())) {
    std::copy(all.begin(), all.end(), users);
  }
  absl::Span<const uint32_t> Users() const { return {users, count}; }
};

// To the gift's owner: the minter has drawn it.
struct MintedGift {
  uint32_t gift_id = 0;
  uint32_t amount_fen = 0;
  Invited invited{};
};

// Tell `user` of a gift.
struct Notice {
  uint64_t address = 0;
  uint32_t user = 0;
  MintedGift gift{};
};

// To the gift's owner: `user` opens it.
struct OpenGift {
  uint64_t address = 0;  // where the answer goes
  uint64_t stamp = 0;
  uint32_t user = 0;
  uint32_t gift_id = 0;
  bool has_identity = false;  // `stamp` is a v2 request's identity
};

// The answer to OpenGift, without a ledger; with one it is an outcome.
struct GiftOpened {
  uint64_t address = 0;
  uint64_t stamp = 0;
  uint32_t user = 0;
  uint32_t gift_id = 0;
  uint32_t amount_fen = 0;  // 0: no share
};

// That open cannot be answered now: the connection is closed, to come again.
struct OpenRefused {
  uint64_t address = 0;
};

// To every owner of gifts: notices of all gifts that `user` has not opened.
struct AskForNotices {
  uint64_t address = 0;
  uint32_t user = 0;
};

// To the gift's owner: a notice of it found no room at `address`, and now there may be some.
struct AskForNotice {
  uint64_t address = 0;
  uint32_t user = 0;
  uint32_t gift_id = 0;
};

// Close that connection: a newer login has replaced it.
struct Supersede {
  uint64_t address = 0;
};

// From the ledger to the worker that submitted the record.
struct RecordSettled {
  ledger::Outcome outcome{};
};

// To the worker of `outcome.reply_to`, which is the user's newer session, or the connection that an open came from.
struct ForwardedOutcome {
  ledger::Outcome outcome{};
  bool pays = false;  // the answer that the connection is owed (net::Port::Owe), not one of an older connection's
};

// To the worker that shall serve a gateway; see moves.h.
struct GatewayMove {
  uint64_t ticket = 0;
};

using Message = std::variant<Supersede, MintedGift, Notice, OpenGift, GiftOpened, OpenRefused, AskForNotices, AskForNotice,
                             RecordSettled, ForwardedOutcome, GatewayMove>;
static_assert(std::is_trivially_copyable_v<Message> && sizeof(Message) <= 232, "fits an inbox cell");

// Brings a message to a worker, 0..workers-1. Never loses one. May act on it at once if it is the own worker.
using PostFunction = std::function<void(uint32_t worker, const Message& message)>;

}  // namespace hongbao::serve
