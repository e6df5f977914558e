// Page: what a process shows to a browser: the page, the last hour, and each new second as it comes.
//
//   GET /             the page, whole in itself: it asks for nothing but the two below
//   GET /v1/history   ?after=UNIX_S  {"role", "title", "columns": [...], "rows": [[...], ...]}, oldest first, null = not known
//   GET /events       server-sent events: "id: UNIX_S", "data: [...]", the values in the columns' order
//
// Owns copies of the rows of an hour and the streams. Never asks the workers anything, never makes the reporter wait.
// Thread tag: thread-safe once AddTo has been called (the reporter publishes, the admin's threads answer).
#pragma once

#include <deque>
#include <mutex>
#include <string>

#include "libhongbao/http/admin_server.h"
#include "libhongbao/http/event_streams.h"
#include "libhongbao/watch/second_row.h"

namespace hongbao::watch {

class Page {
 public:
  static constexpr size_t kSecondsMax = 3'600;

  // `role` is "server", "client" or "monitor" and decides which charts there are; `title` stands at the top.
  Page(std::string role, std::string title);

  // Before `server` starts. The page must outlive it.
  void AddTo(http::AdminServer& server);

  // Rows come in the order of their seconds. After the wall clock was set back, what lies ahead of the new row is forgotten: a
  // chart has one value for a second.
  void Publish(const SecondRow& row);

 private:
  http::Response History(const http::Request& request) const;

  const std::string role_;
  const std::string title_;
  mutable std::mutex mutex_;
  std::deque<SecondRow> rows_;
  http::EventStreams streams_;
};

}  // namespace hongbao::watch
