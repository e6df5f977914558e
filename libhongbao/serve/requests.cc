#include "libhongbao/serve/requests.h"

#include <algorithm>
#include <optional>

namespace hongbao::serve {
namespace {

using net::CloseReason;
using wire::SendResult;

}  // namespace

Requests::Requests(const SessionServices& services, const Gateways& gateways, const StampLimit& stamps, uint32_t& owed)
    : SessionPart(services),
      workers_(services.workers),
      gifts_(services.gifts),
      post_(services.post),
      gateways_(gateways),
      stamps_(stamps),
      owed_(owed) {}

CloseReason Requests::Open(const Session& session, uint64_t address, wire::FrameBytes frame, Reply& reply) {
  wire::OpenRequest request;
  if (wire::DecodeOpenRequest(frame, request) != wire::Decoded::kOk) {
    return CloseReason::kMalformed;
  }
  const bool means_me = session.version == wire::Version::k1 && request.user_id == 0;
  const uint32_t user = means_me ? session.user : request.user_id;
  if (!gateways_.Owns(session, user)) {
    return CloseReason::kMalformed;
  }
  cells_.Add(Counter::kFramesOpen);
  overload_.Count(user);
  if (IsGift(request.envelope_id)) {
    ++owed_;
    // A stamp that is too far ahead is no identity. It comes to the same: the gift knows who has opened it.
    post_(OwnerOf(request.envelope_id, workers_),
          OpenGift{.address = address,
                   .stamp = request.stamp,
                   .user = user,
                   .gift_id = request.envelope_id,
                   .has_identity = session.version == wire::Version::k2 && !stamps_.IsAhead(request.stamp)});
    return CloseReason::kNone;  // the owner's answer comes as a message
  }
  cells_.Add(Counter::kOpensEmpty);
  wire::EncodeOpenResponse(reply.bytes.data(), session.version,
                           {.stamp = request.stamp, .envelope_id = request.envelope_id, .user_id = user});
  reply.size = wire::OpenResponseBytes(session.version);
  return CloseReason::kNone;
}

CloseReason Requests::Send(Session& session, uint64_t address, wire::FrameBytes frame, Reply& reply) {
  wire::SendRequest request;
  if (wire::DecodeSendRequest(frame, request) != wire::Decoded::kOk || !gateways_.Owns(session, request.sender)) {
    return CloseReason::kMalformed;
  }
  cells_.Add(Counter::kFramesSend);
  if (durable_ && stamps_.Knows(request.sender, request.stamp)) {
    return AskLedger(ledger::RecordKind::kFindSend, session, address, request.sender, request.stamp);
  }
  wire::SendResponse response{.stamp = request.stamp, .sender = request.sender, .result = SendResult::kAhead};
  if (stamps_.IsAhead(request.stamp)) {
    cells_.Add(Counter::kStampsAhead);
  } else {
    // The user's own stamp, not what this session knows of it: sends are few, and an older session may have raised it since.
    const bool may_be_made = durable_ && request.stamp <= directory_.last_stamp(request.sender);
    const std::optional<SendResult> result = MakeGift(request, address, &response.envelope_id);
    if (!result.has_value()) {
      cells_.Add(Counter::kLate);
      return CloseReason::kNone;
    }
    if (*result == SendResult::kOk && durable_) {
      session.stamp_floor = std::max(session.stamp_floor, request.stamp);
      ++owed_;
      return CloseReason::kNone;  // the answer comes with the outcome
    }
    if (*result != SendResult::kOk && *result != SendResult::kRefused && may_be_made) {
      // It cannot be decided now, and may have been before: the ledger knows.
      return AskLedger(ledger::RecordKind::kFindSend, session, address, request.sender, request.stamp);
    }
    response.result = *result;
  }
  if (response.result == SendResult::kRefused) {
    cells_.Add(Counter::kSendsRefused);
  } else if (response.result != SendResult::kOk && response.result != SendResult::kCapped) {  // that is counted by its cap
    cells_.Add(Counter::kSendsOverload);
  }
  wire::EncodeSendResponse(reply.bytes.data(), response);
  reply.size = wire::kSendResponseBytes;
  return CloseReason::kNone;
}

std::optional<SendResult> Requests::MakeGift(const wire::SendRequest& request, uint64_t address, uint32_t* gift_id) {
  if (draining_ || !overload_.Admit(request.sender)) {
    return SendResult::kOverload;
  }
  const std::optional<uint32_t> login = directory_.Decide(request.sender, request.stamp, address);
  if (!login.has_value()) {
    return std::nullopt;
  }
  return gifts_.Send({.sender = request.sender,
                      .amount_fen = request.amount_fen,
                      .users = request.Users(),
                      .stamp = request.stamp,
                      .reply_to = address,
                      .login = *login},
                     gift_id);
}

CloseReason Requests::AskLedger(ledger::RecordKind kind, const Session& session, uint64_t address, uint32_t user,
                                uint64_t stamp) {
  if (ledger_.swamped()) {
    cells_.Add(Counter::kLedgerFull);
    return CloseReason::kSwamped;  // no answer would be true now, and none says "later"
  }
  ++owed_;
  ledger_.Submit(RecordOf(kind, session, address, user, stamp));
  return CloseReason::kNone;
}

CloseReason Requests::State(const Session& session, uint64_t address, wire::FrameBytes frame, Reply& reply) {
  wire::StatementRequest request;
  if (wire::DecodeStatementRequest(frame, request) != wire::Decoded::kOk || !gateways_.Owns(session, request.user_id)) {
    return CloseReason::kMalformed;
  }
  cells_.Add(Counter::kFramesStatement);
  if (durable_) {
    return AskLedger(ledger::RecordKind::kStatement, session, address, request.user_id, request.stamp);
  }
  wire::EncodeStatement(reply.bytes.data(), {.stamp = request.stamp,
                                             .user_id = request.user_id,
                                             .grants = directory_.grants(request.user_id),
                                             .total_fen = static_cast<uint64_t>(directory_.total_fen(request.user_id))});
  reply.size = wire::kStatementBytes;
  return CloseReason::kNone;
}

}  // namespace hongbao::serve
