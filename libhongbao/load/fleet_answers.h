// Fleet's member functions for what the server says: answers, gifts, statements; included by fleet_impl.h only.
//
// Owns nothing. Thread tag: worker-local.
#pragma once

#include "libhongbao/load/fleet_impl.h"

namespace hongbao::load {

// ---- answers ----

template <class CarrierT>
bool Fleet<CarrierT>::Unmatched(Match match) {
  if (match == Match::kNone) {
    return Refuse(Counter::kUnexpected);  // it answers nothing: its money is not counted
  }
  context_.cells.Add(Counter::kAnswersRepeated);
  return true;
}

template <class CarrierT>
bool Fleet<CarrierT>::OnShakeAnswer(MemberT& member, wire::FrameBytes frame) {
  wire::ShakeResponse answer;
  if (wire::DecodeShakeResponse(frame, answer) != wire::Decoded::kOk) {
    return Refuse(Counter::kMalformed);
  }
  const bool won = answer.result == wire::ShakeResult::kWon;
  // An amount without a win, or a win without one, is no outcome that anybody could book.
  if (!carrier_.Owns(member, answer.user_id) || won != (answer.amount_fen != 0) || won != (answer.envelope_id != 0)) {
    return Refuse(Counter::kUnexpected);
  }
  FinishedRequest request;
  if (const Match match = carrier_.TakeShake(member, answer.stamp, answer.user_id, request); match != Match::kFound) {
    return Unmatched(match);
  }
  PhaseTally& phase = context_.answers.PhaseDueAt(request.due_ns);
  context_.answers.CountAnswer(phase, answer);
  context_.answers.RecordLatency(phase, request, won, context_.now_ns);
  if (won) {
    BookMoney(member, {request.stamp, request.user, answer.envelope_id, answer.amount_fen, MoneyKind::kShake});
  }
  return true;
}

template <class CarrierT>
void Fleet<CarrierT>::BookMoney(MemberT& member, const MoneyRecord& money) {
  auto& account = carrier_.AccountOf(member, money.user);
  ++account.grants;
  account.fen += money.fen;
  context_.answers.LogMoney(money);
}

// ---- gifts ----

// One notice may invite several users of the member: it counts once for each.
template <class CarrierT>
bool Fleet<CarrierT>::OnNotice(MemberT& member, wire::FrameBytes frame, net::Replies& out) {
  wire::GiftNotice notice;
  if (wire::DecodeGiftNotice(frame, context_.options.version, notice) != wire::Decoded::kOk) {
    return Refuse(Counter::kMalformed);
  }
  if (notice.envelope_id == 0) {
    return Refuse(Counter::kUnexpected);
  }
  bool any = false;
  for (const uint32_t user : notice.Users()) {
    if (user - carrier_.FirstUser(member) < carrier_.UserCount(member)) {
      any = true;
      context_.cells.Add(Counter::kNotices);
      context_.cells.Add(OpenFor(member, user, notice.envelope_id, out));
      if constexpr (CarrierT::kOneUser) {
        break;
      }
    }
  }
  if (!any) {
    context_.cells.Add(Counter::kNotices);
    context_.cells.Add(Counter::kNoticesMisdelivered);
  }
  return true;
}

// Returns what became of the notice.
template <class CarrierT>
Counter Fleet<CarrierT>::OpenFor(MemberT& member, uint32_t user, uint32_t envelope_id, net::Replies& out) {
  if (carrier_.HoldsOpen(member, user, envelope_id)) {
    return Counter::kNoticesRepeated;
  }
  if (context_.stopping || !carrier_.HasRoomForOpen(member)) {
    return Counter::kNoticesNotOpened;
  }
  carrier_.NoteGift(member);
  if (!seen_.Insert(user, envelope_id)) {
    return Counter::kNoticesRepeated;
  }
  carrier_.Open(member, user, envelope_id, out);
  context_.cells.Add(Counter::kOpensOutstanding);
  return Counter::kOpensSent;
}

template <class CarrierT>
bool Fleet<CarrierT>::OnOpenAnswer(MemberT& member, wire::FrameBytes frame) {
  wire::OpenResponse answer;
  if (wire::DecodeOpenResponse(frame, context_.options.version, answer) != wire::Decoded::kOk) {
    return Refuse(Counter::kMalformed);
  }
  if (answer.envelope_id == 0 || (context_.v2() && !carrier_.Owns(member, answer.user_id))) {
    return Refuse(Counter::kUnexpected);
  }
  FinishedRequest request;
  if (const Match match = carrier_.TakeOpen(member, answer.stamp, answer.user_id, answer.envelope_id, request);
      match != Match::kFound) {
    return Unmatched(match);
  }
  context_.answers.CountOpened(answer.amount_fen);
  if (answer.amount_fen != 0) {
    BookMoney(member, {request.stamp, request.user, answer.envelope_id, answer.amount_fen, MoneyKind::kOpen});
  }
  return true;
}

// ---- statements: what the server says each user got, against what came ----

template <class CarrierT>
bool Fleet<CarrierT>::OnStatement(MemberT& member, wire::FrameBytes frame) {
  wire::Statement answer;
  if (wire::DecodeStatement(frame, answer) != wire::Decoded::kOk) {
    return Refuse(Counter::kMalformed);
  }
  bool is_base = false;
  if (const Match match = carrier_.TakeStatement(member, answer, is_base); match != Match::kFound) {
    return Unmatched(match);
  }
  if (!is_base) {
    const auto& account = carrier_.AccountOf(member, answer.user_id);
    context_.answers.CompareStatement(answer, account.grants, account.fen);
    return true;
  }
  // A gateway asks for all users' bases: the accounts of those that had nothing stay untouched memory.
  if (answer.grants != 0 || answer.total_fen != 0 || CarrierT::kOneUser) {
    auto& account = carrier_.AccountOf(member, answer.user_id);
    account.grants += answer.grants;
    account.fen += answer.total_fen;
    context_.cells.Add(Counter::kStatementBases);
    context_.cells.Add(Counter::kStatementBasesFen, answer.total_fen);
  }
  if (member.state == MemberState::kBases && carrier_.HasBases(member)) {
    Enter(member);
  }
  return true;
}

}  // namespace hongbao::load
