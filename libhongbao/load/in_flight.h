// InFlight: the pool of requests that were sent and not yet answered, as one list per user.
//
// Owns the records; users hold only the ends of their list. The free list is last-in first-out, so that a steady load
// lives in the same few cached records however large the pool is. Never allocates after construction; a full pool says
// so. In v2 an answer names its request by the stamp, and answers come in any order (a win waits for its commit, what
// was asked before a reconnect may be answered after it). In v1 stamps say nothing: shakes are answered in the order
// they were sent, opens are found by their envelope. A list is short: looking through it costs less than any index.
// Thread tag: worker-local.
#pragma once

#include <cstdint>

#include "libhongbao/check.h"
#include "libhongbao/net/lazy_array.h"

namespace hongbao::load {

inline constexpr uint32_t kNoRequest = 0xffff'ffff;

struct InFlightRequest {
  int64_t due_ns = 0;        // steady time: when the schedule wanted it; 0 = the record is free
  int64_t sent_ns = 0;       // monotonic clock: when it was handed to the connection
  uint64_t stamp = 0;        // as first sent; v2 replies echo it
  uint32_t envelope_id = 0;  // of an open; 0 = a shake
  uint32_t next = kNoRequest;
};
static_assert(sizeof(InFlightRequest) == 32, "two requests a cache line");

struct RequestList {
  uint32_t first = kNoRequest;
  uint32_t last = kNoRequest;
};

class InFlight {
 public:
  explicit InFlight(uint32_t capacity) : records_(capacity) {}

  uint32_t used() const { return used_; }
  bool full() const { return free_ == kNoRequest && fresh_ == records_.size(); }

  InFlightRequest& operator[](uint32_t index) { return records_[index]; }

  // Appends at the end of `list`. The pool must not be full.
  void Append(RequestList& list, InFlightRequest request) {
    Check(!full(), "a request record was taken from a full pool");
    uint32_t index = free_;
    if (index != kNoRequest) {
      free_ = records_[index].next;
    } else {
      index = fresh_++;  // never used before: its page is touched now
    }
    request.next = kNoRequest;
    records_[index] = request;
    (list.last == kNoRequest ? list.first : records_[list.last].next) = index;
    list.last = index;
    ++used_;
  }

  // The oldest request that `wanted` says yes to is taken out of the list into `found`. False when there is none.
  template <typename Predicate>
  bool TakeFirst(RequestList& list, Predicate wanted, InFlightRequest& found) {
    uint32_t previous = kNoRequest;
    for (uint32_t index = list.first; index != kNoRequest; previous = index, index = records_[index].next) {
      if (!wanted(records_[index])) continue;
      found = records_[index];
      (previous == kNoRequest ? list.first : records_[previous].next) = found.next;
      if (list.last == index) list.last = previous;
      records_[index] = {.next = free_};
      free_ = index;
      --used_;
      return true;
    }
    return false;
  }

  bool TakeFirstShake(RequestList& list, InFlightRequest& found) {
    return TakeFirst(
        list, [](const InFlightRequest& request) { return request.envelope_id == 0; }, found);
  }
  bool TakeOpen(RequestList& list, uint32_t envelope_id, InFlightRequest& found) {
    return TakeFirst(
        list, [envelope_id](const InFlightRequest& request) { return request.envelope_id == envelope_id; }, found);
  }
  // v2: the request of that stamp, if it asked for that envelope (0 = a shake).
  bool TakeStamp(RequestList& list, uint64_t stamp, uint32_t envelope_id, InFlightRequest& found) {
    return TakeFirst(
        list, [=](const InFlightRequest& one) { return one.stamp == stamp && one.envelope_id == envelope_id; }, found);
  }
  // Every shake of every list, in no order. Looks at all records that were ever used at a time.
  template <typename Each>
  void ForEachShake(Each each) {
    for (uint32_t index = 0; index < fresh_; ++index) {
      if (records_[index].due_ns != 0 && records_[index].envelope_id == 0) each(records_[index]);
    }
  }
  bool HoldsStamp(const RequestList& list, uint64_t stamp) const {
    return Holds(list, [stamp](const InFlightRequest& one) { return one.stamp == stamp; });
  }
  bool HoldsOpen(const RequestList& list, uint32_t envelope_id) const {
    return Holds(list, [envelope_id](const InFlightRequest& one) { return one.envelope_id == envelope_id; });
  }

 private:
  template <typename Predicate>
  bool Holds(const RequestList& list, Predicate wanted) const {
    for (uint32_t index = list.first; index != kNoRequest; index = records_[index].next) {
      if (wanted(records_[index])) return true;
    }
    return false;
  }

  net::LazyArray<InFlightRequest> records_;
  uint32_t free_ = kNoRequest;
  uint32_t fresh_ = 0;  // records from here on were never used
  uint32_t used_ = 0;
};

}  // namespace hongbao::load
