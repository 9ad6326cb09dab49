#include "tstitch/io/file_lock.h"

#include <sys/stat.h>
#include <sys/wait.h>

#include "tests/io/io_support.h"

namespace tstitch {
namespace {

class FileLockTest : public FolderTest {};

TEST_F(FileLockTest, OneHolderAtATime) {
  {
    auto first = FileLock::attempt(path("lock"));
    ASSERT_TRUE(first);
    EXPECT_FALSE(FileLock::attempt(path("lock")));
    EXPECT_TRUE(FileLock::attempt(path("other")));
    EXPECT_NE(lock_holder(path("lock")).find(concat("process ", getpid(), " on ")), std::string::npos);
    const FileLock moved = std::move(*first);
    first.reset();
    EXPECT_FALSE(FileLock::attempt(path("lock")));
  }
  EXPECT_TRUE(FileLock::attempt(path("lock")));
}

TEST_F(FileLockTest, WaitingEnds) {
  {
    const auto held = FileLock::attempt(path("lock"));
    expect_refused([&] { FileLock::wait(path("lock"), 0.05); }, "IO_LOCKED", "process", ErrorKind::device);
  }
  FileLock::wait(path("lock"), 0.05);
  write("precious", "text");
  std::filesystem::create_symlink("precious", path("link"));
  expect_refused([&] { FileLock::wait(path("link")); }, "IO_WRITE", "symbolic link", ErrorKind::device);
  EXPECT_EQ(read_whole(path("precious")), "text");
  ASSERT_EQ(mkfifo(path("fifo").c_str(), 0600), 0);
  expect_refused([&] { FileLock::wait(path("fifo")); }, "IO_KIND", "", ErrorKind::device);
}

TEST_F(FileLockTest, NothingStaysOfAKilledHolder) {
  int ready[2];
  ASSERT_EQ(pipe(ready), 0);
  const pid_t child = fork();
  if (child == 0) {
    const FileLock lock = FileLock::wait(path("lock"));
    if (::write(ready[1], "x", 1) == 1) pause();
    _exit(1);
  }
  char byte;
  ASSERT_EQ(::read(ready[0], &byte, 1), 1);
  EXPECT_FALSE(FileLock::attempt(path("lock")));
  kill(child, SIGKILL);
  waitpid(child, nullptr, 0);
  EXPECT_TRUE(FileLock::attempt(path("lock")));
}

TEST_F(FileLockTest, ARemovedFileIsNoLock) {
  const auto before = FileLock::attempt(path("lock"));
  std::filesystem::remove(path("lock"));
  const auto now = FileLock::attempt(path("lock"));
  EXPECT_TRUE(now);
  EXPECT_FALSE(FileLock::attempt(path("lock")));
}

TEST_F(FileLockTest, ANameWithoutFolderIsAnError) {
  expect_refused([&] { FileLock::wait(path("none/lock")); }, "IO_WRITE", "no such folder", ErrorKind::device);
}

}  // namespace
}  // namespace tstitch
