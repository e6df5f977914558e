// SilenceWatch: whether a connection that has waited in vain for an answer is given up now.
//
// A connection that is forgotten on its way (a NAT, a proxy) never says anything again: its user has to log in anew, and gets
// the outcomes of its requests then. To a server that is stopped a new connection is of no use, and the answers to the old
// ones still come. From one connection alone the two look the same. So while the server says nothing to any of ours only one
// of them is given up, and its login finds out: once that is answered, the others that are silent follow, but not before the
// server has had a moment to answer by itself what it was asked.
// Owns nothing, never reads a clock: the time is an argument, monotonic.
// Thread tag: worker-local.
#pragma once

#include <algorithm>
#include <cstdint>
#include <utility>

#include "libhongbao/cpp20.h"

namespace hongbao::load {

class SilenceWatch {
 public:
  // 0: nothing is ever given up.
  explicit SilenceWatch(int64_t timeout_ns) : timeout_ns_(timeout_ns) {}

  bool on() const { return timeout_ns_ > 0; }
  int64_t timeout_ns() const { return timeout_ns_; }

  // The server has said something to one of ours.
  void Heard(int64_t now_ns) {
    if (now_ns - heard_ns_ > timeout_ns_ / 2) {
      speaks_since_ns_ = now_ns;
    }
    heard_ns_ = now_ns;
    asks_ = false;
  }

  // Of a connection that has been silent for so long with requests waiting. True: end it, now.
  bool MayEnd(int64_t silent_ns, int64_t now_ns) {
    if (!on() || silent_ns < timeout_ns_) {
      return false;
    }
    if (now_ns - heard_ns_ <= timeout_ns_ / 2) {
      return now_ns - speaks_since_ns_ >= std::min(kMomentNs, timeout_ns_ / 4);
    }
    return !std::exchange(asks_, true);
  }

 private:
  static constexpr int64_t kMomentNs = 1'000'000'000;

  int64_t timeout_ns_;
  int64_t heard_ns_ = 0;
  int64_t speaks_since_ns_ = 0;
  bool asks_ = false;  // one was given up, to find out whether the server is there
};

}  // namespace hongbao::load
