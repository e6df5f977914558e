#include "libhongbao/serve/outcome.h"

#include "libhongbao/check.h"
#include "libhongbao/wire/codec.h"

namespace hongbao::serve {

using ledger::RecordKind;

size_t OutcomeBytes(const ledger::Outcome& outcome, wire::Version version) {
  switch (outcome.kind) {
    case RecordKind::kWin:
    case RecordKind::kFindWin:
      return wire::kShakeResponseBytes;
    case RecordKind::kOpen:
    case RecordKind::kFindOpen:
      return wire::OpenResponseBytes(version);
    case RecordKind::kGift:
    case RecordKind::kFindSend:
      return wire::kSendResponseBytes;
    case RecordKind::kStatement:
      return wire::kStatementBytes;
    case RecordKind::kRefund:
    case RecordKind::kResume:
      break;
  }
  Check(false, "this outcome answers no request");
  return 0;
}

void EncodeOutcome(std::byte* to, const ledger::Outcome& outcome, wire::Version version) {
  switch (outcome.kind) {
    case RecordKind::kWin:
    case RecordKind::kFindWin: {
      const bool won = outcome.settled != ledger::Settled::kNone;
      return wire::EncodeShakeResponse(to, {.stamp = outcome.stamp,
                                            .user_id = outcome.user,
                                            .result = won ? wire::ShakeResult::kWon : wire::ShakeResult::kNothing,
                                            .envelope_id = won ? outcome.envelope_id : 0,
                                            .amount_fen = won ? outcome.amount_fen : 0});
    }
    case RecordKind::kOpen:
    case RecordKind::kFindOpen:
      return wire::EncodeOpenResponse(to, version,
                                      {.stamp = outcome.stamp,
                                       .envelope_id = outcome.envelope_id,
                                       .amount_fen = outcome.amount_fen,
                                       .user_id = outcome.user});
    case RecordKind::kGift:
    case RecordKind::kFindSend: {
      const bool made = outcome.settled != ledger::Settled::kNone;
      return wire::EncodeSendResponse(to, {.stamp = outcome.stamp,
                                           .sender = outcome.user,
                                           .result = made ? wire::SendResult::kOk : wire::SendResult::kOverload,
                                           .envelope_id = outcome.envelope_id});
    }
    case RecordKind::kStatement:
      return wire::EncodeStatement(
          to, {.stamp = outcome.stamp, .user_id = outcome.user, .grants = outcome.grants, .total_fen = outcome.total_fen});
    case RecordKind::kRefund:
    case RecordKind::kResume:
      break;
  }
  Check(false, "this outcome answers no request");
}

}  // namespace hongbao::serve
