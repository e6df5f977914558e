#include "libhongbao/http/event_streams.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "libhongbao/http/admin_server.h"
#include "raw_http.h"

namespace hongbao::http {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

class EventStreamsTest : public testing::Test {
 protected:
  EventStreamsTest() {
    admin_.Events("/events", &streams_);
    const absl::Status started = admin_.Start({.limits = {.request_deadline_ms = 400}});
    EXPECT_TRUE(started.ok()) << started;
  }

  // A stream whose head has been read.
  RawPeer Stream() const {
    RawPeer peer(admin_.port());
    peer.Send(Head("GET", "/events"));
    head_ = peer.ReadTo("\n\n");
    return peer;
  }

  std::string Ask(const std::string& method, const std::string& more = "") const {
    return RawAnswer(admin_.port(), Head(method, "/events", more));
  }

  void ExpectAlive() const { EXPECT_THAT(RawAnswer(admin_.port(), Head("GET", "/-/healthy")), StartsWith("HTTP/1.1 200")); }

  // A close travels through the kernel; there is nothing else to wait for.
  void ExpectSizeSoon(size_t size) {
    for (int i = 0; i < 2'000 && streams_.size() != size; ++i) {
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
      streams_.Publish(": look who is there\n\n");
    }
    EXPECT_EQ(streams_.size(), size);
  }

