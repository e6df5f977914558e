// The bodies of Shakes' templates and of what they call for every losing shake. Included by shakes.h.
//
// Owns nothing. Thread tag: worker-local.
#pragma once

#include <algorithm>

#include "libhongbao/serve/shakes.h"

namespace hongbao::serve {

template <class Out>
net::CloseReason Shakes::ServeOne(Session& session, uint64_t address, const std::byte* frame, Out& out) {
  const uint32_t user = wire::LoadU32(frame + wire::kHeaderBytes);
  if (!gateways_.Owns(session, user)) [[unlikely]] {
    return net::CloseReason::kMalformed;
  }
  cells_.Add(Counter::kFramesShake);
  cells_.Add(Counter::kReceived);
  const uint64_t stamp = wire::StampOf(frame);
  const bool ahead = !stamps_.IsPlain(stamp) && IsTooFarAhead(session, user, stamp);
  if (!ahead && ConcernsMoney(session, user, stamp)) [[unlikely]] {
    return ServeMoney(session, address, user, stamp, out);
  }
  std::byte* to = out.Append(wire::kShakeResponseBytes);
  if (!out.open()) [[unlikely]] {
    cells_.Add(Counter::kDropped);
    return net::CloseReason::kNone;
  }
  ahead ? AnswerAhead(frame, to) : AnswerLoser(session, user, frame, to);
  return net::CloseReason::kNone;
}

template <class Out>
net::CloseReason Shakes::ServeMoney(Session& session, uint64_t address, uint32_t user, uint64_t stamp, Out& out) {
  if (durable_ && MayHaveOutcome(session, user, stamp) && ledger_.swamped()) {
    cells_.Add(Counter::kDropped);
    return net::CloseReason::kSwamped;  // "overloaded" would be a lie: it shall ask again later
  }
  std::byte* to = durable_ ? nullptr : out.Append(wire::kShakeResponseBytes);
  if (!out.open()) [[unlikely]] {
    cells_.Add(Counter::kDropped);
    return net::CloseReason::kNone;
  }
  Shake shake{.user = user, .response = {.stamp = stamp, .user_id = user}};
  Weigh(session, address, shake);
  if (shake.verdict == Verdict::kClaim) {
    envelope::LuckyEnvelope envelope;
    claimer_.Claim(envelope);
    FinishClaim(session, address, shake, envelope);
  }
  if (shake.verdict == Verdict::kLater) {
    return net::CloseReason::kNone;
  }
  to = durable_ ? out.Append(wire::kShakeResponseBytes) : to;
  if (!out.open()) [[unlikely]] {
    cells_.Add(Counter::kDropped);
    return net::CloseReason::kNone;
  }
  CountAnswer(shake.response.result);
  wire::EncodeShakeResponse(to, shake.response);
  return net::CloseReason::kNone;
}

inline void Shakes::AnswerLoser(const Session& session, uint32_t user, const std::byte* frame, std::byte* to) {
  count::Cells<Counter>& cells = cells_;
  if (!overload_.Admit(user)) [[unlikely]] {
    cells.Add(Counter::kRefused);
    wire::EncodeLosingResponse(to, frame, wire::ShakeResult::kOverload);
    return;
  }
  const bool at_cap = !session.is_gateway() ? session.at_cap : IsAtCap(user);
  cells.Add(at_cap ? Counter::kCap : Counter::kNothing);
  cells.Add(Counter::kReplied);
  wire::EncodeLosingResponse(to, frame, at_cap ? wire::ShakeResult::kCap : wire::ShakeResult::kNothing);
}

// ---- gateways ----

inline uint32_t Shakes::CountLeading(const Session& session, absl::Span<const std::byte> in, uint32_t most,
                                     uint64_t lowest) const {
  const uint32_t first = session.user;
  const uint32_t users = gateways_.user_count(session.gateway);
  const uint32_t frames = static_cast<uint32_t>(std::min<size_t>(most, in.size() / wire::kShakeRequestBytes));
  const uint64_t width = stamps_.plain_until() - lowest;
  uint32_t count = 0;
  for (const std::byte* frame = in.data(); count < frames; ++count, frame += wire::kShakeRequestBytes) {
    // One comparison for both ends: a stamp below the lowest wraps around.
    if (wire::LoadU32(frame) != wire::Head(wire::FrameType::kShakeRequest, wire::kShakeRequestBytes) ||
        wire::LoadU32(frame + wire::kHeaderBytes) - first >= users || wire::StampOf(frame) - lowest > width) {
      break;
    }
  }
  return count;
}

inline Shakes::Batch Shakes::LeadingShakes(const Session& session, absl::Span<const std::byte> in, uint32_t most) const {
  if (!durable_ || session.stamp_floor < stamps_.plain_until()) [[likely]] {
    const uint32_t count = CountLeading(session, in, most, durable_ ? session.stamp_floor + 1 : 0);
    if (count > 0 || !durable_) [[likely]] {
      return {.frames = in.data(), .count = count};
    }
  }
  return {.frames = in.data(), .count = CountLeading(session, in, most, 0), .may_repeat = true};
}

template <class Out>
net::CloseReason Shakes::ServeBatch(Session& session, uint64_t address, const Batch& batch, Out& out) {
  const bool money = claimer_.MayClaim() || batch.may_repeat;
  if (money && wins_per_user_ == 0) [[unlikely]] {
    return DecideBatch(session, address, batch.frames, batch.count, out);
  }
  if (wins_per_user_ == 0 && overload_.AdmitAll(batch.count)) [[likely]] {
    AnswerLosers(batch, out.Append(batch.count * wire::kShakeResponseBytes));
    return net::CloseReason::kNone;
  }
  // One by one: some are refused, or an allowance that was taken for a claim that found nothing must be back before the same
  // user's next shake.
  net::CloseReason close = net::CloseReason::kNone;
  for (uint32_t i = 0; i < batch.count && close == net::CloseReason::kNone; ++i) {
    close = ServeOne(session, address, batch.frames + i * wire::kShakeRequestBytes, out);
  }
  return close;
}

inline void Shakes::AnswerLosers(const Batch& batch, std::byte* to) {
  for (uint32_t i = 0; i < batch.count; ++i) {
    wire::EncodeLosingResponse(to + i * wire::kShakeResponseBytes, batch.frames + i * wire::kShakeRequestBytes,
                               wire::ShakeResult::kNothing);
  }
  cells_.Add(Counter::kFramesShake, batch.count);
  cells_.Add(Counter::kReceived, batch.count);
  cells_.Add(Counter::kNothing, batch.count);
  cells_.Add(Counter::kReplied, batch.count);
}

// The same rules as for one shake, with one claim for as many as there can be.
template <class Out>
net::CloseReason Shakes::DecideBatch(Session& session, uint64_t address, const std::byte* frames, uint32_t count, Out& out) {
  cells_.Add(Counter::kFramesShake, count);
  cells_.Add(Counter::kReceived, count);
  for (uint32_t done = 0; done < count;) {
    const std::byte* rest = frames + done * wire::kShakeRequestBytes;
    if (durable_ && ledger_.swamped() && MayHaveOutcome(session, wire::LoadU32(rest + wire::kHeaderBytes), wire::StampOf(rest))) {
      cells_.Add(Counter::kDropped, count - done);
      return net::CloseReason::kSwamped;  // see ServeMoney
    }
    done += DecideSome(session, address, rest, count - done, out);
  }
  return net::CloseReason::kNone;
}

// Up to the first that may repeat one of those before it, whose win must be under way first; at least one. Returns how many.
template <class Out>
uint32_t Shakes::DecideSome(Session& session, uint64_t address, const std::byte* frames, uint32_t count, Out& out) {
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
  const size_t claimed = claimer_.ClaimMany({envelopes.data(), claims});
  size_t next = 0;
  for (uint32_t i = 0; i < weighed; ++i) {
    Shake& shake = shakes[i];
    if (shake.verdict == Verdict::kClaim) {
      FinishClaim(session, address, shake, next < claimed ? envelopes[next] : envelope::LuckyEnvelope{});
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
