#include "client/teller.h"

#include "client/record.h"

namespace hongbao::client {

Teller::Teller(const admin::HostPort& monitor, const load::Client& client, const time::Clock& clock)
    : client_(client), teller_("hongbao-client", monitor, clock) {}

void Teller::Tell(const std::vector<Second>& seconds) {
  teller_.Tell(seconds, [this](const Second& second, bool) { return Make(second); });
}

void Teller::TellEnd(const std::vector<Second>& seconds, int exit_code) {
  teller_.TellEnd(seconds, [this](const Second& second, bool) { return Make(second); }, exit_code);
}

wire::CounterRecord Teller::Make(const Second& second) const {
  return RecordOf(second, client_.options().users, client_.Skew());
}

}  // namespace hongbao::client
