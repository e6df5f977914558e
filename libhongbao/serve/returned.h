// Returned: what comes back to the minter: shake envelopes that were claimed for a request which had its outcome already, and
// minted gifts that found no room with their owner.
//
// Owns them until the minter takes them. The first happens when a request is repeated in the moment in which its first try is
// being settled elsewhere, the second while a book or a user is full, and then the minter waits: once in a while, so a lock is no
// cost. Thread tag: thread-safe.
#pragma once

#include <mutex>
#include <utility>
#include <vector>

#include "libhongbao/envelope/lucky_pool.h"
#include "libhongbao/serve/message.h"

namespace hongbao::serve {

class Returned {
 public:
  void GiveEnvelope(const envelope::LuckyEnvelope& envelope) {
    const std::lock_guard<std::mutex> lock(mutex_);
    envelopes_.push_back(envelope);
  }
  std::vector<envelope::LuckyEnvelope> TakeEnvelopes() {
    const std::lock_guard<std::mutex> lock(mutex_);
    return std::exchange(envelopes_, {});
  }
  void GiveGift(const MintedGift& gift) {
    const std::lock_guard<std::mutex> lock(mutex_);
    gifts_.push_back(gift);
  }
  std::vector<MintedGift> TakeGifts() {
    const std::lock_guard<std::mutex> lock(mutex_);
    return std::exchange(gifts_, {});
  }

 private:
  std::mutex mutex_;
  std::vector<envelope::LuckyEnvelope> envelopes_;
  std::vector<MintedGift> gifts_;
};

}  // namespace hongbao::serve
