// Counters: what net/ counts, per worker, beside the closes (count::Cells<CloseReason>).
//
// Thread tag: as count::Cells (the worker writes, anyone reads).
#pragma once

#include <cstdint>

#include "libhongbao/count/cells.h"
#include "libhongbao/count/labels.h"
#include "libhongbao/net/connection.h"

namespace hongbao::net {

enum class Counter : uint32_t {
  kAccepted,
  kTurnedAway,  // accepted and closed at once: the table is too small for the descriptor's number
  kConnected,
  kConnectFailed,
  kReceives,  // completions with bytes
  kReceivedBytes,
  kSends,  // completed sends
  kSentBytes,
  kShortSends,    // the kernel took a part only; the rest went in another send
  kNoBuffers,     // receives that ended for want of a buffer and were armed again
  kRearms,        // multishot receives that ended by themselves and were armed again
  kHolds,         // times that a connection's receive was stopped, because the answers to more would have had no room
  kAcceptPauses,  // accepts that ended by want of descriptors or memory and were armed again later
  kTurns,
  kSleeps,
  kEnters,
  kOverflows,  // enters that found the CQ overflowed
  kCount
};

inline constexpr auto kCounterLabels = count::LabelsOf<Counter>();

inline constexpr auto kCloseReasonLabels = count::LabelsOf<CloseReason>();

// A worker's, shared by its sets.
struct Counters {
  count::Cells<Counter> events;
  count::Cells<CloseReason> closes;  // connections that the application knew
};

}  // namespace hongbao::net
