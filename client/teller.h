// Teller: the client's side of --monitor: each finished second as a counter record, and the end.
//
// Owns the watch::RecordTeller. Never touches a worker: it looks as a status page does.
// Thread tag: thread-compatible (main's thread).
#pragma once

#include <vector>

#include "client/status.h"
#include "libhongbao/cli/flags.h"
#include "libhongbao/watch/record_teller.h"
#include "libhongbao/load/client.h"

namespace hongbao::client {

class Teller {
 public:
  // An empty host: nobody is told. The others must outlive it.
  Teller(const HostPort& monitor, const load::Client& client, const time::Clock& clock);

  // Of the seconds that are new.
  void Tell(const std::vector<Second>& fresh);
  void TellEnd(const std::vector<Second>& fresh, const Second* newest, int exit_code);

 private:
  wire::CounterRecord Make(const Second& second) const;

  const load::Client& client_;
  watch::RecordTeller teller_;
};

}  // namespace hongbao::client
