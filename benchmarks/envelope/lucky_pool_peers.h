// Peers of the lucky pool: other people's queues, and the plainest thing that works, behind the one small interface
// that the benchmark drives. HONGBAO_HAS_... come from meson: a library that is not installed is left out, and
// kMissingPeers names it.
//
// Owns nothing but the queues. Each adapter uses its queue as that queue's documentation wants it for speed: bounded,
// made before it is used, its own batch calls and tokens where it has them. Nothing here keeps accounts, as the lucky
// pool does.
//
// The interface, P being the pool:
//   P(capacity)                             room for so many LuckyEnvelopes
//   P::Publisher(pool).Publish(envelopes)   one thread at a time; returns how many fitted
//   P::Hand(pool).Claim(envelope)           one thread each
//   P::Hand(pool).ClaimMany(envelopes)      only where the queue can take several at once
// Thread tag: pools thread-safe, publishers and hands one thread each.
#pragma once

#include <algorithm>
#include <cstddef>
#include <deque>
#include <mutex>

#include "absl/types/span.h"
#include "libhongbao/envelope/lucky_pool.h"

#if HONGBAO_HAS_BOOST_LOCKFREE
#include <boost/lockfree/queue.hpp>
#endif
#if HONGBAO_HAS_TBB
#include <oneapi/tbb/concurrent_queue.h>
#endif
#if HONGBAO_HAS_MOODYCAMEL
#include <concurrentqueue/concurrentqueue.h>
#endif
#if HONGBAO_HAS_ATOMIC_QUEUE
#include <atomic_queue/atomic_queue.h>
#endif

namespace hongbao::envelope {

// Publishes one after the other, for queues without a batch call: `try_one` says whether it fitted.
template <class TryOne>
size_t PublishEach(absl::Span<const LuckyEnvelope> envelopes, TryOne&& try_one) {
  size_t fitted = 0;
  while (fitted < envelopes.size() && try_one(envelopes[fitted])) ++fitted;
  return fitted;
}

struct OurPool {
  explicit OurPool(size_t capacity) : pool(capacity) {}
  struct Publisher {
    explicit Publisher(OurPool& owner) : pool(owner.pool) {}
    size_t Publish(absl::Span<const LuckyEnvelope> envelopes) { return pool.Publish(envelopes); }
    LuckyPool& pool;
  };
  struct Hand : LuckyClaimer {
    explicit Hand(OurPool& owner) : LuckyClaimer(owner.pool) {}
  };
  LuckyPool pool;
};

class LockedPool {
 public:
  explicit LockedPool(size_t capacity) : capacity_(capacity) {}
  struct Publisher {
    explicit Publisher(LockedPool& owner) : pool(owner) {}
    size_t Publish(absl::Span<const LuckyEnvelope> envelopes) {
      const std::lock_guard lock(pool.mutex_);
      const size_t fitted = std::min(envelopes.size(), pool.capacity_ - pool.queue_.size());
      pool.queue_.insert(pool.queue_.end(), envelopes.begin(), envelopes.begin() + static_cast<ptrdiff_t>(fitted));
      return fitted;
    }
    LockedPool& pool;
  };
  struct Hand {
    explicit Hand(LockedPool& owner) : pool(owner) {}
    bool Claim(LuckyEnvelope& envelope) { return ClaimMany({&envelope, 1}) == 1; }
    size_t ClaimMany(absl::Span<LuckyEnvelope> envelopes) {
      const std::lock_guard lock(pool.mutex_);
      const size_t taken = std::min(envelopes.size(), pool.queue_.size());
      const auto end = pool.queue_.begin() + static_cast<ptrdiff_t>(taken);
      std::copy(pool.queue_.begin(), end, envelopes.begin());
      pool.queue_.erase(pool.queue_.begin(), end);
      return taken;
    }
    LockedPool& pool;
  };

