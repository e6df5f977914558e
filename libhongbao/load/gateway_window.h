// GatewayWindow: the requests of one gateway connection that have been sent and not yet answered.
//
//   ring:  head | sent on this connection .. | sent_end | to be sent on it (again) .. | tail      (stamps ascending)
//   table: by stamp, those that were older than a request that has been answered ("overtaken")
//
// A gateway's stamps are strictly increasing and most answers come in the order of the requests, so the expected answer
// is the oldest request's: one compare. A win waits for its commit and is overtaken: its request moves to the table, at
// most once. Both together never hold more than the capacity, and either has room for all of it: what is full is the
// window. Owns the records. Never allocates after construction, never forgets a request, never finds one twice.
// Thread tag: worker-local.
#pragma once

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>

#include "libhongbao/check.h"
#include "libhongbao/load/gateway_overtaken.h"
#include "libhongbao/net/lazy_array.h"

namespace hongbao::load {

class GatewayWindow {
 public:
  // Every so many requests one is a sample.
  static constexpr uint64_t kSampleEvery = 64;
  static constexpr uint32_t kCapacityMax = 1u << 24;

  explicit GatewayWindow(uint32_t capacity)
      : capacity_(capacity),
        mask_(std::bit_ceil(uint64_t{capacity}) - 1),
        ring_(mask_ + 1),
        sent_ns_(mask_ / kSampleEvery + 1),
        overtaken_(capacity) {
    Check(capacity > 0 && capacity <= kCapacityMax, "a window holds 1 to 2^24 requests");
  }

  uint32_t capacity() const { return capacity_; }
  uint32_t in_flight() const { return static_cast<uint32_t>(tail_ - head_) + overtaken_.size(); }
  uint32_t room() const { return capacity_ - in_flight(); }
  // How many of the next requests to be appended come before the next sample.
  uint64_t before_next_sample() const { return -tail_ % kSampleEvery; }
  uint32_t overtaken() const { return overtaken_.size(); }
  // Of those in flight, how many wait to be sent on this connection.
  uint32_t to_repeat() const { return static_cast<uint32_t>(tail_ - sent_end_); }
  // The oldest request that no later one's answer has overtaken; null when there is none.
  const GatewayRequest* oldest() const { return head_ == tail_ ? nullptr : &ring_[head_ & mask_]; }

  // Appends `n` <= room() requests, the i-th being request_at(i), sent at `sent_ns`. Stamps above all before, nothing
  // to repeat.
  template <class RequestAt>
  void Append(size_t n, int64_t sent_ns, RequestAt request_at) {
    Check(n <= room() && sent_end_ == tail_, "a request without room in the window, or before those to be repeated");
    const uint64_t first = tail_;
    GatewayRequest* const ring = ring_.data();
    for (size_t i = 0; i < n; ++i) {
      GatewayRequest request = request_at(i);
      request.mark |= (first + i) % kSampleEvery == 0 ? GatewayRequest::kSample : 0;
      ring[(first + i) & mask_] = request;
    }
    for (uint64_t at = (first + kSampleEvery - 1) & ~(kSampleEvery - 1); at < first + n; at += kSampleEvery) {
      SentNs(at) = sent_ns;
    }
    tail_ += n;
    sent_end_ = tail_;
  }

  // Takes the oldest requests for as long as answers(i, request) says that the i-th answer is theirs, `limit` at most;
  // each sample is shown to on_sample(answered). Returns how many. The hot path: 99 % of all answers.
  template <class Answers, class OnSample>
  size_t TakeInOrder(size_t limit, Answers answers, OnSample on_sample) {
    const uint64_t first = head_;
    const size_t most = std::min<size_t>(limit, static_cast<size_t>(sent_end_ - first));
    const GatewayRequest* const ring = ring_.data();
    size_t i = 0;
    for (; i < most; ++i) {
      const GatewayRequest& request = ring[(first + i) & mask_];
      if (!answers(i, request)) break;
      if (request.sample()) [[unlikely]]
        on_sample(AnsweredAt(first + i));
    }
    head_ = first + i;
    return i;
  }

