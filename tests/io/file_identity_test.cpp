#include "tstitch/io/file_identity.h"

#include "tests/io/io_support.h"

namespace tstitch {
namespace {

namespace fs = std::filesystem;

class FileIdentityTest : public FolderTest {};

TEST_F(FileIdentityTest, OneFileHasOneIdentityWhateverItIsCalled) {
  write("a", "x");
  write("b", "x");
  fs::create_directory(path("folder"));
  fs::create_symlink("a", path("link"));
  fs::create_hard_link(path("a"), path("hard"));
  const auto a = identify(path("a"));
  ASSERT_TRUE(a);
  for (const char* name : {"./a", "folder/../a", "link", "hard"}) EXPECT_EQ(identify(path(name)), a) << name;
  EXPECT_NE(identify(path("b")), a);
}

TEST_F(FileIdentityTest, SoHasOneThatIsNotThereYet) {
  fs::create_directory(path("folder"));
  fs::create_symlink("new", path("link"));
  const auto a = identify(path("new"));
  ASSERT_TRUE(a);
  for (const char* name : {"./new", "folder/../new", "link"}) EXPECT_EQ(identify(path(name)), a) << name;
  EXPECT_NE(identify(path("folder/new")), a);
  EXPECT_NE(identify(path("other")), a);
  EXPECT_FALSE(identify(path("none/new")));
  fs::create_symlink("loop", path("loop"));
  EXPECT_EQ(identify(path("loop")), identify(path("loop")));
}

}  // namespace
}  // namespace tstitch
