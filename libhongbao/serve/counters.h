// Counters: what serve/ counts, one set of cells per worker, beside what net/ counts (accepts, closes, bytes).
//
// "Requests" are shakes: received = replied + refused + dropped + waiting for the ledger, and replied = won + nothing + cap +
// repeated, always. With a ledger a win counts when it is durable.
// Amounts are fen. Thread tag: as count::Cells (the worker writes, anyone reads).
#pragma once

#include <cstdint>

#include "libhongbao/count/cells.h"
#include "libhongbao/count/history.h"
#include "libhongbao/count/labels.h"

namespace hongbao::serve {

enum class Counter : uint32_t {
  kReceived,  // shakes
  kReplied,   // answered won, nothing or cap; the answer is queued to the connection
  kRefused,   // answered "overloaded" (17) or "ahead" (19)
  kDropped,   // not answered: the connection had no room for the answer. Nothing was claimed for it
  kWon,
  kWonFen,
  kNothing,
  kCap,
  kFramesLogin,  // frames by type, as received
  kFramesShake,
  kFramesOpen,
  kFramesSend,
  kFramesStatement,
  kLoginsOk,
  kLoginsOutOfRange,
  kLoginsBadToken,
  kLoginsFull,  // full or draining
  kSuperseded,  // sessions that a newer login replaced; a gateway's login may replace many
  kUsersCame,   // online now = came - left, over all workers together
  kUsersLeft,
  kConnectionsOpened,
  kConnectionsClosed,
  kSendsRefused,    // SendRequests answered "refused" (18)
  kSendsOverload,   // SendRequests answered "overloaded" (17) or "ahead" (19)
  kSendsSenderCap,  // answered "capped" (20): the sender has as many live gifts as one may have
  kSendsPairCap,    // the same: to one of the invited
  kSendsUserFull,   // of kSendsOverload: one of the invited has too many unopened gifts
  kSendsBookFull,   // of kSendsOverload: the part of the book that is for sends is full
  kSendsNoIds,      // of kSendsOverload: no numbers for gifts are left
  kGiftsSent,       // gifts in a book, minted or sent by a user
  kGiftsSentFen,
  kGiftShares,
  kGiftsOfferedAgain,  // times a minted gift found no room and went back to the minter, to be offered again
  kGiftsRefused,       // minted gifts that the book could not take
  kGiftsRefusedFen,
  kOpened,  // shares
  kOpenedFen,
  kOpenedAgain,  // opens answered with the first amount once more
  kOpensEmpty,   // opens answered with 0
  kRefundedShares,
  kRefundedFen,
  kNotices,      // notices queued to a connection
  kNoticesLost,  // the user's connection was gone when the notice came to it, or had no room: sent again when there is some, or
                 // at the next login
  kRepliesLost,  // answers from elsewhere whose connection was gone; asking again gives the same
  kRepeated,     // shakes answered with their first outcome once more
  kReturned,     // shares claimed for a request that turned out to have an outcome: back to the minter
  kReturnedFen,
  kSendsRepeated,  // SendRequests answered with their first outcome once more
  kLedgerFull,     // of kRefused and the refused sends and logins: too many records waited for the ledger
  kResumed,        // grants re-sent after a login
  kForwarded,      // outcomes sent to the user's newer session
  kGatewaysMoved,  // to the worker that had fewest of them, by the one that accepted it
  kStampsAhead,    // of kRefused and kSendsOverload: answered "ahead" (19), as they were stamped too far ahead of the clock
  kLate,           // sends and opens of a connection that a newer login had replaced: nothing was made, nobody is told
  kCount
};

inline constexpr auto kCounterLabels = count::LabelsOf<Counter>();

// What one worker counts, where reporters read it.
struct WorkerCounters {
  count::Cells<Counter> cells;
  count::History<Counter> history;
};

}  // namespace hongbao::serve
