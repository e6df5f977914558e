#include "libhongbao/wire/codec.h"

#include <gtest/gtest.h>

#include <array>
#include <functional>
#include <random>
#include <vector>

#include "tests/wire/vectors.h"

namespace hongbao::wire {
namespace {

using Bytes = std::vector<std::byte>;

// Runs an encoder on a buffer of exactly `size` bytes inside guards, and checks that it wrote all of it and no more.
std::string Encoded(size_t size, const std::function<void(std::byte*)>& encode) {
  std::string once;
  for (std::byte fill : {std::byte{0xaa}, std::byte{0x55}}) {
    Bytes buffer(size + 16, fill);
    encode(buffer.data() + 8);
    for (size_t i = 0; i < 8; ++i) {
      EXPECT_EQ(buffer[i], fill) << "wrote before its frame";
      EXPECT_EQ(buffer[size + 8 + i], fill) << "wrote behind its frame";
    }
    const std::string hex = ToHex({buffer.data() + 8, size});
    EXPECT_TRUE(once.empty() || hex == once) << "left bytes of its frame unwritten";
    once = hex;
  }
  return once;
}

TEST(Vectors, LoginV1) {
  const LoginRequest request{.stamp = kStampV1, .version = Version::k1, .first_user = 7};
  EXPECT_EQ(Encoded(LoginRequestBytes(Version::k1), [&](std::byte* out) { EncodeLoginRequest(out, request); }), kVectors[0].hex);
  LoginRequest decoded{.user_count = 99, .resume_after = 99};
  ASSERT_EQ(DecodeLoginRequest(FromHex(kVectors[0].hex), decoded), Decoded::kOk);
  EXPECT_EQ(decoded.version, Version::k1);
  EXPECT_EQ(decoded.stamp, kStampV1);
  EXPECT_EQ(decoded.first_user, 7u);
  EXPECT_EQ(decoded.user_count, 1u);
  EXPECT_EQ(decoded.resume_after, 0u);

  const LoginResponse response{.stamp = kStampV1, .first_user = 7, .server_unix_ns = 1, .last_stamp = 2};
  EXPECT_EQ(Encoded(20, [&](std::byte* out) { EncodeLoginResponse(out, Version::k1, response); }), kVectors[1].hex);
  LoginResponse back;
  ASSERT_EQ(DecodeLoginResponse(FromHex(kVectors[1].hex), Version::k1, back), Decoded::kOk);
  EXPECT_EQ(back.stamp, kStampV1);
  EXPECT_EQ(back.first_user, 7u);
  EXPECT_EQ(back.result, LoginResult::kOk);
  EXPECT_EQ(back.server_unix_ns, 0u);
}

TEST(Vectors, LoginV2) {
  const LoginRequest request{.stamp = kStampV2, .version = Version::k2, .first_user = 7, .user_count = 1};
  EXPECT_EQ(Encoded(LoginRequestBytes(Version::k2), [&](std::byte* out) { EncodeLoginRequest(out, request); }), kVectors[8].hex);
  LoginRequest decoded;
  ASSERT_EQ(DecodeLoginRequest(FromHex(kVectors[8].hex), decoded), Decoded::kOk);
  EXPECT_EQ(decoded.version, Version::k2);
  EXPECT_EQ(decoded.stamp, kStampV2);
  EXPECT_EQ(decoded.first_user, 7u);
  EXPECT_EQ(decoded.user_count, 1u);

  const LoginResponse response{.stamp = kStampV2, .first_user = 7, .server_unix_ns = kStampV2 + 1000};
  EXPECT_EQ(Encoded(36, [&](std::byte* out) { EncodeLoginResponse(out, Version::k2, response); }), kVectors[9].hex);
  LoginResponse back;
  ASSERT_EQ(DecodeLoginResponse(FromHex(kVectors[9].hex), Version::k2, back), Decoded::kOk);
  EXPECT_EQ(back.server_unix_ns, kStampV2 + 1000);
  EXPECT_EQ(back.last_stamp, 0u);
}

TEST(Login, V2CarriesRangeResumeAndToken) {
  LoginRequest request{
      .stamp = 1, .version = Version::k2, .first_user = 0xfffffff0, .user_count = 0xffffffff, .resume_after = 0xffffffffffffffff};
  for (size_t i = 0; i < request.token.size(); ++i) request.token[i] = static_cast<std::byte>(0xf0 + i);
  Bytes bytes(44);
  EncodeLoginRequest(bytes.data(), request);
  LoginRequest decoded;
  ASSERT_EQ(DecodeLoginRequest(bytes, decoded), Decoded::kOk);
  EXPECT_EQ(decoded.first_user, request.first_user);
  EXPECT_EQ(decoded.user_count, request.user_count);
  EXPECT_EQ(decoded.resume_after, request.resume_after);
  EXPECT_EQ(decoded.token, request.token);
}

TEST(Login, V2ReplyCarriesClockAndLastStamp) {
  const LoginResponse response{.stamp = 1,
                               .first_user = 0xfffffffe,
                               .result = LoginResult::kFullOrDraining,
                               .server_unix_ns = 0x8877665544332211,
                               .last_stamp = 0x1122334455667788};
  Bytes bytes(36);
  EncodeLoginResponse(bytes.data(), Version::k2, response);
  LoginResponse decoded;
  ASSERT_EQ(DecodeLoginResponse(bytes, Version::k2, decoded), Decoded::kOk);
  EXPECT_EQ(decoded.first_user, response.first_user);
  EXPECT_EQ(decoded.result, response.result);
  EXPECT_EQ(decoded.server_unix_ns, response.server_unix_ns);
  EXPECT_EQ(decoded.last_stamp, response.last_stamp);
}

TEST(Vectors, Shake) {
  const ShakeRequest request{.stamp = kStampV1, .user_id = 7};
  EXPECT_EQ(Encoded(kShakeRequestBytes, [&](std::byte* out) { EncodeShakeRequest(out, request); }), kVectors[2].hex);
  ShakeRequest asked;
  ASSERT_EQ(DecodeShakeRequest(FromHex(kVectors[2].hex), asked), Decoded::kOk);
  EXPECT_EQ(asked.stamp, kStampV1);
  EXPECT_EQ(asked.user_id, 7u);

  const ShakeResponse nothing{.stamp = kStampV1, .user_id = 7};
  EXPECT_EQ(Encoded(kShakeResponseBytes, [&](std::byte* out) { EncodeShakeResponse(out, nothing); }), kVectors[3].hex);
  const ShakeResponse won{
      .stamp = kStampV1, .user_id = 7, .result = ShakeResult::kWon, .envelope_id = 0x100001, .amount_fen = 257};
  EXPECT_EQ(Encoded(kShakeResponseBytes, [&](std::byte* out) { EncodeShakeResponse(out, won); }), kVectors[4].hex);
  ShakeResponse decoded;
  ASSERT_EQ(DecodeShakeResponse(FromHex(kVectors[4].hex), decoded), Decoded::kOk);
  EXPECT_EQ(decoded.stamp, kStampV1);
  EXPECT_EQ(decoded.user_id, 7u);
  EXPECT_EQ(decoded.result, ShakeResult::kWon);
  EXPECT_EQ(decoded.envelope_id, 0x100001u);
  EXPECT_EQ(decoded.amount_fen, 257u);
}

TEST(Vectors, GiftNotice) {
  const std::vector<uint32_t> users{7, 8, 9};
  const GiftNoticeFields fields{.stamp = kStampV1, .envelope_id = 0x200001, .amount_fen = 300, .recipient = 8, .users = users};
  for (Version version : {Version::k1, Version::k2}) {
    EXPECT_EQ(Encoded(GiftNoticeBytes(version, 3), [&](std::byte* out) { EncodeGiftNotice(out, version, fields); }),
              kVectors[5].hex);
    GiftNotice decoded;
    ASSERT_EQ(DecodeGiftNotice(FromHex(kVectors[5].hex), version, decoded), Decoded::kOk);
    EXPECT_EQ(decoded.stamp, kStampV1);
    EXPECT_EQ(decoded.envelope_id, 0x200001u);
    EXPECT_EQ(decoded.amount_fen, 300u);
    EXPECT_EQ(std::vector<uint32_t>(decoded.Users().begin(), decoded.Users().end()), users);
  }
}

TEST(Vectors, Open) {
  const OpenRequest request{.stamp = kStampV1, .user_id = 0, .envelope_id = 0x200001};
  EXPECT_EQ(Encoded(kOpenRequestBytes, [&](std::byte* out) { EncodeOpenRequest(out, request); }), kVectors[6].hex);
  OpenRequest asked{.user_id = 1};
  ASSERT_EQ(DecodeOpenRequest(FromHex(kVectors[6].hex), asked), Decoded::kOk);
  EXPECT_EQ(asked.user_id, 0u);
  EXPECT_EQ(asked.envelope_id, 0x200001u);

  OpenResponse response{.stamp = kStampV1, .envelope_id = 0x200001, .amount_fen = 101, .user_id = 7};
  EXPECT_EQ(Encoded(20, [&](std::byte* out) { EncodeOpenResponse(out, Version::k1, response); }), kVectors[7].hex);
  response.stamp = kStampV2;
  EXPECT_EQ(Encoded(24, [&](std::byte* out) { EncodeOpenResponse(out, Version::k2, response); }), kVectors[10].hex);
  OpenResponse decoded;
  ASSERT_EQ(DecodeOpenResponse(FromHex(kVectors[10].hex), Version::k2, decoded), Decoded::kOk);
  EXPECT_EQ(decoded.envelope_id, 0x200001u);
  EXPECT_EQ(decoded.amount_fen, 101u);
  EXPECT_EQ(decoded.user_id, 7u);
  ASSERT_EQ(DecodeOpenResponse(FromHex(kVectors[7].hex), Version::k1, decoded), Decoded::kOk);
  EXPECT_EQ(decoded.amount_fen, 101u);
  EXPECT_EQ(decoded.user_id, 0u);
}

TEST(Vectors, Send) {
  SendRequest request{.stamp = kStampV2, .sender = 7, .amount_fen = 300, .count = 3};
  request.users[0] = 8;
  request.users[1] = 9;
  request.users[2] = 10;
  EXPECT_EQ(Encoded(SendRequestBytes(3), [&](std::byte* out) { EncodeSendRequest(out, request); }), kVectors[11].hex);
  SendRequest decoded;
  ASSERT_EQ(DecodeSendRequest(FromHex(kVectors[11].hex), decoded), Decoded::kOk);
  EXPECT_EQ(decoded.stamp, kStampV2);
  EXPECT_EQ(decoded.sender, 7u);
  EXPECT_EQ(decoded.amount_fen, 300u);
  EXPECT_EQ(decoded.Users(), request.Users());

  const SendResponse response{.stamp = kStampV2, .sender = 7, .envelope_id = 0x200002};
  EXPECT_EQ(Encoded(kSendResponseBytes, [&](std::byte* out) { EncodeSendResponse(out, response); }), kVectors[12].hex);
  SendResponse back;
  ASSERT_EQ(DecodeSendResponse(FromHex(kVectors[12].hex), back), Decoded::kOk);
  EXPECT_EQ(back.sender, 7u);
  EXPECT_EQ(back.result, SendResult::kOk);
  EXPECT_EQ(back.envelope_id, 0x200002u);
}

TEST(Vectors, Statement) {
  const StatementRequest request{.stamp = kStampV2, .user_id = 7};
  EXPECT_EQ(Encoded(kStatementRequestBytes, [&](std::byte* out) { EncodeStatementRequest(out, request); }), kVectors[13].hex);
  StatementRequest asked;
  ASSERT_EQ(DecodeStatementRequest(FromHex(kVectors[13].hex), asked), Decoded::kOk);
  EXPECT_EQ(asked.user_id, 7u);
  const Statement statement{.stamp = kStampV2, .user_id = 7, .grants = 2, .total_fen = 358};
  EXPECT_EQ(Encoded(kStatementBytes, [&](std::byte* out) { EncodeStatement(out, statement); }), kVectors[14].hex);
  Statement decoded;
  ASSERT_EQ(DecodeStatement(FromHex(kVectors[14].hex), decoded), Decoded::kOk);
  EXPECT_EQ(decoded.grants, 2u);
  EXPECT_EQ(decoded.total_fen, 358u);
}

// Every decoder, on a connection of `version`.
std::vector<std::function<Decoded(FrameBytes)>> Decoders(Version version) {
  return {
      [](FrameBytes in) {
        LoginRequest m;
        return DecodeLoginRequest(in, m);
      },
      [version](FrameBytes in) {
        LoginResponse m;
        return DecodeLoginResponse(in, version, m);
      },
      [](FrameBytes in) {
        ShakeRequest m;
        return DecodeShakeRequest(in, m);
      },
      [](FrameBytes in) {
        ShakeResponse m;
        return DecodeShakeResponse(in, m);
      },
      [version](FrameBytes in) {
        GiftNotice m;
        return DecodeGiftNotice(in, version, m);
      },
      [](FrameBytes in) {
        OpenRequest m;
        return DecodeOpenRequest(in, m);
      },
      [version](FrameBytes in) {
        OpenResponse m;
        return DecodeOpenResponse(in, version, m);
      },
      [](FrameBytes in) {
        SendRequest m;
        return DecodeSendRequest(in, m);
      },
      [](FrameBytes in) {
        SendResponse m;
        return DecodeSendResponse(in, m);
      },
      [](FrameBytes in) {
        StatementRequest m;
        return DecodeStatementRequest(in, m);
      },
      [](FrameBytes in) {
        Statement m;
        return DecodeStatement(in, m);
      },
  };
}

// Prototype: a frame shorter than its type was decoded from whatever the buffer held before.
TEST(Decode, Defect15_OnlyItsOwnTypeAndWholeFramesAreDecoded) {
  for (const Vector& vector : kVectors) {
    const Version version = vector.version == Version::kUnknown ? Version::k2 : vector.version;
    const auto decoders = Decoders(version);
    const Bytes bytes = FromHex(vector.hex);
    for (size_t type = 0; type < decoders.size(); ++type) {
      EXPECT_EQ(decoders[type](bytes), type == static_cast<size_t>(vector.type) ? Decoded::kOk : Decoded::kMalformed)
          << vector.name << " decoded as type " << type;
      for (size_t size = 0; size < bytes.size(); ++size) {
        EXPECT_EQ(decoders[type]({bytes.data(), size}), Decoded::kMalformed) << vector.name << " cut at " << size;
      }
      Bytes longer = bytes;
      longer.push_back(std::byte{0});
      EXPECT_EQ(decoders[type](longer), Decoded::kMalformed) << vector.name;
    }
  }
}

TEST(Decode, AListsCountMustMatchItsLength) {
  for (uint32_t room = 0; room <= kUsersFrameMax; ++room) {
    SendRequest request{.count = room};
    Bytes bytes(SendRequestBytes(room));
    EncodeSendRequest(bytes.data(), request);
    for (uint32_t count : {0u, 1u, 3u, room, room + 1, 50u, 51u, 58u, 59u, 0x40000000u + room, 0xffffffffu}) {
      StoreU32(bytes.data() + 20, count);
      SendRequest decoded;
      EXPECT_EQ(DecodeSendRequest(bytes, decoded), count == room ? Decoded::kOk : Decoded::kMalformed)
          << "room for " << room << ", count " << count;
      StoreU32(bytes.data(), Head(FrameType::kGiftNotice, bytes.size()));
      GiftNotice notice;
      EXPECT_EQ(DecodeGiftNotice(bytes, Version::k2, notice),
                count == room && room >= 1 && room <= 50 ? Decoded::kOk : Decoded::kMalformed);
      EXPECT_EQ(DecodeGiftNotice(bytes, Version::k1, notice), count == room && room == 3 ? Decoded::kOk : Decoded::kMalformed);
      StoreU32(bytes.data(), Head(FrameType::kSendRequest, bytes.size()));
    }
  }
}

TEST(Decode, ACountOutOfRangeThatFitsItsFrameIsTheSessionsToRefuse) {
  for (uint32_t count : {0u, 51u, 58u}) {
    SendRequest request{.sender = 1, .amount_fen = 100, .count = count};
    for (uint32_t i = 0; i < count; ++i) request.users[i] = 1000 + i;
    Bytes bytes(SendRequestBytes(count));
    EncodeSendRequest(bytes.data(), request);
    EXPECT_EQ(Peek(bytes, Side::kServer, Version::k2).framing, Framing::kWhole);
    SendRequest decoded;
    ASSERT_EQ(DecodeSendRequest(bytes, decoded), Decoded::kOk);
    EXPECT_EQ(decoded.Users(), request.Users());
  }
}

TEST(Decode, UnknownResultsAreMalformed) {
  for (uint32_t result = 0; result < 64; ++result) {
    Bytes shake = FromHex(kVectors[3].hex);
    StoreU32(shake.data() + 16, result);
    ShakeResponse shaken;
    EXPECT_EQ(DecodeShakeResponse(shake, shaken) == Decoded::kOk, (result >= 14 && result <= 17) || result == 19) << result;
    for (auto [version, index] : {std::pair{Version::k1, 1}, std::pair{Version::k2, 9}}) {
      Bytes login = FromHex(kVectors[index].hex);
      StoreU32(login.data() + 16, result);
      LoginResponse logged_in;
      EXPECT_EQ(DecodeLoginResponse(login, version, logged_in) == Decoded::kOk, result <= 3 || result == 6) << result;
    }
    Bytes send = FromHex(kVectors[12].hex);
    StoreU32(send.data() + 16, result);
    SendResponse sent;
    EXPECT_EQ(DecodeSendResponse(send, sent) == Decoded::kOk, result == 0 || (result >= 17 && result <= 20)) << result;
  }
}

// The users that a v1 recipient reads in the notice of a gift to `invited`.
std::vector<uint32_t> V1Users(std::vector<uint32_t> invited, uint32_t recipient) {
  Bytes bytes(GiftNoticeBytes(Version::k1, invited.size()));
  EXPECT_EQ(bytes.size(), 36u);
  EncodeGiftNotice(bytes.data(), Version::k1, {.recipient = recipient, .users = invited});
  GiftNotice notice;
  EXPECT_EQ(DecodeGiftNotice(bytes, Version::k1, notice), Decoded::kOk);
  return {notice.Users().begin(), notice.Users().end()};
}

TEST(GiftNotice, AV1RecipientAlwaysFindsItselfInAListOfThree) {
  using Users = std::vector<uint32_t>;
  EXPECT_EQ(V1Users({7}, 7), (Users{7, 7, 7}));
  EXPECT_EQ(V1Users({7, 8}, 7), (Users{7, 8, 7}));
  EXPECT_EQ(V1Users({7, 8}, 8), (Users{8, 7, 8}));
  EXPECT_EQ(V1Users({7, 8, 9}, 9), (Users{7, 8, 9}));
  EXPECT_EQ(V1Users({1, 2, 3, 4, 5}, 4), (Users{4, 1, 2}));
  EXPECT_EQ(V1Users({1, 2, 3, 4, 5}, 1), (Users{1, 2, 3}));
}

TEST(GiftNotice, EveryCountInV2) {
  for (size_t count = 1; count <= kUsersMax; ++count) {
    std::vector<uint32_t> users(count);
    for (size_t i = 0; i < count; ++i) users[i] = static_cast<uint32_t>(i * 1000);
    Bytes bytes(GiftNoticeBytes(Version::k2, count));
    EncodeGiftNotice(bytes.data(), Version::k2, {.recipient = users.back(), .users = users});
    EXPECT_EQ(Peek(bytes, Side::kClient, Version::k2).framing, Framing::kWhole);
    GiftNotice notice;
    ASSERT_EQ(DecodeGiftNotice(bytes, Version::k2, notice), Decoded::kOk);
    EXPECT_EQ(notice.Users(), absl::MakeConstSpan(users));
  }
}

TEST(GiftNoticeDeathTest, ListsOutOfRangeAreABrokenInvariantOfTheSender) {
  std::array<std::byte, 512> out;
  EXPECT_DEATH(EncodeGiftNotice(out.data(), Version::k2, {}), "names 1..50 users");
  const std::vector<uint32_t> many(51);
  EXPECT_DEATH(EncodeGiftNotice(out.data(), Version::k2, {.users = many}), "names 1..50 users");
}

}  // namespace
}  // namespace hongbao::wire