  mutable std::string head_;
  EventStreams streams_;  // outlives the server
  AdminServer admin_;
};

TEST_F(EventStreamsTest, EachStreamGetsEachEventInOrder) {
  RawPeer first = Stream();
  EXPECT_THAT(head_, StartsWith("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"));
  EXPECT_THAT(head_, HasSubstr("\r\n\r\nretry: 1000\n\n"));
  EXPECT_THAT(head_, ::testing::Not(HasSubstr("Content-Length")));
  streams_.Publish("id: 1\ndata: a\n\n");
  RawPeer second = Stream();
  streams_.Publish("id: 2\ndata: b\n\n");
  EXPECT_EQ(first.ReadTo("\n\n"), "id: 1\ndata: a\n\n");
  EXPECT_EQ(first.ReadTo("\n\n"), "id: 2\ndata: b\n\n");
  EXPECT_EQ(second.ReadTo("\n\n"), "id: 2\ndata: b\n\n");
}

TEST_F(EventStreamsTest, AStreamHoldsNoThread) {
  std::vector<RawPeer> peers;
  for (int i = 0; i < 16; ++i) {  // four times the threads
    peers.push_back(Stream());
  }
  ExpectAlive();
  streams_.Publish("data: x\n\n");
  for (RawPeer& peer : peers) {
    EXPECT_EQ(peer.ReadTo("\n\n"), "data: x\n\n");
  }
}

TEST_F(EventStreamsTest, ThereAreNoMoreThanTheMaximumAndRoomAgainWhenOneGoes) {
  std::vector<RawPeer> peers;
  for (size_t i = 0; i < EventStreams::kStreamsMax; ++i) {
    peers.push_back(Stream());
  }
  EXPECT_EQ(streams_.size(), EventStreams::kStreamsMax);
  EXPECT_THAT(Ask("GET"), StartsWith("HTTP/1.1 503"));
  streams_.Publish("data: x\n\n");
  EXPECT_EQ(peers.front().ReadTo("\n\n"), "data: x\n\n");  // nobody lost his place to the one too many
  EXPECT_EQ(peers.back().ReadTo("\n\n"), "data: x\n\n");

  for (size_t i = 0; i < 10; ++i) {
    peers[i].Close();  // nothing is published, and still they make room
  }
  std::vector<RawPeer> late;
  for (int i = 0; i < 10; ++i) {
    late.push_back(Stream());
    EXPECT_THAT(head_, StartsWith("HTTP/1.1 200")) << i;
  }
}

TEST_F(EventStreamsTest, OneThatNeverReadsIsDroppedAndDisturbsNobody) {
  RawPeer deaf = Stream();
  RawPeer reader = Stream();
  const std::string row(300, '7');
  for (int i = 0; i < 10'000; ++i) {
    const std::string event = "id: " + std::to_string(i) + "\ndata: " + row + "\n\n";
    streams_.Publish(event);
    ASSERT_EQ(reader.ReadTo("\n\n"), event);
  }
  EXPECT_EQ(streams_.size(), 1u);
  // It still has what went into its buffers, and then it ends.
  const std::string kept = deaf.ReadAll();
  EXPECT_THAT(kept, StartsWith("id: 0\n"));
  EXPECT_LT(kept.size(), 10'000 * row.size());
}

TEST_F(EventStreamsTest, OneThatGoesHalfClosesOrTalksOnIsDropped) {
  RawPeer gone = Stream();
  RawPeer half = Stream();
  RawPeer chatty = Stream();
  RawPeer stays = Stream();
  EXPECT_EQ(streams_.size(), 4u);
  gone.Close();
  half.EndSending();
  stays.Send("\r\n");  // a little more than a request is no crime
  std::thread talker([&chatty] {
    while (chatty.Send(std::string(64 << 10, 'x'))) {
    }
  });
  ExpectSizeSoon(1);
  talker.join();
  EXPECT_THAT(half.ReadAll(), ::testing::Not(HasSubstr("data")));
  streams_.Publish("data: last\n\n");
  EXPECT_EQ(stays.ReadTo("data: last\n\n").substr(0, 1), ":");
}

TEST_F(EventStreamsTest, OtherMethodsAndForeignPagesGetNoStream) {
  EXPECT_THAT(Ask("HEAD"), StartsWith("HTTP/1.1 200"));
  EXPECT_THAT(Ask("POST"), StartsWith("HTTP/1.1 405"));
  EXPECT_THAT(Ask("DELETE"), StartsWith("HTTP/1.1 405"));
  EXPECT_THAT(Ask("OPTIONS"), StartsWith("HTTP/1.1 405"));
  EXPECT_THAT(Ask("GET", "Origin: http://evil.example\r\n"), StartsWith("HTTP/1.1 403"));
  EXPECT_THAT(RawAnswer(admin_.port(), "GET /events HTTP/1.1\r\nHost: rebound.example\r\n\r\n"), StartsWith("HTTP/1.1 403"));
  EXPECT_THAT(Ask("GET", "Range: bytes=0-\r\n"), StartsWith("HTTP/1.1 400"));
  EXPECT_THAT(Ask("GET", "X: " + std::string(20'000, 'x') + "\r\n"), StartsWith("HTTP/1.1 431"));
  EXPECT_THAT(RawAnswer(admin_.port(), "GET /events/ HTTP/1.1\r\n\r\n"), StartsWith("HTTP/1.1 404"));
  EXPECT_EQ(streams_.size(), 0u);
  ExpectAlive();
}

TEST_F(EventStreamsTest, GarbageOnThePathBringsNothingDown) {
  std::minstd_rand random(5);
  RawPeer stays = Stream();
  for (int round = 0; round < 200; ++round) {
    std::string bytes(random() % 2000, '\0');
    for (char& byte : bytes) {
      byte = static_cast<char>(random());
    }
    RawPeer peer(admin_.port());  // does not wait: some of it is a request, and would look on
    peer.Send("GET /events" + std::string(round % 2 == 0 ? "?" : " HTTP/1.1\r\n") + bytes + "\r\n\r\n");
    peer.EndSending();
    if (round % 4 == 0) {
      peer.ReadTo("\n");
    }
    streams_.Publish(": " + std::to_string(round) + "\n\n");
  }
  EXPECT_EQ(stays.ReadTo(": 199\n\n").substr(0, 3), ": 0");
  ExpectAlive();
  ExpectSizeSoon(1);
}

TEST_F(EventStreamsTest, ASlowHeadBecomesNoStream) {
  RawPeer slow(admin_.port());
  slow.Send("GET /events HTTP/1.1\r\n");
  EXPECT_EQ(slow.ReadAll(), "");  // until the deadline
  EXPECT_EQ(streams_.size(), 0u);
}

TEST_F(EventStreamsTest, StopEndsAllStreamsAndTakesNoMore) {
  RawPeer first = Stream();
  RawPeer second = Stream();
  streams_.Publish("data: last\n\n");
  admin_.Stop();
  EXPECT_EQ(first.ReadAll(), "data: last\n\n");
  EXPECT_EQ(second.ReadAll(), "data: last\n\n");
  streams_.Publish("data: to nobody\n\n");
  EXPECT_EQ(streams_.size(), 0u);
  const int socket = ::socket(AF_INET, SOCK_STREAM, 0);
  EXPECT_FALSE(streams_.Take(socket));
  EXPECT_EQ(::close(socket), 0);  // still the caller's
}

TEST_F(EventStreamsTest, PublishingComingAndGoingAtOnce) {
  std::thread publisher([this] {
    for (int i = 0; i < 2'000; ++i) {
      streams_.Publish("data: " + std::to_string(i) + "\n\n");
    }
  });
  for (int i = 0; i < 100; ++i) {
    RawPeer peer = Stream();
    EXPECT_THAT(head_, StartsWith("HTTP/1.1 200"));
  }
  publisher.join();
  ExpectSizeSoon(0);
}

}  // namespace
}  // namespace hongbao::http
