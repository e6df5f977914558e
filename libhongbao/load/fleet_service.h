// FleetService: the workers of a client, whichever kind of fleet runs on them.
//
// Owns nothing (net::Service in FleetServiceOf does). Virtual calls, as all of it is asked by controlling threads:
// never per message.
// Thread tag: as net::Service.
#pragma once

#include <cstdint>
#include <utility>

#include "absl/status/status.h"
#include "libhongbao/load/fleet_message.h"
#include "libhongbao/net/counters.h"
#include "libhongbao/net/service.h"
#include "libhongbao/net/service_plan.h"
#include "libhongbao/time/clock.h"

namespace hongbao::load {

class FleetService {
 public:
  virtual ~FleetService() = default;
  virtual bool Post(uint32_t worker, FleetMessage message) = 0;
  virtual void Drain(uint32_t drain_ms) = 0;
  virtual const net::ServicePlan& plan() const = 0;
  virtual const net::Counters& counters(uint32_t worker) const = 0;
};

template <class FleetT>
class FleetServiceOf final : public FleetService {
 public:
  explicit FleetServiceOf(const time::Clock& clock) : service_(clock) {}

  template <class Factory>
  absl::Status Start(const net::ServiceOptions& options, Factory make_fleet) {
    return service_.Start(options, std::move(make_fleet));
  }
  bool Post(uint32_t worker, FleetMessage message) override { return service_.Post(worker, message); }
  void Drain(uint32_t drain_ms) override { service_.Drain(drain_ms); }
  const net::ServicePlan& plan() const override { return service_.plan(); }
  const net::Counters& counters(uint32_t worker) const override { return service_.counters(worker); }

 private:
  net::Service<FleetT> service_;
};

}  // namespace hongbao::load
