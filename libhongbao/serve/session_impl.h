// The bodies of SessionDesk's template and of what it calls for every losing shake. Included by session.h.
//
// Owns nothing. Thread tag: worker-local.
#pragma once

#include "libhongbao/serve/session.h"

namespace hongbao::serve {

template <class Out>
Served SessionDesk::OnBytes(Session& session, uint64_t address, absl::Span<const std::byte> in, Out& out) {
  size_t consumed = 0;
  while (out.open()) {
    const absl::Span<const std::byte> rest = in.subspan(consumed);
    if (session.logged_in && wire::StartsWithShake(rest)) [[likely]] {
      if (wire::LoadU32(rest.data() + wire::kHeaderBytes) != session.user) [[unlikely]] {
        return {consumed, net::CloseReason::kMalformed};
      }
      services_.cells->Add(Counter::kFramesShake);
      services_.cells->Add(Counter::kReceived);
      consumed += wire::kShakeRequestBytes;
      std::optional<wire::ShakeResponse> answer;
      const bool money = durable_ && ConcernsLedger(session, rest.data());
      if (money) [[unlikely]] {
        if (MayHaveOutcome(session, wire::StampOf(rest.data())) && services_.ledger->swamped()) {
          services_.cells->Add(Counter::kDropped);
          return {consumed, net::CloseReason::kUnsentBytes};  // "overloaded" would be a lie: it shall ask again later
        }
        answer = ShakeForMoney(session, address, wire::StampOf(rest.data()));
        if (!answer.has_value()) {
          continue;  // it comes with the outcome
        }
      }
      std::byte* to = out.Append(wire::kShakeResponseBytes);
      if (!out.open()) [[unlikely]] {
        services_.cells->Add(Counter::kDropped);
        break;
      }
      if (money) [[unlikely]] {
        CountAnswer(answer->result);
        wire::EncodeShakeResponse(to, *answer);
      } else {
        Shake(session, rest.data(), to);
      }
      continue;
    }
    const wire::Peeked peeked = wire::Peek(rest, wire::Side::kServer, session.version);
    if (peeked.framing == wire::Framing::kPartial) {
      break;
    }
    if (peeked.framing == wire::Framing::kMalformed) {
      return {consumed, net::CloseReason::kMalformed};
    }
    Reply reply;
    const net::CloseReason close = Handle(session, address, peeked.type, rest.first(peeked.length), reply);
    consumed += peeked.length;
    if (reply.size > 0) {
      std::memcpy(out.Append(reply.size), reply.bytes.data(), reply.size);
    }
    if (close != net::CloseReason::kNone) {
      return {consumed, close};
    }
    if (reply.logged_in) {
      AskForNotices(session, address);  // after the answer: nothing comes before it
    }
  }
  return {consumed, net::CloseReason::kNone};
}

inline void SessionDesk::Shake(Session& session, const std::byte* frame, std::byte* to) {
  wire::ShakeResponse response{.stamp = wire::StampOf(frame), .user_id = session.user};
  count::Cells<Counter>& cells = *services_.cells;
  envelope::LuckyEnvelope envelope;
  if (!services_.overload->Admit(session.user)) [[unlikely]] {
    response.result = wire::ShakeResult::kOverload;  // before anything else: it must cost nothing and change nothing
    cells.Add(Counter::kRefused);
    wire::EncodeShakeResponse(to, response);
    return;
  }
  if (durable_) {  // nothing to win, or ShakeForMoney would have been asked
    response.result = session.at_cap ? wire::ShakeResult::kCap : wire::ShakeResult::kNothing;
    cells.Add(session.at_cap ? Counter::kCap : Counter::kNothing);
  } else if (services_.wins_per_user != 0) {
    response = DecideUnderCap(session, response.stamp);
  } else if (services_.claimer->Claim(envelope)) {
    response = Won(session, response.stamp, envelope);
  } else {
    cells.Add(Counter::kNothing);
  }
  cells.Add(Counter::kReplied);
  wire::EncodeShakeResponse(to, response);
}

}  // namespace hongbao::serve
