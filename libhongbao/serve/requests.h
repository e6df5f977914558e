// Requests: what a user may ask for beside shaking: to open a gift, to send one, and a statement of what the user has got.
//
// An answer that is known at once is written to the Reply; one that comes from a gift's owner or from the ledger is counted as
// owed and comes as a message. Owns nothing. Thread tag: worker-local.
#pragma once

#include <cstdint>

#include "libhongbao/net/connection.h"
#include "libhongbao/serve/gateways.h"
#include "libhongbao/serve/session_services.h"
#include "libhongbao/serve/stamp_limit.h"
#include "libhongbao/wire/codec.h"

namespace hongbao::serve {

class Requests : SessionPart {
 public:
  // `owed` counts answers that come later.
  Requests(const SessionServices& services, const Gateways& gateways, const StampLimit& stamps, uint32_t& owed);

  // From now on no gift is sent.
  void Drain() { draining_ = true; }

  net::CloseReason Open(const Session& session, uint64_t address, wire::FrameBytes frame, Reply& reply);
  net::CloseReason Send(Session& session, uint64_t address, wire::FrameBytes frame, Reply& reply);
  net::CloseReason State(const Session& session, uint64_t address, wire::FrameBytes frame, Reply& reply);

 private:
  // Sends the gift now, if it may be sent at all. Nothing: a newer session has the user, and no answer can be the right one.
  std::optional<wire::SendResult> MakeGift(const wire::SendRequest& request, uint64_t address, uint32_t* gift_id);
  // Asks the ledger, which answers later; unless too many do: then the connection is to come again.
  net::CloseReason AskLedger(ledger::RecordKind kind, const Session& session, uint64_t address, uint32_t user, uint64_t stamp);

  const uint32_t workers_;
  Gifts& gifts_;
  const PostFunction post_;
  const Gateways& gateways_;
  const StampLimit& stamps_;
  uint32_t& owed_;
};

}  // namespace hongbao::serve