  // Every sample in the ring. Those that were overtaken are left out: they are few, and their table is large.
  template <class Each>
  void ForEachSample(Each each) {
    for (uint64_t at = (head_ + kSampleEvery - 1) & ~(kSampleEvery - 1); at < tail_; at += kSampleEvery) each(ring_[at & mask_]);
  }

  // Takes the request of that stamp and user, wherever it is. False when none is in flight.
  bool Take(uint64_t stamp, uint32_t user, GatewayAnswered& answered) {
    if (head_ == tail_ || stamp < ring_[head_ & mask_].stamp) {
      return overtaken_.Take(stamp, user, answered);
    }
    const uint64_t at = Find(stamp);
    if (at == tail_ || ring_[at & mask_].stamp != stamp || ring_[at & mask_].user != user) return false;
    answered = AnsweredAt(at);
    if (at >= sent_end_) {  // the outcome of its first try comes before it was sent again: close the gap
      for (uint64_t next = at + 1; next != tail_; ++next) ring_[(next - 1) & mask_] = ring_[next & mask_];
      --tail_;
      return true;
    }
    for (; head_ != at; ++head_) overtaken_.Add(AnsweredAt(head_));
    ++head_;
    return true;
  }

  // The connection has ended: everything in flight is to be sent on the next one, in the order of the stamps.
  void Rewind() {
    head_ -= overtaken_.size();  // their former places, or those of others that have been answered: free in any case
    uint64_t at = head_;
    overtaken_.TakeAll([this, &at](const GatewayAnswered& one) {
      ring_[at & mask_] = one.request;
      if (at % kSampleEvery == 0) SentNs(at) = one.sent_ns;
      ++at;
    });
    sent_end_ = head_;
  }

  // Shows each of the next `limit` requests to be repeated; they count as sent on this connection from now on.
  template <class Each>
  void Repeat(size_t limit, Each each) {
    for (; limit > 0 && sent_end_ != tail_; --limit, ++sent_end_) each(ring_[sent_end_ & mask_]);
  }

  // After Rewind: gives up the oldest. False when there is none.
  bool GiveUpOldest(GatewayRequest& request) {
    if (head_ == tail_) return false;
    request = ring_[head_ & mask_];
    ++head_;
    sent_end_ = std::max(sent_end_, head_);
    return true;
  }

 private:
  int64_t& SentNs(uint64_t index) { return sent_ns_[(index & mask_) / kSampleEvery]; }
  GatewayAnswered AnsweredAt(uint64_t index) {
    const GatewayRequest& request = ring_[index & mask_];
    return {request, request.sample() && index % kSampleEvery == 0 ? SentNs(index) : 0};
  }

  // The first index in the ring with a stamp not below `stamp`. Galloping: what has been overtaken mostly is a few.
  uint64_t Find(uint64_t stamp) const {
    uint64_t low = head_, step = 1;
    while (low + step < tail_ && ring_[(low + step) & mask_].stamp < stamp) low += step, step *= 2;
    uint64_t high = std::min(low + step, tail_);
    while (low < high) {
      const uint64_t middle = low + (high - low) / 2;
      if (ring_[middle & mask_].stamp < stamp)
        low = middle + 1;
      else
        high = middle;
    }
    return low;
  }

  const uint32_t capacity_;
  const uint64_t mask_;
  // Positions count up for ever; & mask_ is the place.
  uint64_t head_ = 0;
  uint64_t sent_end_ = 0;
  uint64_t tail_ = 0;
  net::LazyArray<GatewayRequest> ring_;
  net::LazyArray<int64_t> sent_ns_;  // of each sample's place
  GatewayOvertaken overtaken_;
};

}  // namespace hongbao::load
