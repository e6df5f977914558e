#include "libhongbao/serve/outcome.h"

#include <gtest/gtest.h>

#include <vector>

#include "libhongbao/wire/codec.h"

namespace hongbao::serve {
namespace {

using ledger::Outcome;
using ledger::RecordKind;
using ledger::Settled;
using wire::Decoded;
using wire::Version;

std::vector<std::byte> FrameOf(const Outcome& outcome, Version version = Version::k2) {
  std::vector<std::byte> frame(OutcomeBytes(outcome, version));
  EncodeOutcome(frame.data(), outcome, version);
  return frame;
}

const Outcome kWon{.settled = Settled::kNew, .user = 7, .envelope_id = 0x100001, .amount_fen = 257, .stamp = 99};

TEST(OutcomeTest, WinsAndFoundWins) {
  for (const RecordKind kind : {RecordKind::kWin, RecordKind::kFindWin}) {
    for (const Settled settled : {Settled::kNew, Settled::kRepeat, Settled::kNone}) {
      Outcome outcome = kWon;
      outcome.kind = kind;
      outcome.settled = settled;
      wire::ShakeResponse response;
      ASSERT_EQ(wire::DecodeShakeResponse(FrameOf(outcome), response), Decoded::kOk);
      const bool won = settled != Settled::kNone;
      EXPECT_EQ(response.stamp, 99U);
      EXPECT_EQ(response.user_id, 7U);
      EXPECT_EQ(response.result, won ? wire::ShakeResult::kWon : wire::ShakeResult::kNothing);
      EXPECT_EQ(response.envelope_id, won ? 0x100001U : 0U);
      EXPECT_EQ(response.amount_fen, won ? 257U : 0U) << "what was not won is not told";
    }
  }
}

TEST(OutcomeTest, OpensInBothVersions) {
  for (const Version version : {Version::k1, Version::k2}) {
    for (const RecordKind kind : {RecordKind::kOpen, RecordKind::kFindOpen}) {
      Outcome outcome = kWon;
      outcome.kind = kind;
      wire::OpenResponse response;
      ASSERT_EQ(wire::DecodeOpenResponse(FrameOf(outcome, version), version, response), Decoded::kOk);
      EXPECT_EQ(response.stamp, 99U);
      EXPECT_EQ(response.envelope_id, 0x100001U);
      EXPECT_EQ(response.amount_fen, 257U);
      EXPECT_EQ(response.user_id, version == Version::k2 ? 7U : 0U);
    }
  }
}

TEST(OutcomeTest, SendsAndStatements) {
  Outcome outcome = kWon;
  outcome.kind = RecordKind::kGift;
  wire::SendResponse sent;
  ASSERT_EQ(wire::DecodeSendResponse(FrameOf(outcome), sent), Decoded::kOk);
  EXPECT_EQ(sent.stamp, 99U);
  EXPECT_EQ(sent.sender, 7U);
  EXPECT_EQ(sent.result, wire::SendResult::kOk);
  EXPECT_EQ(sent.envelope_id, 0x100001U);
  outcome.kind = RecordKind::kFindSend;
  ASSERT_EQ(wire::DecodeSendResponse(FrameOf(outcome), sent), Decoded::kOk);
  EXPECT_EQ(sent.result, wire::SendResult::kOk);
  outcome.settled = Settled::kNone;
  ASSERT_EQ(wire::DecodeSendResponse(FrameOf(outcome), sent), Decoded::kOk);
  EXPECT_EQ(sent.result, wire::SendResult::kOverload);
  EXPECT_EQ(sent.stamp, 99U);

  const Outcome total{.kind = RecordKind::kStatement, .user = 7, .grants = 2, .total_fen = 5'000'000'000, .stamp = 98};
  wire::Statement statement;
  ASSERT_EQ(wire::DecodeStatement(FrameOf(total), statement), Decoded::kOk);
  EXPECT_EQ(statement.stamp, 98U);
  EXPECT_EQ(statement.user_id, 7U);
  EXPECT_EQ(statement.grants, 2U);
  EXPECT_EQ(statement.total_fen, 5'000'000'000U);
}

TEST(OutcomeDeathTest, WhatAnswersNoRequestHasNoFrame) {
  EXPECT_DEATH(OutcomeBytes({.kind = RecordKind::kRefund}, Version::k2), "answers no request");
  EXPECT_DEATH(OutcomeBytes({.kind = RecordKind::kResume}, Version::k2), "answers no request");
}

}  // namespace
}  // namespace hongbao::serve
