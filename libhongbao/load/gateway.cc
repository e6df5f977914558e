#include "libhongbao/load/gateway.h"

#include "libhongbao/check.h"

namespace hongbao::load {

Gateway::Gateway(time::UserRange users, const time::Schedule& schedule, uint64_t total_users, uint32_t window, GatewayPace pace,
                 int64_t steady_ns)
    : users_(users),
      pace_(pace),
      walker_(schedule, time::Permutation(total_users), pace.max_rate ? time::UserRange{users.first, users.first} : users,
              steady_ns),
      window_(window),
      step_(time::Permutation(std::max<uint64_t>(users.size(), 1)).multiplier()) {
  Check(users.size() >= 2, "a gateway carries two users at least");
  opens.reserve(kGatewayOpensMax);
  next_statement = users.first;
}

bool Gateway::TakeOpen(uint64_t stamp, uint32_t user, uint32_t envelope_id) {
  const auto found = std::find_if(opens.begin(), opens.end(), [stamp](const GatewayOpen& open) { return open.stamp == stamp; });
  if (found == opens.end() || found->user != user || found->envelope_id != envelope_id) {
    return false;
  }
  if (found - opens.begin() < static_cast<std::ptrdiff_t>(opens_sent)) {
    --opens_sent;
  }
  opens.erase(found);
  return true;
}

uint64_t Gateway::GiveUpStatements() {
  const uint64_t given_up = statements_.in_flight();
  statements_.Rewind();
  GatewayRequest request;
  while (statements_.GiveUpOldest(request)) {
  }
  horizon_ = given_up > 0 ? last_stamp : horizon_;
  return given_up;
}

void Gateway::Rewind() {
  window_.Rewind();
  statements_.Rewind();
  opens_sent = 0;
}

}  // namespace hongbao::load
