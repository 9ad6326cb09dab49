#include "tstitch/io/atomic_file.h"

#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <csignal>

#include "tests/io/io_support.h"

namespace tstitch {
namespace {

namespace fs = std::filesystem;

class AtomicFileTest : public FolderTest {
 protected:
  void expect_unwritable(const std::string& name, const std::string& code, const std::string& part = "") {
    expect_refused([&] { write_file(name, "new"); }, code, part, ErrorKind::device);
  }
};

TEST_F(AtomicFileTest, AppearsAtCommit) {
  AtomicFile file(path("a"));
  file.write(bytes_of("hel"));
  file.write(bytes_of("lo"));
  EXPECT_FALSE(fs::exists(path("a")));
  file.commit();
  EXPECT_EQ(read_whole(path("a")), "hello");
  EXPECT_EQ(files(), 1u);
}

TEST_F(AtomicFileTest, NothingStaysWithoutCommit) {
  {
    AtomicFile file(path("a"));
    file.write(bytes_of("hello"));
    EXPECT_EQ(files(), 1u);  // the temporary one
  }
  EXPECT_EQ(files(), 0u);
}

TEST_F(AtomicFileTest, ReplacesAFileAtOnce) {
  write("a", "old");
  {
    AtomicFile file(path("a"));
    file.write(bytes_of("half"));
    EXPECT_EQ(read_whole(path("a")), "old");
  }
  EXPECT_EQ(read_whole(path("a")), "old");
  write_file(path("a"), "new");
  EXPECT_EQ(read_whole(path("a")), "new");
  EXPECT_EQ(files(), 1u);
}

TEST_F(AtomicFileTest, FilesThatBelongTogetherAppearTogether) {
  write("a", "old");
  {
    AtomicFiles some;
    some.add(path("a"), "new a");
    some.add(path("b"), "new b");
    EXPECT_EQ(read_whole(path("a")), "old");
    EXPECT_FALSE(fs::exists(path("b")));
    EXPECT_THROW(some.add(path("no/such/c"), "new c"), Error);
  }
  EXPECT_EQ(read_whole(path("a")), "old");
  EXPECT_EQ(files(), 1u);
  AtomicFiles both;
  both.add(path("a"), "new a");
  both.add(path("b"), "new b");
  both.commit();
  EXPECT_EQ(read_whole(path("a")), "new a");
  EXPECT_EQ(read_whole(path("b")), "new b");
  EXPECT_EQ(files(), 2u);
}

TEST_F(AtomicFileTest, TwoAtATime) {
  AtomicFile a(path("a")), b(path("a"));
  a.write(bytes_of("a"));
  b.write(bytes_of("b"));
  a.commit();
  b.commit();
  EXPECT_EQ(read_whole(path("a")), "b");
  EXPECT_EQ(files(), 1u);
}

TEST_F(AtomicFileTest, WorksInTheCurrentFolderAndWithLongNames) {
  const fs::path before = fs::current_path();
  fs::current_path(fs::path(path("a")).parent_path());
  write_file("plain", "x");
  fs::current_path(before);
  EXPECT_EQ(read_whole(path("plain")), "x");
  write_file(path(std::string(255, 'n')), "x");
  EXPECT_EQ(files(), 2u);
}

TEST_F(AtomicFileTest, RespectsTheUmask) {
  const mode_t before = umask(027);
  write_file(path("a"), "x");
  umask(before);
  EXPECT_EQ(fs::status(path("a")).permissions(), fs::perms(0640));
}

TEST_F(AtomicFileTest, PermissionsStayAndReadOnlyFilesToo) {
  write("private", "old");
  fs::permissions(path("private"), fs::perms(0600));
  write_file(path("private"), "new");
  EXPECT_EQ(fs::status(path("private")).permissions(), fs::perms(0600));
  write("protected", "old");
  fs::permissions(path("protected"), fs::perms(0444));
  fs::permissions(path("."), fs::perms(0777));
  {
    const AsOrdinaryUser user;
    expect_unwritable(path("protected"), "IO_WRITE", "Permission denied");
  }
  EXPECT_EQ(read_whole(path("protected")), "old");
}

TEST_F(AtomicFileTest, SymbolicLinksStay) {
  write("real", "old");
  fs::create_symlink("real", path("link"));
  write_file(path("link"), "new");
  EXPECT_TRUE(fs::is_symlink(path("link")));
  EXPECT_EQ(read_whole(path("real")), "new");
  fs::create_directory(path("folder"));
  fs::create_symlink("../later", path("folder/first"));
  fs::create_symlink("folder/first", path("second"));
  write_file(path("second"), "made");
  EXPECT_TRUE(fs::is_symlink(path("second")));
  EXPECT_EQ(read_whole(path("later")), "made");
  fs::create_symlink("loop", path("loop"));
  expect_unwritable(path("loop"), "IO_WRITE", "symbolic links");
}

TEST_F(AtomicFileTest, WhatCanBeWrittenIsKnownBefore) {
  write("a", "old");
  check_writable(path("a"));
  check_writable(path("b"));
  EXPECT_EQ(read_whole(path("a")), "old");
  EXPECT_EQ(files(), 1u);
  const auto refused = [&](const std::string& name, const char* code) {
    expect_refused([&] { check_writable(name); }, code, "", ErrorKind::device);
  };
  refused(path("none/a"), "IO_WRITE");
  refused(path(std::string(256, 'n')), "IO_WRITE");
  refused("/dev/null", "IO_KIND");
}

TEST_F(AtomicFileTest, UnwritablePlaces) {
  expect_unwritable(path("none/a"), "IO_WRITE", "there is no such folder");
  expect_unwritable(write("file", "x") + "/a", "IO_WRITE", "Not a directory");
  expect_unwritable("/proc/a.png", "IO_WRITE", "/proc/a.png: [");
  fs::create_directory(path("folder"));
  expect_unwritable(path("folder"), "IO_KIND", "a folder of that name exists");
  expect_unwritable(path(std::string(256, 'n')), "IO_WRITE", "too long");
  fs::permissions(path("folder"), fs::perms(0555));
  fs::permissions(path("."), fs::perms(0755));
  {
    const AsOrdinaryUser user;
    expect_unwritable(path("folder/a"), "IO_WRITE", "Permission denied");
  }
  EXPECT_EQ(files(), 2u);
}

TEST_F(AtomicFileTest, DevicesAreNotReplaced) {
  for (const char* device : {"/dev/null", "/dev/full"}) {
    expect_unwritable(device, "IO_KIND");
    EXPECT_TRUE(fs::is_character_file(device));
  }
  ASSERT_EQ(mkfifo(path("fifo").c_str(), 0600), 0);
  expect_unwritable(path("fifo"), "IO_KIND");
}

// A limit on the size of files stands for a full disk: the write stops in the middle.
TEST_F(AtomicFileTest, L9_FullDisk) {
  write("a", "old");
  const auto handler = std::signal(SIGXFSZ, SIG_IGN);
  rlimit limit;
  getrlimit(RLIMIT_FSIZE, &limit);
  const rlimit small = {100'000, limit.rlim_max};
  setrlimit(RLIMIT_FSIZE, &small);
  expect_refused([&] { write_file(path("a"), std::string(1 << 20, 'x')); }, "IO_NO_SPACE", "a: [",
                 ErrorKind::device);
  setrlimit(RLIMIT_FSIZE, &limit);
  std::signal(SIGXFSZ, handler);
  EXPECT_EQ(read_whole(path("a")), "old");
  EXPECT_EQ(files(), 1u);
  write_file(path("a"), "new");  // and when there is space again
  EXPECT_EQ(read_whole(path("a")), "new");
}

}  // namespace
}  // namespace tstitch
