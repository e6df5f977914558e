// CounterRecord: what a process tells a monitor of one second, 976 bytes once a second, in the 2017 prototype's layout.
//
// Owns the numbers of the slots and the byte order. Never knows who sends it or what becomes of it. The table of the slots,
// with their units, is docs/PROTOCOL.md's. Thread tag: thread-safe (pure functions).
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "absl/types/span.h"
#include "libhongbao/cpp20.h"

namespace hongbao::wire {

inline constexpr size_t kRecordSlots = 60;
inline constexpr size_t kCounterRecordBytes = 8 + 8 + 2 * 8 * kRecordSlots;
static_assert(kCounterRecordBytes == 976);

enum class Role : uint64_t { kClient = 0, kServer = 1, kNic = 2 };
inline constexpr uint64_t kRoles = 3;  // a record of another role is malformed

// `count` of a slot is of the second, `total` since the process began, unless "now" or a pair is said. Of clients and servers:
enum class Slot : uint32_t {
  // 0..9: frames by their type
  kRequests = 10,
  kResponses = 11,
  kWon = 14,
  kNothing = 15,
  kCap = 16,
  kOverload = 17,
  kGrantsSent = 18,
  kConnectionsOpened = 20,
  kConnectionsClosed = 21,
  // A server has issued what it put into the pool, and counts as received what it gave away; a client receives.
  kShakeIssued = 22,
  kShakeReceived = 23,
  kShakeIssuedFen = 24,
  kShakeReceivedFen = 25,
  kGiftsIssued = 30,
  kSharesReceived = 31,
  kGiftsIssuedFen = 32,
  kSharesReceivedFen = 33,
  // Ours, from here on.
  kTarget = 40,
  kMissed = 41,
  kLate = 42,
  kLost = 43,
  kOnline = 44,      // connections now | users logged in now
  kLatencyP50 = 45,  // ns, of the second | how many answers it is of
  kLatencyP99 = 46,  // p90 ns | p99 ns, of the second
  kLatencyMax = 47,  // p99.9 ns | max ns, of the second
  kCpuUs = 48,
  kMemory = 49,       // bytes now | highest so far
  kUsers = 50,        // first user | number of users of this process
  kFleet = 51,        // users of the whole fleet | requests a second of the whole fleet
  kLife = 52,         // unix ns when the process began | process id: together they tell one life from the next
  kClock = 53,        // this clock less the server's, ns in two's complement | round trips it was learned from
  kLeft = 54,         // shake envelopes nobody has won, now | their fen
  kBase = 55,         // fen that users had before this process, by the server's statements | of how many users
  kOutstanding = 56,  // requests without an answer now | opens without an answer now
  kEnd = 57,          // 1: the last record, the process ends in order | its exit code
  kClockSteps = 58,   // by how much the wall clock was set in all, ms in two's complement | how often
  kSuperseded = 59,   // sessions that a login of the same user elsewhere ended
};

// Of a network card's monitor (role 2).
enum class NicSlot : uint32_t {
  kRxPackets = 40,
  kRxBytes = 41,
  kTxPackets = 42,
  kTxBytes = 43,
  kRxDropped = 44,
  kTxDropped = 45,
  kSoftirqRx = 46,
  kSoftirqTx = 47,
  kTcpRetransmitted = 48,
  kTcpReceived = 49,
  kTcpSent = 50,
  kListenDropped = 51,
  kLife = 52,
  kEnd = 57,  // as above
};

struct CounterRecord {
  int64_t unix_s = 0;  // the second it tells of
  Role role = Role::kClient;
  std::array<uint64_t, kRecordSlots> count{};
  std::array<uint64_t, kRecordSlots> total{};

  template <typename AnySlot>
  void Set(AnySlot slot, uint64_t of_second, uint64_t in_all) {
    count[static_cast<size_t>(slot)] = of_second;
    total[static_cast<size_t>(slot)] = in_all;
  }
  template <typename AnySlot>
  uint64_t Count(AnySlot slot) const {
    return count[static_cast<size_t>(slot)];
  }
  template <typename AnySlot>
  uint64_t Total(AnySlot slot) const {
    return total[static_cast<size_t>(slot)];
  }

  friend bool operator==(const CounterRecord&, const CounterRecord&) = default;
};

void EncodeCounterRecord(std::byte* out, const CounterRecord& record);  // kCounterRecordBytes

// False: the role is none, or the second is beyond what int64 nanoseconds can say. `in` has kCounterRecordBytes.
bool DecodeCounterRecord(absl::Span<const std::byte> in, CounterRecord& record);

}  // namespace hongbao::wire
