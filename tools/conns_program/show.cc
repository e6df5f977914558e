#include "tools/conns_program/show.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "libhongbao/cli/numbers.h"

namespace hongbao::conns {
namespace {

std::string Grouped(uint64_t number) { return cli::WithCommas(static_cast<int64_t>(number)); }

std::string Several(uint64_t number, const char* one) { return absl::StrCat(Grouped(number), " ", one, number == 1 ? "" : "s"); }

// What the connections are called: "established", or "connections" when several states are counted.
std::string Noun(uint32_t states) {
  const std::string names = StatesToString(states);
  return names.find(',') == std::string::npos ? names : "connections";
}

std::string Name(const TallyRow& row, By by) {
  const std::string port = absl::StrFormat("port %-5d", row.port);
  const std::string peer = absl::StrCat("peer ", AddressToString(row.peer));
  return by == By::kPort ? port : by == By::kPeer ? peer : absl::StrCat(port, "  ", peer);
}

const char* NameOfGroup(By by) { return by == By::kPort ? "port" : by == By::kPeer ? "peer" : "pair"; }

size_t CountOfShown(size_t rows, size_t top) { return top == 0 ? rows : std::min(rows, top); }

}  // namespace

std::string ShowLines(const Tally& tally, const Shown& shown, const std::string& prefix) {
  const std::vector<TallyRow> rows = tally.Rows(shown.by);
  const size_t count = CountOfShown(rows.size(), shown.top);
  const std::string noun = Noun(shown.states);
  size_t name_width = 10;
  for (size_t i = 0; i < count; ++i) name_width = std::max(name_width, Name(rows[i], shown.by).size());
  const size_t number_width = std::max<size_t>(Grouped(tally.total()).size(), 9);
  std::string text;
  uint64_t told = 0;
  for (size_t i = 0; i < count; ++i) {
    const TallyRow& row = rows[i];
    told += row.connections;
    absl::StrAppend(&text, prefix,
                    absl::StrFormat("%-*s  %*s %s", static_cast<int>(name_width), Name(row, shown.by),
                                    static_cast<int>(number_width), Grouped(row.connections), noun));
    absl::StrAppend(&text,
                    shown.by == By::kPort   ? absl::StrCat(" from ", Several(row.others, "peer"))
                    : shown.by == By::kPeer ? absl::StrCat(" on ", Several(row.others, "port"))
                                            : "",
                    "\n");
  }
  if (count < rows.size()) {
    absl::StrAppend(
        &text, prefix,
        absl::StrFormat("%-*s  %*s %s on %s more\n", static_cast<int>(name_width), "others", static_cast<int>(number_width),
                        Grouped(tally.total() - told), noun, Several(rows.size() - count, NameOfGroup(shown.by))));
  }
  absl::StrAppend(&text, prefix,
                  absl::StrFormat("%-*s  %*s %s on %s\n", static_cast<int>(name_width), "total", static_cast<int>(number_width),
                                  Grouped(tally.total()), noun, Several(rows.size(), NameOfGroup(shown.by))));
  return text;
}

std::string ShowJson(const Tally& tally, const DumpTold& told, const Shown& shown) {
  const std::vector<TallyRow> rows = tally.Rows(shown.by);
  nlohmann::ordered_json document = {{"unix_s", shown.unix_s},         {"state", StatesToString(shown.states)},
                                     {"connections", tally.total()},   {"groups", rows.size()},
                                     {"took_us", shown.took_us},       {"retries", told.retries},
                                     {"interrupted", told.interrupted}};
  nlohmann::ordered_json list = nlohmann::ordered_json::array();
  for (size_t i = 0; i < CountOfShown(rows.size(), shown.top); ++i) {
    nlohmann::ordered_json row;
    if (shown.by != By::kPeer) row["port"] = rows[i].port;
    if (shown.by != By::kPort) row["peer"] = AddressToString(rows[i].peer);
    row["connections"] = rows[i].connections;
    if (shown.by == By::kPort) row["peers"] = rows[i].others;
    if (shown.by == By::kPeer) row["ports"] = rows[i].others;
    list.push_back(std::move(row));
  }
  document["rows"] = std::move(list);
  return document.dump();
}

}  // namespace hongbao::conns
