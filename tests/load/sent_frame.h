// Shared by the fixtures of both kinds of fleet: a frame that a fleet has sent, the bytes of an answer, and the accounts that
// must close whatever happens.
#pragma once

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "libhongbao/load/counters.h"
#include "libhongbao/load/worker_tally.h"
#include "libhongbao/net/port.h"
#include "libhongbao/wire/codec.h"
#include "tests/net/scripted_ring.h"

namespace hongbao::load {

struct SentFrame {
  uint32_t slot = 0;
  wire::FrameType type{};
  std::string bytes;

  wire::FrameBytes frame() const { return {reinterpret_cast<const std::byte*>(bytes.data()), bytes.size()}; }
  uint64_t stamp() const { return wire::StampOf(frame().data()); }
  uint32_t user() const { return wire::LoadU32(frame().data() + 12); }  // of a shake, an open or a statement request
  wire::ShakeRequest Shake() const { return Decode<wire::ShakeRequest>(wire::DecodeShakeRequest); }
  wire::LoginRequest Login() const { return Decode<wire::LoginRequest>(wire::DecodeLoginRequest); }
  wire::OpenRequest Open() const { return Decode<wire::OpenRequest>(wire::DecodeOpenRequest); }
  wire::StatementRequest Statement() const { return Decode<wire::StatementRequest>(wire::DecodeStatementRequest); }
  // Whatever connection it was on.
  friend bool operator==(const SentFrame& a, const SentFrame& b) { return a.bytes == b.bytes; }

 private:
  template <typename Message, typename Decoder>
  Message Decode(Decoder decoder) const {
    Message message;
    EXPECT_EQ(decoder(frame(), message), wire::Decoded::kOk);
    return message;
  }
};

// Only those of a type.
inline std::vector<SentFrame> Of(wire::FrameType type, std::vector<SentFrame> frames) {
  std::erase_if(frames, [type](const SentFrame& one) { return one.type != type; });
  return frames;
}

// `size` bytes, as `encode` fills them in.
template <typename Encode>
std::string Bytes(size_t size, Encode encode) {
  std::string bytes(size, '\0');
  encode(reinterpret_cast<std::byte*>(bytes.data()));
  return bytes;
}

inline std::vector<uint32_t> SlotsOf(const net::ScriptedRing& ring, ring::Operation operation) {
  std::vector<uint32_t> slots;
  for (const auto& [user_data, entry] : ring.entries()) {
    if (entry.tag.operation == operation) {
      slots.push_back(entry.tag.slot);
    }
  }
  return slots;
}

// `users`: whose statements are asked for at the end.
inline void ExpectAccountsClose(const WorkerTally& tally, const net::Port& port, uint64_t users) {
  const count::Values<Counter> n = tally.cells.Snapshot();
  EXPECT_EQ(n[Counter::kDue], n[Counter::kSent] + Missed(n));
  EXPECT_EQ(n[Counter::kSent], n[Counter::kAnswered] + n[Counter::kLost] + n[Counter::kOutstanding]);
  EXPECT_EQ(n[Counter::kAnswered], n[Counter::kWon] + n[Counter::kNothing] + n[Counter::kCap] + n[Counter::kOverload]);
  EXPECT_EQ(n[Counter::kOpensSent], n[Counter::kOpened] + n[Counter::kOpenedEmpty] + n[Counter::kOpensOutstanding]);
  EXPECT_EQ(n[Counter::kNotices], n[Counter::kOpensSent] + n[Counter::kNoticesRepeated] +
                                      n[Counter::kNoticesMisdelivered] + n[Counter::kNoticesNotOpened]);
  if (tally.statements_done.load()) {
    EXPECT_EQ(users,
              n[Counter::kStatementsEqual] + n[Counter::kStatementsDifferent] + n[Counter::kStatementsSkipped]);
  }
  EXPECT_EQ(n[Counter::kConnects], n[Counter::kClosed] + port.live());
}

}  // namespace hongbao::load
