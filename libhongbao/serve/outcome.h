// Outcome frames: what the ledger has settled, as the wire says it.
//
// Owns nothing. The one place where ledger and wire meet: neither knows the other. Thread tag: thread-safe (functions).
#pragma once

#include <cstddef>

#include "libhongbao/ledger/ledger.h"
#include "libhongbao/wire/messages.h"

namespace hongbao::serve {

// Bytes of the answer to kWin, kFindWin, kOpen, kFindOpen, kGift, kFindSend or kStatement; other kinds have none.
size_t OutcomeBytes(const ledger::Outcome& outcome, wire::Version version);
// Writes them to `to`.
void EncodeOutcome(std::byte* to, const ledger::Outcome& outcome, wire::Version version);

}  // namespace hongbao::serve
