#include "tstitch/engine/command_files.h"

#include "tests/io/io_support.h"

namespace tstitch {
namespace {

namespace fs = std::filesystem;

class CommandFilesTest : public FolderTest {
 protected:
  void expect_error(ErrorKind kind, const std::string& part, const std::function<void()>& action) {
    try {
      action();
      ADD_FAILURE() << "accepted, expected " << part;
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), kind) << error.what();
      EXPECT_NE(std::string(error.what()).find(part), std::string::npos) << error.what();
    }
  }
};

TEST_F(CommandFilesTest, NoOutputIsAnInput) {
  fs::create_directory(path("folder"));
  CommandFiles files;
  files.reads("--plan", write("plan.json", "x"));
  files.reads("--noise", "");
  files.reads("--reference", path("folder"), {".png"});
  write("folder/a.png", "x");
  files.reads("samples", path("folder"), {".png"});
  write("folder/old.npz", "x");
  expect_error(ErrorKind::usage, "an input (--plan)", [&] { files.writes("--output", path("./plan.json")); });
  expect_error(ErrorKind::usage, "an input (samples)",
               [&] { files.writes("--output", path("folder/a.png")); });
  files.writes("--output", path("folder/old.npz"));  // not of that ending
  files.writes("--save-latent", path("folder/new.npy"));
}

TEST_F(CommandFilesTest, NoTwoOutputsAreOne) {
  CommandFiles files;
  files.writes("--output", path("a.png"));
  expect_error(ErrorKind::usage, "--save-latent and --output are both", [&] {
    files.writes("--save-latent",
                 path("../") + fs::path(path("a.png")).parent_path().filename().string() + "/a.png");
  });
  EXPECT_EQ(this->files(), 0u);  // checked, not made
}

TEST_F(CommandFilesTest, NoInputLiesWhereACommandWorks) {
  fs::create_directory(path("r.parts"));
  write("r.parts/0123456789abcdef.png", "x");
  CommandFiles files;
  files.works_in("--output", path("r.parts"));
  files.reads("--reference", path("r.parts"), {".png"});
  expect_error(ErrorKind::usage, "where an input lies (--reference)",
               [&] { files.works_in("--output", path("r.parts")); });
  files.works_in("--output", path("s.parts"));  // not there
}

// Links lead where they lead: what counts is whether that can be written.
TEST_F(CommandFilesTest, LinksAreFollowed) {
  fs::create_directory(path("closed"));
  fs::create_symlink("../a.png", path("closed/link.png"));
  fs::permissions(path("."), fs::perms(0777));
  fs::permissions(path("closed"), fs::perms(0555));
  const AsOrdinaryUser user;
  CommandFiles files;
  files.writes("--output", path("closed/link.png"));
  expect_error(ErrorKind::device, "Permission denied",
               [&] { files.writes("--output", path("closed/b.png")); });
}

// Whatever of it an output could be: the shards beside an index, the configurations of a pipeline.
TEST_F(CommandFilesTest, AModelIsAllItsFiles) {
  for (const char* folder : {"m", "m/unet", "m/vae", "m/text_encoder", "m/scheduler"})
    fs::create_directory(path(folder));
  const std::string index = write("m/unet/model.safetensors.index.json", "{}"),
                    shard = write("m/unet/1.safetensors", "x"), config = write("m/unet/config.json", "{}"),
                    names = write("m/model_index.json", "{}"), vae = write("m/vae/config.json", "{}");
  const ModelFiles model = {.path = path("m"),
                            .weights = index,
                            .config = config,
                            .scheduler = "",
                            .index = names,
                            .text_encoders = {path("m/text_encoder")},
                            .vae = path("m/vae"),
                            .classes = {}};
  CommandFiles files;
  files.reads("--model", model);
  for (const std::string& file : {index, shard, config, names, vae})
    expect_error(ErrorKind::usage, "an input (--model)", [&] { files.writes("--output", file); });
  files.writes("--output", write("m/old.png", "x"));
  files.writes("--output", write("m/unet/old.png", "x"));
  files.writes("--save-latent", write("m/vae/old.npy", "x"));
}

TEST_F(CommandFilesTest, OutputsCanBeWritten) {
  CommandFiles files;
  expect_error(ErrorKind::usage, "a folder", [&] { files.writes("--output", path("")); });
  expect_error(ErrorKind::device, "there is no such folder",
               [&] { files.writes("--output", path("none/a.png")); });
  expect_error(ErrorKind::device, "IO_KIND", [&] { files.writes("--output", "/dev/null"); });
  files.writes_pictures("--output", path("new/deep/"));
  files.writes_pictures("--output", path("a.npz"));
  expect_error(ErrorKind::usage, ".npz", [&] { files.writes_pictures("--output", path("a.gif")); });
  expect_error(ErrorKind::device, "there is no folder",
               [&] { files.writes_pictures("--output", write("file", "x") + "/below/"); });
}

}  // namespace
}  // namespace tstitch
