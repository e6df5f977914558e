#include "libhongbao/watch/page.h"

#include <limits>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/string_view.h"
#include "libhongbao/cli/exact_json.h"
#include "nlohmann/json.hpp"

namespace hongbao::watch {

extern const absl::string_view kPageHtml;  // made by page/embed.py
namespace {

// As RowValues(row).dump(), without a tree in between: an hour is 140,000 numbers.
void AppendValues(const SecondRow& row, std::string* text) {
  char before = '[';
  for (const auto& column : kColumns) {
    *text += before;
    before = ',';
    if (row.Knows(column.id)) {
      const char* quote = cli::IsExactInDoubles(row[column.id]) ? "" : "\"";
      absl::StrAppend(text, quote, row[column.id], quote);
    } else {
      *text += "null";
    }
  }
  *text += ']';
}

std::string Quoted(const std::string& text) {
  return nlohmann::json(text).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

}  // namespace

Page::Page(std::string role, std::string title) : role_(std::move(role)), title_(std::move(title)) {}

void Page::AddTo(http::AdminServer& server) {
  const std::string told = absl::StrCat("{\"role\":", Quoted(role_), ",\"title\":", Quoted(title_), "}");
  // "<" would let a title end the script it stands in.
  std::string html = absl::StrReplaceAll(kPageHtml, {{"/*PAGE*/null", absl::StrReplaceAll(told, {{"<", "\\u003c"}})}});
  server.Get("/", [html = std::move(html)](const http::Request&) {
    return http::Response{.body = html, .content_type = "text/html; charset=utf-8"};
  });
  server.Get("/v1/history", [this](const http::Request& request) { return History(request); });
  server.Events("/events", &streams_);
}

void Page::Publish(const SecondRow& row) {
  {
    const std::lock_guard lock(mutex_);
    while (!rows_.empty() && row[Column::kUnixS] <= rows_.back()[Column::kUnixS]) {
      rows_.pop_back();  // the wall clock was set back
    }
    rows_.push_back(row);
    if (rows_.size() > kSecondsMax) {
      rows_.pop_front();
    }
  }
  std::string event = absl::StrCat("id: ", row[Column::kUnixS], "\ndata: ");
  AppendValues(row, &event);
  streams_.Publish(event + "\n\n");
}

http::Response Page::History(const http::Request& request) const {
  if (const absl::Status status = request.CheckNames({"after"}); !status.ok()) {
    return http::ErrorResponse(status);
  }
  const absl::StatusOr<int64_t> after = request.Count("after", 0, std::numeric_limits<int64_t>::max(), 0);
  if (!after.ok()) {
    return http::ErrorResponse(after.status());
  }
  std::vector<SecondRow> rows;
  {
    const std::lock_guard lock(mutex_);
    // A second that is still to come was seen before the wall clock was set back.
    const bool all = !rows_.empty() && *after > rows_.back()[Column::kUnixS];
    for (const SecondRow& row : rows_) {
      if (all || row[Column::kUnixS] > *after) {
        rows.push_back(row);
      }
    }
  }
  std::string body = absl::StrCat("{\"role\":", Quoted(role_), ",\"title\":", Quoted(title_),
                                  ",\"columns\":", ColumnNames().dump(), ",\"rows\":[");
  for (const SecondRow& row : rows) {
    body += body.back() == '[' ? "" : ",";
    AppendValues(row, &body);
  }
  return {.body = body + "]}\n", .content_type = "application/json"};
}

}  // namespace hongbao::watch
