#include "server/teller.h"

#include "server/record.h"

namespace hongbao::server {

Teller::Teller(const HostPort& monitor, const serve::Server& server, const time::Clock& clock)
    : server_(server), teller_("hongbao-server", monitor, clock) {}

void Teller::Tell(const std::vector<Second>& fresh) {
  teller_.Tell(fresh, [this](const Second& second, bool newest) { return Make(second, newest); });
}

void Teller::TellEnd(const std::vector<Second>& fresh, const Second* newest, int exit_code) {
  teller_.TellEnd(fresh, newest, [this](const Second& second, bool last) { return Make(second, last); }, exit_code);
}

wire::CounterRecord Teller::Make(const Second& second, bool newest) {
  const serve::ServerCounts counts = newest ? server_.Look() : sampled_;
  const wire::CounterRecord record = RecordOf(second, sampled_, counts, server_.options().users_max);
  sampled_ = counts;
  return record;
}

}  // namespace hongbao::server
