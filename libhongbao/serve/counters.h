// Counters: what serve/ counts, one set of cells per worker, beside what net/ counts (accepts, closes, bytes).
//
// "Requests" are shakes: received = replied + refused + dropped + waiting for the ledger, and replied = won + nothing + cap +
// repeated, always. With a ledger a win counts when it is durable.
// Amounts are fen. Thread tag: as count::Cells (the worker writes, anyone reads).
#pragma once

#include <cstdint>

#include "libhongbao/count/cells.h"
#include "libhongbao/count/history.h"

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
  kSendsRefused,   // SendRequests answered "refused" (18)
  kSendsOverload,  // SendRequests answered "overloaded" (17) or "ahead" (19)
  kSendsSenderCap,  // answered "capped" (20): the sender has as many live gifts as one may have
  kSendsPairCap,    // the same: to one of the invited
  kSendsUserFull,   // of kSendsOverload: one of the invited has too many unopened gifts
  kSendsBookFull,   // of kSendsOverload: the part of the book that is for sends is full
  kSendsNoIds,      // of kSendsOverload: no numbers for gifts are left
  kGiftsSent,      // gifts in a book, minted or sent by a user
  kGiftsSentFen,
  kGiftShares,
  kGiftsOfferedAgain,  // times a minted gift found no room and went back to the minter, to be offered again
  kGiftsRefused,  // minted gifts that the book could not take
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

inline constexpr count::Label<Counter> kCounterLabels[] = {
    {Counter::kReceived, "received"},
    {Counter::kReplied, "replied"},
    {Counter::kRefused, "refused"},
    {Counter::kDropped, "dropped"},
    {Counter::kWon, "won"},
    {Counter::kWonFen, "won_fen"},
    {Counter::kNothing, "nothing"},
    {Counter::kCap, "cap"},
    {Counter::kFramesLogin, "frames_login"},
    {Counter::kFramesShake, "frames_shake"},
    {Counter::kFramesOpen, "frames_open"},
    {Counter::kFramesSend, "frames_send"},
    {Counter::kFramesStatement, "frames_statement"},
    {Counter::kLoginsOk, "logins_ok"},
    {Counter::kLoginsOutOfRange, "logins_out_of_range"},
    {Counter::kLoginsBadToken, "logins_bad_token"},
    {Counter::kLoginsFull, "logins_full"},
    {Counter::kSuperseded, "superseded"},
    {Counter::kUsersCame, "users_came"},
    {Counter::kUsersLeft, "users_left"},
    {Counter::kConnectionsOpened, "connections_opened"},
    {Counter::kConnectionsClosed, "connections_closed"},
    {Counter::kSendsRefused, "sends_refused"},
    {Counter::kSendsOverload, "sends_overload"},
    {Counter::kSendsSenderCap, "sends_sender_cap"},
    {Counter::kSendsPairCap, "sends_pair_cap"},
    {Counter::kSendsUserFull, "sends_user_full"},
    {Counter::kSendsBookFull, "sends_book_full"},
    {Counter::kSendsNoIds, "sends_no_ids"},
    {Counter::kGiftsSent, "gifts_sent"},
    {Counter::kGiftsSentFen, "gifts_sent_fen"},
    {Counter::kGiftShares, "gift_shares"},
    {Counter::kGiftsOfferedAgain, "gifts_offered_again"},
    {Counter::kGiftsRefused, "gifts_refused"},
    {Counter::kGiftsRefusedFen, "gifts_refused_fen"},
    {Counter::kOpened, "opened"},
    {Counter::kOpenedFen, "opened_fen"},
    {Counter::kOpenedAgain, "opened_again"},
    {Counter::kOpensEmpty, "opens_empty"},
    {Counter::kRefundedShares, "refunded_shares"},
    {Counter::kRefundedFen, "refunded_fen"},
    {Counter::kNotices, "notices"},
    {Counter::kNoticesLost, "notices_lost"},
    {Counter::kRepliesLost, "replies_lost"},
    {Counter::kRepeated, "repeated"},
    {Counter::kReturned, "returned"},
    {Counter::kReturnedFen, "returned_fen"},
    {Counter::kSendsRepeated, "sends_repeated"},
    {Counter::kLedgerFull, "ledger_full"},
    {Counter::kResumed, "resumed"},
    {Counter::kForwarded, "forwarded"},
    {Counter::kGatewaysMoved, "gateways_moved"},
    {Counter::kStampsAhead, "stamps_ahead"},
    {Counter::kLate, "late"},
};
static_assert(count::LabelsMatch(kCounterLabels));

// What one worker counts, where reporters read it.
struct WorkerCounters {
  count::Cells<Counter> cells;
  count::History<Counter> history;
};

}  // namespace hongbao::serve
