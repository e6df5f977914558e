#include "client/teller.h"

#include "client/record.h"

namespace hongbao::client {

Teller::Teller(const HostPort& monitor, const load::Client& client, const time::Clock& clock)
    : client_(client), teller_("hongbao-client", monitor, clock) {}

void Teller::Tell(const std::vector<Second>& fresh) {
  teller_.Tell(fresh, [this](const Second& second, bool) { return Make(second); });
}

void Teller::TellEnd(const std::vector<Second>& fresh, const Second* newest, int exit_code) {
  teller_.TellEnd(fresh, newest, [this](const Second& second, bool) { return Make(second); }, exit_code);
}

wire::CounterRecord Teller::Make(const Second& second) const {
  return RecordOf(second, client_.options().users, client_.Skew(), client_.wall().Count());
}

}  // namespace hongbao::client