 private:
  size_t capacity_;
  std::mutex mutex_;
  std::deque<LuckyEnvelope> queue_;
};

#if HONGBAO_HAS_BOOST_LOCKFREE
struct BoostPool {
  explicit BoostPool(size_t capacity) : queue(capacity) {}
  struct Publisher {
    explicit Publisher(BoostPool& owner) : pool(owner) {}
    size_t Publish(absl::Span<const LuckyEnvelope> envelopes) {
      return PublishEach(envelopes, [this](const LuckyEnvelope& envelope) { return pool.queue.bounded_push(envelope); });
    }
    BoostPool& pool;
  };
  struct Hand {
    explicit Hand(BoostPool& owner) : pool(owner) {}
    bool Claim(LuckyEnvelope& envelope) { return pool.queue.pop(envelope); }
    BoostPool& pool;
  };
  boost::lockfree::queue<LuckyEnvelope, boost::lockfree::fixed_sized<true>> queue;
};
#endif

#if HONGBAO_HAS_TBB
struct TbbPool {
  explicit TbbPool(size_t capacity) { queue.set_capacity(static_cast<ptrdiff_t>(capacity)); }
  struct Publisher {
    explicit Publisher(TbbPool& owner) : pool(owner) {}
    size_t Publish(absl::Span<const LuckyEnvelope> envelopes) {
      return PublishEach(envelopes, [this](const LuckyEnvelope& envelope) { return pool.queue.try_push(envelope); });
    }
    TbbPool& pool;
  };
  struct Hand {
    explicit Hand(TbbPool& owner) : pool(owner) {}
    bool Claim(LuckyEnvelope& envelope) { return pool.queue.try_pop(envelope); }
    TbbPool& pool;
  };
  oneapi::tbb::concurrent_bounded_queue<LuckyEnvelope> queue;
};
#endif

#if HONGBAO_HAS_MOODYCAMEL
struct MoodycamelPool {
  using Queue = moodycamel::ConcurrentQueue<LuckyEnvelope>;
  // Memory for so many, of one producer with a token; try_enqueue never asks for more.
  explicit MoodycamelPool(size_t capacity) : queue(capacity, 1, 0) {}
  struct Publisher {
    explicit Publisher(MoodycamelPool& owner) : pool(owner), token(owner.queue) {}
    size_t Publish(absl::Span<const LuckyEnvelope> envelopes) {
      if (envelopes.size() == 1) return pool.queue.try_enqueue(token, envelopes[0]) ? 1 : 0;
      return pool.queue.try_enqueue_bulk(token, envelopes.begin(), envelopes.size()) ? envelopes.size() : 0;
    }
    MoodycamelPool& pool;
    moodycamel::ProducerToken token;
  };
  struct Hand {
    explicit Hand(MoodycamelPool& owner) : pool(owner), token(owner.queue) {}
    bool Claim(LuckyEnvelope& envelope) { return pool.queue.try_dequeue(token, envelope); }
    size_t ClaimMany(absl::Span<LuckyEnvelope> envelopes) {
      return pool.queue.try_dequeue_bulk(token, envelopes.begin(), envelopes.size());
    }
    MoodycamelPool& pool;
    moodycamel::ConsumerToken token;
  };
  Queue queue;
};
#endif

#if HONGBAO_HAS_ATOMIC_QUEUE
struct AtomicQueuePool {
  explicit AtomicQueuePool(size_t capacity) : queue(static_cast<unsigned>(capacity)) {}
  struct Publisher {
    explicit Publisher(AtomicQueuePool& owner) : pool(owner) {}
    size_t Publish(absl::Span<const LuckyEnvelope> envelopes) {
      return PublishEach(envelopes, [this](const LuckyEnvelope& envelope) { return pool.queue.try_push(envelope); });
    }
    AtomicQueuePool& pool;
  };
  struct Hand {
    explicit Hand(AtomicQueuePool& owner) : pool(owner) {}
    bool Claim(LuckyEnvelope& envelope) { return pool.queue.try_pop(envelope); }
    AtomicQueuePool& pool;
  };
  atomic_queue::AtomicQueueB2<LuckyEnvelope> queue;
};
#endif

inline constexpr const char* kMissingPeers =
    ""
#if !HONGBAO_HAS_BOOST_LOCKFREE
    " boost_lockfree"
#endif
#if !HONGBAO_HAS_TBB
    " onetbb"
#endif
#if !HONGBAO_HAS_MOODYCAMEL
    " moodycamel"
#endif
#if !HONGBAO_HAS_ATOMIC_QUEUE
    " atomic_queue"
#endif
    ;

}  // namespace hongbao::envelope
