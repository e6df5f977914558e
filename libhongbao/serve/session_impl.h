// The bodies of Sessions's templates and of what they call for every losing shake. Included by session.h.
//
// Owns nothing. Thread tag: worker-local.
#pragma once

#include <algorithm>

#include "libhongbao/serve/session.h"

namespace hongbao::serve {

template <class Out>
Served Sessions::OnBytes(Session& session, uint64_t address, absl::Span<const std::byte> in, Out& out) {
  if (session.gateway != Gateways::kNone) {
    return OnGatewayBytes(session, address | kGatewayBit, in, out);
  }
  Served served;
  while (out.open()) {
    const absl::Span<const std::byte> rest = in.subspan(served.consumed);
    if (session.logged_in && wire::StartsWithShake(rest)) [[likely]] {
      served.close = ServeShake(session, address, rest.data(), out);
      served.consumed += wire::kShakeRequestBytes;
      if (served.close != net::CloseReason::kNone) [[unlikely]] {
        return served;
      }
      continue;
    }
    const Served one = ServeOther(session, address, rest, out);
    served.consumed += one.consumed;
    served.close = one.close;
    if (one.consumed == 0 || one.close != net::CloseReason::kNone) {
      return served;
    }
    if (session.gateway != Gateways::kNone) {
      return served;  // that was its login, which takes a while
    }
  }
  return served;
}

// One shake of a direct session, or one that stands alone on a gateway.
template <class Out>
net::CloseReason Sessions::ServeShake(Session& session, uint64_t address, const std::byte* frame, Out& out) {
  const uint32_t user = wire::LoadU32(frame + wire::kHeaderBytes);
  if (!Owns(session, user)) [[unlikely]] {
    return net::CloseReason::kMalformed;
  }
  services_.cells->Add(Counter::kFramesShake);
  services_.cells->Add(Counter::kReceived);
  const uint64_t stamp = wire::StampOf(frame);
  const bool ahead = !stamps_.IsPlain(stamp) && IsTooFarAhead(session, user, stamp);
  if (!ahead && ConcernsMoney(session, user, stamp)) [[unlikely]] {
    return ServeMoney(session, address, user, stamp, out);
  }
  std::byte* to = out.Append(wire::kShakeResponseBytes);
  if (!out.open()) [[unlikely]] {
    services_.cells->Add(Counter::kDropped);
    return net::CloseReason::kNone;
  }
  ahead ? AnswerAhead(frame, to) : AnswerLoser(session, user, frame, to);
  return net::CloseReason::kNone;
}

template <class Out>
net::CloseReason Sessions::ServeMoney(Session& session, uint64_t address, uint32_t user, uint64_t stamp, Out& out) {
  if (durable_ && MayHaveOutcome(session, user, stamp) && services_.ledger->swamped()) {
    services_.cells->Add(Counter::kDropped);
    return net::CloseReason::kSwamped;  // "overloaded" would be a lie: it shall ask again later
  }
  std::byte* to = durable_ ? nullptr : out.Append(wire::kShakeResponseBytes);
  if (!out.open()) [[unlikely]] {
    services_.cells->Add(Counter::kDropped);
    return net::CloseReason::kNone;
  }
  Shake shake{.user = user, .response = {.stamp = stamp, .user_id = user}};
  Weigh(session, address, shake);
  if (shake.verdict == Verdict::kClaim) {
    envelope::LuckyEnvelope envelope;
    services_.claimer->Claim(envelope);
    Settle(session, address, shake, envelope);
  }
  if (shake.verdict == Verdict::kLater) {
    return net::CloseReason::kNone;
  }
  to = durable_ ? out.Append(wire::kShakeResponseBytes) : to;
  if (!out.open()) [[unlikely]] {
    services_.cells->Add(Counter::kDropped);
    return net::CloseReason::kNone;
  }
  CountAnswer(shake.response.result);
  wire::EncodeShakeResponse(to, shake.response);
  return net::CloseReason::kNone;
}

// Whatever is no shake of somebody who has logged in.
template <class Out>
Served Sessions::ServeOther(Session& session, uint64_t address, absl::Span<const std::byte> rest, Out& out) {
  const wire::Peeked peeked = wire::Peek(rest, wire::Side::kServer, session.version);
  if (peeked.framing == wire::Framing::kPartial) {
    return {};
  }
  if (peeked.framing == wire::Framing::kMalformed) {
    return {0, net::CloseReason::kMalformed};
  }
  Reply reply;
  const net::CloseReason close = Handle(session, address, peeked.type, rest.first(peeked.length), reply);
  if (reply.size > 0) {
    std::memcpy(out.Append(reply.size), reply.bytes.data(), reply.size);
  }
  if (reply.logged_in && session.gateway == Gateways::kNone) {
    AskForNotices(session.user, address);  // after the answer: nothing comes before it
  }
  return {peeked.length, close};
}

inline void Sessions::AnswerLoser(const Session& session, uint32_t user, const std::byte* frame, std::byte* to) {
  count::Cells<Counter>& cells = *services_.cells;
  if (!services_.overload->Admit(user)) [[unlikely]] {
    cells.Add(Counter::kRefused);
    wire::EncodeLosingResponse(to, frame, wire::ShakeResult::kOverload);
    return;
  }
  const bool at_cap = session.gateway == Gateways::kNone ? session.at_cap : AtCap(user);
  cells.Add(at_cap ? Counter::kCap : Counter::kNothing);
  cells.Add(Counter::kReplied);
  wire::EncodeLosingResponse(to, frame, at_cap ? wire::ShakeResult::kCap : wire::ShakeResult::kNothing);
}

// ---- gateways ----

inline uint32_t Sessions::LeadingShakes(const Session& session, absl::Span<const std::byte> in, uint32_t most,
                                           uint64_t* lowest) const {
  const uint32_t first = session.user;
  const uint32_t users = gateways_.user_count(session.gateway);
  const uint32_t frames = static_cast<uint32_t>(std::min<size_t>(most, in.size() / wire::kShakeRequestBytes));
  const StampLimit stamps = stamps_;  // a copy, and `least`: what lies in memory would be read and written for each frame
  uint64_t least = std::numeric_limits<uint64_t>::max();
  uint32_t count = 0;
  for (const std::byte* frame = in.data(); count < frames; ++count, frame += wire::kShakeRequestBytes) {
    const uint64_t stamp = wire::StampOf(frame);
    if (wire::LoadU32(frame) != wire::Head(wire::FrameType::kShakeRequest, wire::kShakeRequestBytes) ||
        wire::LoadU32(frame + wire::kHeaderBytes) - first >= users || !stamps.IsPlain(stamp)) {
      break;
    }
    least = std::min(least, stamp);
  }
  *lowest = least;
  return count;
}

template <class Out>
Served Sessions::OnGatewayBytes(Session& session, uint64_t address, absl::Span<const std::byte> in, Out& out) {
  Served served;
  while (out.open()) {
    const absl::Span<const std::byte> rest = in.subspan(served.consumed);
    uint64_t lowest = 0;
    const size_t room = out.Room() / wire::kShakeResponseBytes;
    const uint32_t count = LeadingShakes(session, rest, static_cast<uint32_t>(std::min<size_t>(room, kBatch)), &lowest);
    if (count == 0) {  // another frame, the part of one, somebody else's user, or no room: told apart one by one
      const bool shake = wire::StartsWithShake(rest);
      const Served one = shake ? Served{wire::kShakeRequestBytes, ServeShake(session, address, rest.data(), out)}
                               : ServeOther(session, address, rest, out);
      served.consumed += one.consumed;
      served.close = one.close;
      if (one.consumed == 0 || one.close != net::CloseReason::kNone) {
        return served;
      }
      continue;
    }
    served.consumed += count * wire::kShakeRequestBytes;
    const bool money = services_.claimer->MayClaim() || (durable_ && lowest <= session.stamp_floor);
    if (money && services_.wins_per_user == 0) [[unlikely]] {
      served.close = DecideBatch(session, address, rest.data(), count, out);
    } else if (services_.wins_per_user == 0 && services_.overload->AdmitAll(count)) [[likely]] {
      AnswerLosers(rest.data(), count, out.Append(count * wire::kShakeResponseBytes));
    } else {
      // One by one: some are refused, or an allowance that was taken for a claim that found nothing must be back before the same
      // user's next shake.
      for (uint32_t i = 0; i < count && served.close == net::CloseReason::kNone; ++i) {
        served.close = ServeShake(session, address, rest.data() + i * wire::kShakeRequestBytes, out);
      }
    }
    if (served.close != net::CloseReason::kNone) {
      return served;
    }
  }
  return served;
}

inline void Sessions::AnswerLosers(const std::byte* frames, uint32_t count, std::byte* to) {
  for (uint32_t i = 0; i < count; ++i) {
    wire::EncodeLosingResponse(to + i * wire::kShakeResponseBytes, frames + i * wire::kShakeRequestBytes,
                               wire::ShakeResult::kNothing);
  }
  services_.cells->Add(Counter::kFramesShake, count);
  services_.cells->Add(Counter::kReceived, count);
  services_.cells->Add(Counter::kNothing, count);
  services_.cells->Add(Counter::kReplied, count);
}

// The same rules as for one shake, with one claim for as many as there can be. There is room for all answers.
template <class Out>
net::CloseReason Sessions::DecideBatch(Session& session, uint64_t address, const std::byte* frames, uint32_t count,
                                          Out& out) {
  services_.cells->Add(Counter::kFramesShake, count);
  services_.cells->Add(Counter::kReceived, count);
  for (uint32_t done = 0; done < count;) {
    const std::byte* rest = frames + done * wire::kShakeRequestBytes;
    if (durable_ && services_.ledger->swamped() &&
        MayHaveOutcome(session, wire::LoadU32(rest + wire::kHeaderBytes), wire::StampOf(rest))) {
      services_.cells->Add(Counter::kDropped, count - done);
      return net::CloseReason::kSwamped;  // see ServeMoney
    }
    done += DecideSome(session, address, rest, count - done, out);
  }
  return net::CloseReason::kNone;
}

// Up to the first that may repeat one of those before it, whose win must be under way first; at least one. Returns how many.
template <class Out>
uint32_t Sessions::DecideSome(Session& session, uint64_t address, const std::byte* frames, uint32_t count, Out& out) {
  std::array<Shake, kBatch> shakes;
  uint32_t claims = 0;
  uint32_t weighed = 0;
  for (; weighed < count; ++weighed) {
    const std::byte* frame = frames + weighed * wire::kShakeRequestBytes;
    Shake& shake = shakes[weighed];
    shake.user = wire::LoadU32(frame + wire::kHeaderBytes);
    shake.response = {.stamp = wire::StampOf(frame), .user_id = shake.user};
    if (weighed > 0 && durable_ && MayHaveOutcome(session, shake.user, shake.response.stamp)) {
      break;
    }
    Weigh(session, address, shake);
    claims += shake.verdict == Verdict::kClaim ? 1U : 0U;
  }
  std::array<envelope::LuckyEnvelope, kBatch> envelopes;
  const size_t claimed = services_.claimer->ClaimMany({envelopes.data(), claims});
  size_t next = 0;
  for (uint32_t i = 0; i < weighed; ++i) {
    Shake& shake = shakes[i];
    if (shake.verdict == Verdict::kClaim) {
      Settle(session, address, shake, next < claimed ? envelopes[next] : envelope::LuckyEnvelope{});
      ++next;
    }
    if (shake.verdict == Verdict::kAnswer) {
      CountAnswer(shake.response.result);
      wire::EncodeShakeResponse(out.Append(wire::kShakeResponseBytes), shake.response);
    }
  }
  return weighed;
}

}  // namespace hongbao::serve
