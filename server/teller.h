// Teller: the server's side of --monitor: each finished second as a counter record, and the end.
//
// Owns the watch::RecordTeller and what it sampled last. Never touches a worker: it looks as a status page does.
// Thread tag: thread-compatible (the main thread).
#pragma once

#include <vector>

#include "libhongbao/cli/flags.h"
#include "libhongbao/watch/record_teller.h"
#include "libhongbao/serve/server.h"
#include "server/status.h"

namespace hongbao::server {

class Teller {
 public:
  // An empty host: nobody is told. The others must outlive it.
  Teller(const HostPort& monitor, const serve::Server& server, const time::Clock& clock);

  // Of the seconds that are new.
  void Tell(const std::vector<Second>& fresh);
  void TellEnd(const std::vector<Second>& fresh, const Second* newest, int exit_code);

 private:
  wire::CounterRecord Make(const Second& second, bool newest);

  const serve::Server& server_;
  watch::RecordTeller teller_;
  serve::ServerCounts sampled_;
};

}  // namespace hongbao::server
