// The report's judgement: a checker that never fails proves nothing, so each identity is broken once.

#include "server/status.h"

#include <gtest/gtest.h>

#include <functional>

namespace hongbao::server {
namespace {

using serve::Counter;

struct Books {
  serve::ServerCounts counts;
  serve::ServerRest rest;
};

// A small run in which everything adds up.
Books Good() {
  Books books;
  auto& c = books.counts.serve;
  c[Counter::kReceived] = 100;
  c[Counter::kReplied] = 90;
  c[Counter::kRefused] = 9;
  c[Counter::kDropped] = 1;
  c[Counter::kWon] = 5;
  c[Counter::kWonFen] = 500;
  c[Counter::kNothing] = 80;
  c[Counter::kCap] = 5;
  c[Counter::kUsersCame] = 12;
  c[Counter::kUsersLeft] = 12;
  c[Counter::kConnectionsOpened] = 20;
  c[Counter::kConnectionsClosed] = 20;
  c[Counter::kGiftsSentFen] = 300;
  c[Counter::kGiftShares] = 3;
  c[Counter::kOpened] = 1;
  c[Counter::kOpenedFen] = 110;
  c[Counter::kRefundedShares] = 1;
  c[Counter::kRefundedFen] = 90;
  books.counts.net[net::Counter::kAccepted] = 20;
  books.counts.closes[net::CloseReason::kPeer] = 15;
  books.counts.closes[net::CloseReason::kDrain] = 5;
  books.counts.issued = {.count = 7, .sum = envelope::Fen(700)};
  books.rest.left = {.count = 2, .sum = envelope::Fen(200)};
  books.rest.claimed = {.count = 5, .sum = envelope::Fen(500)};
  books.rest.gifts = {.gifts = 1,
                      .gifts_live = 0,
                      .shares = 3,
                      .opened_shares = 1,
                      .left_shares = 1,
                      .refunded_shares = 1,
                      .issued = envelope::Fen(300),
                      .opened = envelope::Fen(110),
                      .left = envelope::Fen(100),
                      .refunded = envelope::Fen(90)};
  return books;
}

std::string VerdictOf(const Books& books) {
  nlohmann::json document;
  AddReport(document, {}, serve::Identities(books.counts, books.rest));
  return document["verdict"];
}

TEST(StatusTest, BooksThatAddUpPass) { EXPECT_EQ(VerdictOf(Good()), "pass"); }

TEST(StatusTest, Defect01_03_09_12_EveryPlantedErrorIsFound) {
  const std::vector<std::pair<const char*, std::function<void(Books&)>>> errors = {
      {"an envelope lost in the pool", [](Books& b) { b.rest.left.count -= 1; }},
      {"a fen lost in the pool", [](Books& b) { b.rest.left.sum = envelope::Fen(199); }},
      {"a win counted and not claimed", [](Books& b) { b.counts.serve[Counter::kWon] += 1; }},
      {"a win paid more than its envelope", [](Books& b) { b.counts.serve[Counter::kWonFen] += 1; }},
      {"issued before it was published", [](Books& b) { b.counts.issued.count += 1; }},
      {"a request without an end", [](Books& b) { b.counts.serve[Counter::kReceived] += 1; }},
      {"an answer of no kind", [](Books& b) { b.counts.serve[Counter::kNothing] -= 1; }},
      {"a share drawn twice", [](Books& b) { b.counts.serve[Counter::kOpenedFen] += 110; }},
      {"a gift counted and not made", [](Books& b) { b.counts.serve[Counter::kGiftsSentFen] += 300; }},
      {"a refund that nobody got", [](Books& b) { b.counts.serve[Counter::kRefundedFen] -= 1; }},
      {"an opening not counted", [](Books& b) { b.counts.serve[Counter::kOpened] -= 1; }},
      {"a share gone", [](Books& b) { b.rest.gifts.left_shares -= 1; }},
      {"a connection never closed", [](Books& b) { b.counts.closes[net::CloseReason::kPeer] -= 1; }},
      {"a connection live for ever", [](Books& b) { b.counts.connections += 1; }},
      {"a user still online", [](Books& b) { b.rest.users_in_directory += 1; }},
      {"a user who left twice", [](Books& b) { b.counts.serve[Counter::kUsersLeft] += 1; }},
  };
  for (const auto& [what, plant] : errors) {
    Books books = Good();
    plant(books);
    EXPECT_EQ(VerdictOf(books), "fail") << what;
  }
}

}  // namespace
}  // namespace hongbao::server
