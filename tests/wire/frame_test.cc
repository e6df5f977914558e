#include "libhongbao/wire/frame.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "tests/wire/vectors.h"

namespace hongbao::wire {
namespace {

using Bytes = std::vector<std::byte>;

// A frame head of that raw type and length, followed by zeros up to `size` bytes.
Bytes RawFrame(uint32_t type, uint32_t length, size_t size) {
  Bytes bytes(std::max<size_t>(size, 4));
  StoreU32(bytes.data(), length << 16 | type);
  bytes.resize(size);
  return bytes;
}

TEST(Peek, FindsEveryVectorWholeAndOnlyWhenTheLastByteIsThere) {
  for (const Vector& vector : kVectors) {
    const Bytes bytes = FromHex(vector.hex);
    for (size_t size = 0; size < bytes.size(); ++size) {
      const Peeked peeked = Peek({bytes.data(), size}, vector.receiver, vector.version);
      EXPECT_EQ(peeked.framing, Framing::kPartial) << vector.name << " cut at " << size;
    }
    Bytes more = bytes;
    more.resize(bytes.size() + 40, std::byte{0xff});
    for (const Bytes& in : {bytes, more}) {
      const Peeked peeked = Peek(in, vector.receiver, vector.version);
      EXPECT_EQ(peeked.framing, Framing::kWhole) << vector.name;
      EXPECT_EQ(peeked.type, vector.type) << vector.name;
      EXPECT_EQ(peeked.length, bytes.size()) << vector.name;
    }
  }
}

// The table of PROTOCOL.md, written a second time and in another way than in frame.h.
std::set<uint32_t> AllowedLengths(Side receiver, Version version, uint32_t type) {
  auto list = [](uint32_t count_min, uint32_t count_max) {
    std::set<uint32_t> lengths;
    for (uint32_t count = count_min; count <= count_max; ++count) lengths.insert(24 + 4 * count);
    return lengths;
  };
  if (receiver == Side::kServer) {
    if (version == Version::kUnknown) return type == 0 ? std::set<uint32_t>{16, 44} : std::set<uint32_t>{};
    const bool v2 = version == Version::k2;
    switch (type) {
      case 0:
        return {v2 ? 44u : 16u};
      case 2:
        return {16};
      case 5:
        return {20};
      case 7:
        return v2 ? list(0, 58) : std::set<uint32_t>{};
      case 9:
        return v2 ? std::set<uint32_t>{16} : std::set<uint32_t>{};
      default:
        return {};
    }
  }
  if (version == Version::kUnknown) return {};
  const bool v2 = version == Version::k2;
  switch (type) {
    case 1:
      return {v2 ? 36u : 20u};
    case 3:
      return {28};
    case 4:
      return v2 ? list(1, 50) : list(3, 3);
    case 6:
      return {v2 ? 24u : 20u};
    case 8:
      return v2 ? std::set<uint32_t>{24} : std::set<uint32_t>{};
    case 10:
      return v2 ? std::set<uint32_t>{28} : std::set<uint32_t>{};
    default:
      return {};
  }
}

TEST(Peek, EveryTypeLengthVersionAndSide) {
  std::vector<uint32_t> types;
  for (uint32_t type = 0; type <= 300; ++type) types.push_back(type);
  types.insert(types.end(), {0x0200, 0x7fff, 0x8000, 0xff00, 0xffff});
  std::vector<uint32_t> lengths;
  for (uint32_t length = 0; length <= 300; ++length) lengths.push_back(length);
  lengths.insert(lengths.end(), {0x1000, 0x1010, 0x7fff, 0x8010, 0xffff});
  for (Side side : {Side::kServer, Side::kClient}) {
    for (Version version : {Version::kUnknown, Version::k1, Version::k2}) {
      for (uint32_t type : types) {
        const std::set<uint32_t> allowed = AllowedLengths(side, version, type);
        for (uint32_t length : lengths) {
          const bool good = allowed.count(length) != 0;
          const Peeked whole = Peek(RawFrame(type, length, std::max(length, 4u)), side, version);
          ASSERT_EQ(whole.framing, good ? Framing::kWhole : Framing::kMalformed)
              << "type " << type << " length " << length << " version " << static_cast<int>(version) << " side "
              << static_cast<int>(side);
          const Peeked head = Peek(RawFrame(type, length, 4), side, version);
          ASSERT_EQ(head.framing, good ? Framing::kPartial : Framing::kMalformed) << "found with four bytes";
        }
      }
    }
  }
}

TEST(Peek, TwoBytesAreEnoughForALengthThatCannotBe) {
  for (uint32_t length = 0; length <= 0xffff; ++length) {
    const Bytes bytes = RawFrame(2, length, 2);
    const Framing expected = length < 12 || length > 256 ? Framing::kMalformed : Framing::kPartial;
    ASSERT_EQ(Peek(bytes, Side::kServer, Version::k1).framing, expected) << length;
  }
}

TEST(Peek, NoBytesAreAPartialFrame) { EXPECT_EQ(Peek({}, Side::kServer, Version::kUnknown).framing, Framing::kPartial); }

// Prototype: ReadMessage answered (nil, true) for a length that underflowed or an unknown command, and the process
// died.
TEST(Peek, Defect13_ImpossibleLengthOrUnknownTypeIsMalformedNotACrash) {
  for (const char* hex : {"00000000", "00030002", "00040002", "000b0002", "0010000b", "0010ffff", "ffff0002"}) {
    EXPECT_EQ(Peek(FromHex(hex), Side::kServer, Version::k1).framing, Framing::kMalformed) << hex;
  }
}

// Prototype: frames of 4..40 bytes were accepted whatever their type, and stale bytes of a pooled buffer were decoded.
TEST(Peek, Defect15_AFrameShorterThanItsTypeIsMalformed) {
  for (uint32_t length = 0; length < 16; ++length) {
    Bytes bytes = RawFrame(2, length, 64);  // the bytes behind would complete it
    EXPECT_EQ(Peek(bytes, Side::kServer, Version::k1).framing, Framing::kMalformed) << length;
  }
}

TEST(Peek, AServersFrameSentToAServerIsMalformed) {
  for (uint32_t type : {1u, 3u, 4u, 6u, 8u, 10u}) {
    for (uint32_t length = 12; length <= 256; length += 4) {
      EXPECT_EQ(Peek(RawFrame(type, length, length), Side::kServer, Version::k2).framing, Framing::kMalformed);
    }
  }
}

TEST(Peek, V2TypesAreMalformedInAV1Session) {
  EXPECT_EQ(Peek(RawFrame(7, 36, 36), Side::kServer, Version::k1).framing, Framing::kMalformed);
  EXPECT_EQ(Peek(RawFrame(9, 16, 16), Side::kServer, Version::k1).framing, Framing::kMalformed);
  EXPECT_EQ(Peek(RawFrame(8, 24, 24), Side::kClient, Version::k1).framing, Framing::kMalformed);
  EXPECT_EQ(Peek(RawFrame(10, 28, 28), Side::kClient, Version::k1).framing, Framing::kMalformed);
}

TEST(StartsWithShake, AgreesWithPeek) {
  const Bytes shake = FromHex("0010000200000000589f22e500000007");
  EXPECT_TRUE(StartsWithShake(shake));
  EXPECT_EQ(StampOf(shake.data()), kStampV1);
  for (size_t size = 0; size < shake.size(); ++size) EXPECT_FALSE(StartsWithShake({shake.data(), size}));
  for (const Vector& vector : kVectors) {
    EXPECT_EQ(StartsWithShake(FromHex(vector.hex)), vector.type == FrameType::kShakeRequest) << vector.name;
  }
}

// What a receiver finds in a stream: each frame as hex, "malformed" at the end if it is.
std::vector<std::string> Frames(const Bytes& stream, const std::vector<size_t>& chunks, Side side, Version version) {
  std::vector<std::string> found;
  Bytes kept;
  size_t at = 0;
  for (size_t chunk : chunks) {
    kept.insert(kept.end(), stream.begin() + static_cast<ptrdiff_t>(at), stream.begin() + static_cast<ptrdiff_t>(at + chunk));
    at += chunk;
    for (;;) {
      const Peeked peeked = Peek(kept, side, version);
      if (peeked.framing == Framing::kPartial) break;
      if (peeked.framing == Framing::kMalformed) {
        found.push_back("malformed");
        return found;
      }
      if (version == Version::kUnknown) version = peeked.length == 16 ? Version::k1 : Version::k2;
      found.push_back(ToHex({kept.data(), peeked.length}));
      kept.erase(kept.begin(), kept.begin() + peeked.length);
    }
  }
  return found;
}

TEST(Peek, AStreamCutAnywhereGivesTheSameFrames) {
  // A v1 and a v2 session as the server receives them: all at once, cut at every position, byte by byte.
  for (bool v2 : {false, true}) {
    Bytes stream = FromHex(v2 ? kVectors[8].hex : kVectors[0].hex);
    for (const Vector& vector : kVectors) {
      if (vector.receiver != Side::kServer || vector.version == Version::kUnknown) continue;
      if (!v2 && vector.version == Version::k2) continue;
      const Bytes bytes = FromHex(vector.hex);
      stream.insert(stream.end(), bytes.begin(), bytes.end());
    }
    const auto whole = Frames(stream, {stream.size()}, Side::kServer, Version::kUnknown);
    EXPECT_EQ(whole.size(), v2 ? 5u : 3u);
    EXPECT_THAT(whole, ::testing::Not(::testing::Contains("malformed")));
    for (size_t cut = 0; cut <= stream.size(); ++cut) {
      EXPECT_EQ(Frames(stream, {cut, stream.size() - cut}, Side::kServer, Version::kUnknown), whole) << cut;
    }
    EXPECT_EQ(Frames(stream, std::vector<size_t>(stream.size(), 1), Side::kServer, Version::kUnknown), whole);
  }
}

TEST(Peek, RandomStreamsInRandomPiecesGiveTheSameFramesAsInOnePiece) {
  std::mt19937_64 random(20170211);
  size_t malformed = 0;
  for (int round = 0; round < 20'000; ++round) {
    const Side side = random() % 2 == 0 ? Side::kServer : Side::kClient;
    const auto version = static_cast<Version>(random() % 3);
    Bytes stream;
    for (int frame = 0; frame < 6; ++frame) {
      // Mostly good frames, so that the interesting place is not always the first.
      Bytes bytes = FromHex(kVectors[random() % std::size(kVectors)].hex);
      if (random() % 8 == 0) bytes[random() % 4] = static_cast<std::byte>(random());
      stream.insert(stream.end(), bytes.begin(), bytes.end());
    }
    std::vector<size_t> chunks;
    for (size_t left = stream.size(); left > 0;) {
      chunks.push_back(1 + random() % std::min<size_t>(left, 40));
      left -= chunks.back();
    }
    const auto whole = Frames(stream, {stream.size()}, side, version);
    ASSERT_EQ(Frames(stream, chunks, side, version), whole) << "round " << round << ": " << ToHex(stream);
    if (!whole.empty() && whole.back() == "malformed") ++malformed;
  }
  EXPECT_GT(malformed, 1'000u);  // the test reaches both outcomes
  EXPECT_LT(malformed, 20'000u);
}

}  // namespace
}  // namespace hongbao::wire
