// Stamp limit: which requests of v2 are stamped so far ahead of the clock that nothing may come of them (docs/PROTOCOL.md,
// rule 3).
//
// A stamp once used holds its user back: below it a request may have an outcome already, and is looked up. One of the year 2554
// would do so for ever. What was made under such stamps by servers that took them is known by name, and is looked up still.
// Owns a number for the turn; the names are the server's. Thread tag: worker-local.
#pragma once

#include <algorithm>
#include <cstdint>
#include <limits>

#include "absl/types/span.h"
#include "libhongbao/ledger/ledger.h"

namespace hongbao::serve {

class StampLimit {
 public:
  // `far`: ascending; must outlive this. Until Set there is no limit.
  explicit StampLimit(absl::Span<const ledger::RequestName> far) : far_(far) {
    for (const ledger::RequestName& name : far_) {
      lowest_far_ = std::min(lowest_far_, name.stamp);
    }
    Set(limit_);
  }

  void Set(uint64_t limit) {
    limit_ = limit;
    plain_until_ = std::min(limit_, lowest_far_ - 1);
  }

  // Neither too far ahead nor known by name: as nearly every stamp is.
  bool IsPlain(uint64_t stamp) const { return stamp <= plain_until_; }
  uint64_t plain_until() const { return plain_until_; }
  // Something was made under this stamp.
  bool Knows(uint32_t user, uint64_t stamp) const {
    return stamp >= lowest_far_ && std::binary_search(far_.begin(), far_.end(), ledger::RequestName{user, stamp});
  }
  bool IsAhead(uint64_t stamp) const { return stamp > limit_; }
  bool IsTooFarAhead(uint32_t user, uint64_t stamp) const { return IsAhead(stamp) && !Knows(user, stamp); }

 private:
  absl::Span<const ledger::RequestName> far_;
  uint64_t lowest_far_ = std::numeric_limits<uint64_t>::max();
  uint64_t limit_ = std::numeric_limits<uint64_t>::max();
  uint64_t plain_until_ = 0;
};

}  // namespace hongbao::serve
