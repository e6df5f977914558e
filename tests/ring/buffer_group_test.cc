// BufferGroup on a real ring: buffers lie apart, come back once, and a group is refused twice.
#include "libhongbao/ring/buffer_group.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <string>

namespace hongbao::ring {
namespace {

class BufferGroupTest : public testing::Test {
 protected:
  static constexpr int kId = 7;

  BufferGroupTest() {
    EXPECT_EQ(io_uring_queue_init(8, &ring_, 0), 0);
    EXPECT_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, sockets_), 0);
  }
  ~BufferGroupTest() override {
    group_.Release(ring_);
    io_uring_queue_exit(&ring_);
    close(sockets_[0]);
    close(sockets_[1]);
  }
  // One receive of what the peer has just written. The buffer, or -errno.
  int Receive(std::string* text) {
    io_uring_sqe* sqe = io_uring_get_sqe(&ring_);
    io_uring_prep_recv(sqe, sockets_[0], nullptr, 0, 0);
    sqe->flags |= IOSQE_BUFFER_SELECT;
    sqe->buf_group = kId;
    io_uring_submit_and_wait(&ring_, 1);
    io_uring_cqe* cqe = nullptr;
    io_uring_peek_cqe(&ring_, &cqe);
    const io_uring_cqe seen = *cqe;
    io_uring_cqe_seen(&ring_, cqe);
    if (seen.res < 0) {
      return seen.res;
    }
    const auto buffer = static_cast<uint16_t>(seen.flags >> IORING_CQE_BUFFER_SHIFT);
    const absl::Span<const std::byte> bytes = group_.Bytes(buffer, static_cast<size_t>(seen.res));
    text->assign(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    return buffer;
  }

  io_uring ring_ = {};
  int sockets_[2] = {-1, -1};
  BufferGroup group_;
};

TEST_F(BufferGroupTest, EachBufferIsLentOnceUntilItIsPublishedAgain) {
  ASSERT_TRUE(group_.Init(ring_, kId, 2, 4).ok());
  ASSERT_EQ(write(sockets_[1], "abcdefghijkl", 12), 12);
  std::string first, second, third;
  const int one = Receive(&first);
  const int other = Receive(&second);
  ASSERT_GE(one, 0);
  ASSERT_GE(other, 0);
  EXPECT_NE(one, other);
  EXPECT_EQ(first + second, "abcdefgh");
  EXPECT_EQ(Receive(&third), -ENOBUFS);
  group_.Recycle(static_cast<uint16_t>(one));
  EXPECT_EQ(Receive(&third), -ENOBUFS) << "recycled, but not published";
  EXPECT_EQ(group_.Publish(), 1u);
  EXPECT_EQ(group_.Publish(), 0u);
  EXPECT_EQ(Receive(&third), one);
  EXPECT_EQ(third, "ijkl");
}

TEST_F(BufferGroupTest, RefusalSaysWhatIsNeeded) {
  ASSERT_TRUE(group_.Init(ring_, kId, 2, 4).ok());
  BufferGroup same;
  const absl::Status status = same.Init(ring_, kId, 2, 4);
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(std::string(status.message()), testing::HasSubstr("ulimit -l"));
  EXPECT_FALSE(same.initialised());
}

}  // namespace
}  // namespace hongbao::ring
