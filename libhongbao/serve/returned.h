// Returned: shake envelopes that were claimed for a request which had its outcome already, on their way back to the minter.
//
// Owns them until the minter takes them. It happens when a request is repeated in the moment in which its first try is being
// settled elsewhere: once in a while, so a lock is no cost. Thread tag: thread-safe.
#pragma once

#include <mutex>
#include <utility>
#include <vector>

#include "libhongbao/envelope/lucky_pool.h"

namespace hongbao::serve {

class Returned {
 public:
  void Give(const envelope::LuckyEnvelope& envelope) {
    const std::lock_guard<std::mutex> lock(mutex_);
    envelopes_.push_back(envelope);
  }
  std::vector<envelope::LuckyEnvelope> TakeAll() {
    const std::lock_guard<std::mutex> lock(mutex_);
    return std::exchange(envelopes_, {});
  }

 private:
  std::mutex mutex_;
  std::vector<envelope::LuckyEnvelope> envelopes_;
};

}  // namespace hongbao::serve
