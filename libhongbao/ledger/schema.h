// Schema: the tables of a ledger file, and how accounts are numbered.
//
// Owns the schema's text and version. Every constraint in it is a guard of its own behind the server's logic: a defect that
// would pay twice, pay too much or forget a share makes the commit fail instead.
// Thread tag: thread-safe (constants).
#pragma once

#include <cstdint>
#include <string>

#include "libhongbao/ledger/ledger.h"

namespace hongbao::ledger {

// In the file's header: who made it and in which version.
inline constexpr int64_t kApplicationId = 0x68626c67;  // "hblg"
inline constexpr int64_t kSchemaVersion = 2;

enum class EnvelopeKind : int64_t { kLot = 1, kGift = 2 };  // a lot: all the envelopes of one shake order
enum class EnvelopeState : int64_t { kOpen = 1, kSpent = 2, kExpired = 3 };
enum class EntryKind : int64_t { kFund = 1, kSend = 2, kRefund = 3, kGrant = 4 };  // grants last: they grow at the end

// Accounts: the class in the high half, the number in the low one. Money comes from the system's account, which is
// negative by what was issued; a user who sends gifts may be negative too, as payment is another system's business.
inline constexpr int64_t kSystemAccount = 0;
constexpr int64_t UserAccount(uint32_t user) { return int64_t{1} << 32 | user; }
constexpr int64_t EscrowAccount(uint32_t envelope) { return int64_t{2} << 32 | envelope; }
constexpr int64_t SenderAccount(uint32_t sender) { return sender == kNobody ? kSystemAccount : UserAccount(sender); }

// Creates everything in an empty file, application id and version included. Version 2 adds tables to version 1 and changes none.
std::string SchemaSql(int64_t version = kSchemaVersion);
// Brings a file of version 1 up to 2.
std::string UpgradeSql();
// For a file of version 1 that is only looked at, or not judged yet: the new tables, empty, seen by this connection alone.
std::string StandInsSql();

}  // namespace hongbao::ledger
