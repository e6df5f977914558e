// Any bytes, in any pieces, to either side of either version: the frames found never depend on the pieces, no read
// leaves the bytes given, and a frame that decodes encodes to the same bytes again.
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "libhongbao/check.h"
#include "libhongbao/wire/codec.h"

namespace hongbao::wire {
namespace {

using Bytes = std::vector<std::byte>;

// `frame` decoded and encoded again; empty when it did not decode.
Bytes Again(FrameType type, FrameBytes frame, Version version) {
  Bytes out(frame.size());
  const auto again = [&](auto message, auto decode, auto encode) {
    if (decode(frame, message) == Decoded::kMalformed) return Bytes();
    encode(out.data(), message);
    return out;
  };
  const auto versioned = [&](auto message, auto decode, auto encode) {
    if (decode(frame, version, message) == Decoded::kMalformed) return Bytes();
    encode(out.data(), version, message);
    return out;
  };
  switch (type) {
    case FrameType::kLoginRequest:
      return again(LoginRequest(), DecodeLoginRequest, EncodeLoginRequest);
    case FrameType::kLoginResponse:
      return versioned(LoginResponse(), DecodeLoginResponse, EncodeLoginResponse);
    case FrameType::kShakeRequest:
      return again(ShakeRequest(), DecodeShakeRequest, EncodeShakeRequest);
    case FrameType::kShakeResponse:
      return again(ShakeResponse(), DecodeShakeResponse, EncodeShakeResponse);
    case FrameType::kGiftNotice:
      return versioned(GiftNotice(), DecodeGiftNotice, [](std::byte* to, Version v, const GiftNotice& message) {
        EncodeGiftNotice(to, v, {message.stamp, message.envelope_id, message.amount_fen, message.users[0], message.Users()});
      });
    case FrameType::kOpenRequest:
      return again(OpenRequest(), DecodeOpenRequest, EncodeOpenRequest);
    case FrameType::kOpenResponse:
      return versioned(OpenResponse(), DecodeOpenResponse, EncodeOpenResponse);
    case FrameType::kSendRequest:
      return again(SendRequest(), DecodeSendRequest, EncodeSendRequest);
    case FrameType::kSendResponse:
      return again(SendResponse(), DecodeSendResponse, EncodeSendResponse);
    case FrameType::kStatementRequest:
      return again(StatementRequest(), DecodeStatementRequest, EncodeStatementRequest);
    case FrameType::kStatement:
      return again(Statement(), DecodeStatement, EncodeStatement);
  }
  Check(false, "Peek names only types that exist");
  return {};
}

// What a receiver makes of a stream: the bytes of the frames it took, and whether it closed the connection.
struct Outcome {
  Bytes taken;
  bool malformed = false;
  bool operator==(const Outcome&) const = default;
};

// `chunk(n)`: how many of the n bytes still to come arrive next (>= 1).
template <typename Chunk>
Outcome Receive(FrameBytes stream, Side side, Version version, Chunk chunk) {
  Outcome outcome;
  Bytes kept;
  while (!stream.empty()) {
    const size_t size = chunk(stream.size());
    kept.insert(kept.end(), stream.begin(), stream.begin() + static_cast<ptrdiff_t>(size));
    stream.remove_prefix(size);
    for (;;) {
      // A block of exactly its size, so that AddressSanitizer sees a read past the bytes that have arrived.
      const auto exact = std::make_unique<std::byte[]>(kept.size());
      std::copy(kept.begin(), kept.end(), exact.get());
      const FrameBytes in(exact.get(), kept.size());
      const Peeked peeked = Peek(in, side, version);
      Check(!StartsWithShake(in) || side == Side::kClient || version == Version::kUnknown ||
                (peeked.framing == Framing::kWhole && peeked.type == FrameType::kShakeRequest),
            "the short cut finds only what Peek finds");
      if (peeked.framing == Framing::kPartial) break;
      if (peeked.framing == Framing::kWhole) {
        const FrameBytes frame = in.subspan(0, peeked.length);
        if (version == Version::kUnknown) version = peeked.length == 16 ? Version::k1 : Version::k2;
        const Bytes again = Again(peeked.type, frame, version);
        if (!again.empty()) {
          Check(Bytes(frame.begin(), frame.end()) == again, "a decoded frame encodes to the same bytes");
          outcome.taken.insert(outcome.taken.end(), frame.begin(), frame.end());
          kept.erase(kept.begin(), kept.begin() + peeked.length);
          continue;
        }
      }
      outcome.malformed = true;
      return outcome;
    }
    Check(kept.size() < kFrameBytesMax, "a partial frame is smaller than the largest frame");
  }
  return outcome;
}

}  // namespace
}  // namespace hongbao::wire

// First byte: side and version; second: seed of the pieces; the rest: the stream.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace hongbao::wire;
  if (size < 2) return 0;
  const Side side = (data[0] & 1) != 0 ? Side::kClient : Side::kServer;
  const auto version = static_cast<Version>((data[0] >> 1) % 3);
  uint32_t state = data[1];
  const FrameBytes stream(reinterpret_cast<const std::byte*>(data + 2), size - 2);
  const Outcome whole = Receive(stream, side, version, [](size_t left) { return left; });
  const Outcome pieces = Receive(stream, side, version, [&state](size_t left) {
    state = state * 1664525 + 1013904223;  // Numerical Recipes' generator: any will do
    return 1 + (state >> 16) % (left < 37 ? left : 37);
  });
  hongbao::Check(whole == pieces, "how a stream is cut never changes what is found in it");
  return 0;
}
