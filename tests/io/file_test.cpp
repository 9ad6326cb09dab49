// The rows G1 ... G13 of the table of bad inputs that a test can bring about.
#include "tstitch/io/file.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "tests/io/io_support.h"
#include "tstitch/base/crc32.h"
#include "tstitch/io/refuse.h"

namespace tstitch {
namespace {

namespace fs = std::filesystem;

class FileTest : public FolderTest {
 protected:
  void expect_no_file(const std::string& name, const std::string& code, const std::string& part = "") {
    expect_refused([&] { MappedFile{name}; }, code, part);
  }
};

TEST_F(FileTest, MapsTheContent) {
  const MappedFile file(write("a", "hello"));
  EXPECT_EQ(file.path(), path("a"));
  ASSERT_EQ(file.bytes().size(), 5u);
  EXPECT_EQ(std::memcmp(file.bytes().data(), "hello", 5), 0);
  EXPECT_NO_THROW(file.verify_unchanged());
}

TEST_F(FileTest, G1_Missing) {
  expect_no_file(path("none"), "IO_NOT_FOUND", "none: [IO_NOT_FOUND] no such file");
  expect_no_file("", "IO_NOT_FOUND");
  expect_no_file(path("none/below"), "IO_NOT_FOUND");
  expect_no_file(write("file", "x") + "/below", "IO_NOT_FOUND");
  fs::create_symlink(path("none"), path("dangling"));
  expect_no_file(path("dangling"), "IO_NOT_FOUND");
  fs::create_symlink(path("loop"), path("loop"));
  expect_no_file(path("loop"), "IO_OPEN");
}

TEST_F(FileTest, G2_Folder) {
  expect_no_file("/tmp", "IO_KIND", "a folder, expected a regular file");
  expect_no_file("/tmp/", "IO_KIND");
}

TEST_F(FileTest, G3_NoPermission) {
  const std::string file = write("secret", "x");
  fs::permissions(file, fs::perms::none);
  fs::create_directory(path("closed"));
  write("closed/file", "x");
  fs::permissions(path("closed"), fs::perms::none);
  fs::permissions(path("."), fs::perms(0755));
  const AsOrdinaryUser user;
  expect_no_file(file, "IO_PERMISSION", "not readable");
  expect_no_file(path("closed/file"), "IO_PERMISSION");
  expect_refused([&] { list_folder(path("closed")); }, "IO_PERMISSION", "closed: [");
}

TEST_F(FileTest, G4_SpecialFiles) {
  ASSERT_EQ(mkfifo(path("fifo").c_str(), 0600), 0);
  expect_no_file(path("fifo"), "IO_KIND", "a FIFO");  // and does not wait for a writer
  for (const char* device : {"/dev/zero", "/dev/null", "/dev/full", "/dev/urandom"})
    expect_no_file(device, "IO_KIND", "a device");
  expect_no_file("/proc/self/mem", "FMT_UNKNOWN", "empty");  // a regular file of no size, says the kernel

  const int socket_descriptor = socket(AF_UNIX, SOCK_STREAM, 0);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::snprintf(address.sun_path, sizeof address.sun_path, "%s", path("socket").c_str());
  ASSERT_EQ(bind(socket_descriptor, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  expect_no_file(path("socket"), "IO_KIND");
  close(socket_descriptor);
}

TEST_F(FileTest, G5_Empty) {
  expect_no_file(write("empty", ""), "FMT_UNKNOWN", "empty: an incomplete download?");
}

TEST_F(FileTest, G8_ChangesAreSeen) {
  const std::string name = write("a", "hello");
  const MappedFile shrunk(name);
  fs::resize_file(name, 4);
  expect_refused([&] { shrunk.verify_unchanged(); }, "IO_CHANGED", "5 bytes");

  const MappedFile rewritten(name);
  const timespec times[2] = {{1, 0}, {1, 0}};
  utimensat(AT_FDCWD, name.c_str(), times, 0);
  expect_refused([&] { rewritten.verify_unchanged(); }, "IO_CHANGED");

  const MappedFile replaced(name);
  fs::rename(write("b", "other"), name);
  EXPECT_NO_THROW(replaced.verify_unchanged());  // what we mapped is still there
}

// Without survive_truncation() this would be SIGBUS.
TEST_F(FileTest, G8_WhatWasCutOffReadsAsZeros) {
  survive_truncation();
  constexpr size_t kBytes = 64 * 4096;
  const std::string name = write("a", std::string(kBytes, 'x'));
  const MappedFile file(name), other(write("b", std::string(kBytes, 'y')));
  fs::resize_file(name, 4096);
  EXPECT_EQ(file.bytes()[10], std::byte('x'));
  EXPECT_EQ(file.bytes()[kBytes - 1], std::byte(0));
  EXPECT_EQ(file.bytes()[8192], std::byte(0));
  expect_refused([&] { file.verify_unchanged(); }, "IO_CHANGED", "262144 bytes");
  // Back to the old size: what was read is still not what the file held.
  fs::resize_file(name, kBytes);
  expect_refused([&] { file.verify_unchanged(); }, "IO_CHANGED", "changed while it was read");
  EXPECT_EQ(other.bytes()[kBytes - 1], std::byte('y'));
  EXPECT_NO_THROW(other.verify_unchanged());
}

// Elsewhere SIGBUS does what it did before.
TEST_F(FileTest, OtherBusErrorsStillEndTheProcess) {
  const std::string name = write("a", std::string(8192, 'x'));
  EXPECT_EXIT(
      {
        survive_truncation();
        const int descriptor = open(name.c_str(), O_RDONLY);
        const auto* bytes =
            static_cast<const char*>(mmap(nullptr, 8192, PROT_READ, MAP_PRIVATE, descriptor, 0));
        fs::resize_file(name, 0);
        volatile char first = bytes[4096];
        (void)first;
      },
      testing::KilledBySignal(SIGBUS), "");
}

TEST_F(FileTest, ABusErrorThatIsSentIsNotSwallowed) {
  EXPECT_EXIT(
      {
        survive_truncation();
        kill(getpid(), SIGBUS);
        _exit(0);
      },
      testing::KilledBySignal(SIGBUS), "");
}

TEST_F(FileTest, AChangeIsTheErrorWhateverWasFoundWrong) {
  const std::string name = write("a", "hello");
  const MappedFile file(name);
  const auto fails = [](std::span<const std::byte>) { refuse("a", "ST_JSON", "nonsense"); };
  expect_refused([&] { file.parsed(fails); }, "ST_JSON");
  EXPECT_EQ(file.parsed([](std::span<const std::byte> bytes) { return bytes.size(); }), 5u);
  fs::resize_file(name, 4);
  expect_refused([&] { file.parsed(fails); }, "IO_CHANGED");
  expect_refused([&] { file.parsed([](std::span<const std::byte> bytes) { return bytes.size(); }); },
                 "IO_CHANGED");
}

TEST_F(FileTest, AChecksumOfManyPartsIsThatOfTheWhole) {
  fs::resize_file(write("big", "begin"), (size_t{64} << 20) + 3);
  int calls = 0;
  const uint32_t crc = crc32_of_file(path("big"), 0, [&] { ++calls; });
  EXPECT_EQ(calls, 2);
  EXPECT_EQ(crc,
            MappedFile(path("big")).parsed([](std::span<const std::byte> bytes) { return crc32(bytes); }));
  EXPECT_EQ(crc32_of_file(write("small", "abc"), 0, [] {}), crc32(bytes_of("abc")));
}

TEST_F(FileTest, PartsOfWhateverIsThere) {
  const std::string name = write("a", "0123456789");
  EXPECT_EQ(read_part(name, 0, 3), "012");
  EXPECT_EQ(read_part(name, 8, 10), "89");
  EXPECT_EQ(read_part(name, -3, 3), "789");
  EXPECT_EQ(read_part(name, -20, 3), "");
  EXPECT_EQ(read_part(name, 20, 3), "");
  EXPECT_EQ(read_part(path("none"), 0, 3), "");
  EXPECT_EQ(read_part("/dev/zero", 0, 3), "");
  EXPECT_EQ(read_part("/tmp", 0, 3), "");
  ASSERT_EQ(mkfifo(path("fifo").c_str(), 0600), 0);
  EXPECT_EQ(read_part(path("fifo"), 0, 3), "");
}

TEST_F(FileTest, FoldersAreListedInOrder) {
  write("b", "");
  write("a", "");
  EXPECT_EQ(list_folder(path(".")), (std::vector<std::string>{path("./a"), path("./b")}));
  expect_refused([&] { list_folder(path("none")); }, "IO_NOT_FOUND");
  expect_refused([&] { list_folder(path("a")); }, "IO_NOT_FOUND");
  fs::create_symlink("loop", path("loop"));
  expect_refused([&] { list_folder(path("loop")); }, "IO_OPEN", "symbolic links");
  EXPECT_EQ(parent_folder("a"), ".");
  EXPECT_EQ(parent_folder("b/a"), "b");
  EXPECT_EQ(parent_folder("/a"), "/");
}

TEST_F(FileTest, G11_OddPaths) {
  expect_no_file("/tmp/" + std::string(5000, 'a'), "IO_OPEN");
  expect_no_file("/tmp/" + std::string(300, 'a'), "IO_OPEN");
  expect_no_file("-o\n\x1b[31m\xff", "IO_NOT_FOUND", "-o\\x0a\\x1b[31m\\xff: [");
  expect_no_file(write("a", "x") + std::string("\0.safetensors", 13), "IO_OPEN", "NUL");
  EXPECT_EQ(MappedFile(write("-a\nb\xff", "x")).bytes().size(), 1u);
}

TEST_F(FileTest, G12_SymbolicLinksAreFollowed) {
  fs::create_directories(path("blobs"));
  write("blobs/hash", "x");
  fs::create_symlink("blobs/hash", path("model"));
  EXPECT_EQ(MappedFile(path("model")).bytes().size(), 1u);
}

TEST_F(FileTest, G13_NoDescriptorsLeft) {
  const std::string name = write("a", "x");
  rlimit limit;
  getrlimit(RLIMIT_NOFILE, &limit);
  const rlimit none = {3, limit.rlim_max};
  setrlimit(RLIMIT_NOFILE, &none);
  expect_refused([&] { MappedFile{name}; }, "IO_OPEN", "Too many open files", ErrorKind::device);
  setrlimit(RLIMIT_NOFILE, &limit);
  EXPECT_EQ(MappedFile(name).bytes().size(), 1u);
}

}  // namespace
}  // namespace tstitch
