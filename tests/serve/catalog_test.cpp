#include "tstitch/serve/catalog.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <new>
#include <tuple>

#include "tstitch/base/error.h"
#include "tstitch/io/safetensors.h"
#include "tstitch/serve/refusal.h"

namespace tstitch::serve {
namespace {

namespace fs = std::filesystem;
using Names = std::vector<std::string>;

class Folder {
 public:
  Folder() : path_(fs::temp_directory_path() / ("tstitch_catalog_" + std::to_string(getpid()))) {
    fs::create_directories(path_);
  }
  ~Folder() { fs::remove_all(path_); }
  void add(const std::string& name) const {
    fs::create_directories((path_ / name).parent_path());
    std::ofstream(path_ / name) << "x";
  }
  std::string path(const std::string& name = "") const {
    return name.empty() ? path_.string() : (path_ / name).string();
  }

 private:
  fs::path path_;
};

// Whose files hold nothing, as those of these tests do.
CatalogOptions unread(const std::string& models_dir, const std::string& lora_dir = "",
                      const std::string& control_dir = "") {
  const auto anything = [](const std::string&) {};
  return {.models = {},
          .models_dir = models_dir,
          .lora_dir = lora_dir,
          .control_dir = control_dir,
          .read_model = anything,
          .read_lora = anything,
          .read_control = anything};
}

template <class F>
Refusal refusal(const F& f) {
  try {
    f();
  } catch (const Refusal& r) {
    return r;
  }
  ADD_FAILURE() << "nothing is refused";
  return {0, "", ""};
}

TEST(Catalog, IsTheDemoFamiliesWhereNothingIsNamed) {
  const Folder assets;
  setenv("TSTITCH_ASSETS", assets.path().c_str(), 1);
  Catalog catalog({});
  const Names garments = {"fashion-s", "fashion-l"}, words = {"words-s", "words-l"};
  EXPECT_EQ(catalog.models(), (Names{"fashion-b", "fashion-l", "fashion-s"}));
  EXPECT_EQ(catalog.usual(), garments);
  EXPECT_EQ(catalog.usual(true), garments);
  EXPECT_EQ(catalog.choices(), (Names{"fashion-s+fashion-l", "fashion-b", "fashion-l", "fashion-s"}));
  EXPECT_EQ(catalog.split("fashion-s+fashion-b"), (Names{"fashion-s", "fashion-b"}));

  for (const char* model : {"words-s", "words-l"}) assets.add(concat("words/", model, "/model_index.json"));
  catalog.refresh();
  EXPECT_EQ(catalog.models(), (Names{"fashion-b", "fashion-l", "fashion-s", "words-l", "words-s"}));
  EXPECT_EQ(catalog.usual(), garments);
  EXPECT_EQ(catalog.usual(true), words);
  EXPECT_EQ(catalog.choices()[1], "words-s+words-l");
  unsetenv("TSTITCH_ASSETS");
}

TEST(Catalog, NamesAreThoseInTheFolder) {
  const Folder folder;
  for (const char* name :
       {"one.safetensors", "sub/two.ckpt", "both.ckpt", "both.safetensors", "pipe/model_index.json",
        "pipe/unet/x.safetensors", "readme.txt", "a+b.safetensors"})
    folder.add(name);
  Catalog catalog(unread(folder.path()));
  EXPECT_EQ(catalog.models(), (Names{"a+b", "both.ckpt", "both.safetensors", "one", "pipe", "sub/two"}));
  EXPECT_EQ(catalog.model_path("sub/two"), folder.path("sub/two.ckpt"));
  EXPECT_EQ(catalog.name_of(folder.path("sub/two.ckpt")), "sub/two");
  EXPECT_EQ(catalog.name_of("/elsewhere/vae.pt"), "vae.pt");
  EXPECT_EQ(catalog.name_of("/elsewhere/vae/"), "vae");
  EXPECT_EQ(catalog.name_of("uniform"), "uniform");
  EXPECT_EQ(with_names("\"" + folder.path("sub/two.ckpt") + "\" is broken", catalog.path_names()),
            "\"sub/two\" is broken");
  EXPECT_EQ(catalog.split("a+b"), Names{"a+b"});
}

TEST(Catalog, NoPathIsAName) {
  const Folder folder;
  folder.add("one.safetensors");
  const Catalog catalog(unread(folder.path(), folder.path()));
  for (const std::string& name : Names{"two", "", "../one", "./one", "one.safetensors",
                                       folder.path("one.safetensors"), "/etc/passwd", "one+", "fashion-s"}) {
    EXPECT_EQ(refusal([&] { catalog.split(name); }).status, 404) << name;
    EXPECT_EQ(refusal([&] { catalog.lora_path(name == "one.safetensors" ? "x" : name); }).status, 404)
        << name;
  }
  EXPECT_EQ(refusal([&] { catalog.split("two"); }).message,
            "there is no model \"two\", expected one, or two of them as small+large");
}

TEST(Catalog, LorasAreFoundByTheirOwnNames) {
  const Folder folder;
  for (const char* name : {"fox.safetensors", "style/oil.safetensors", "style/x.pt", "other/x.pt"})
    folder.add(name);
  const Catalog catalog(unread("", folder.path()));
  EXPECT_EQ(catalog.lora_path("oil"), folder.path("style/oil.safetensors"));
  EXPECT_EQ(catalog.lora_path("style/oil"), folder.path("style/oil.safetensors"));
  EXPECT_EQ(catalog.lora_path("other/x"), folder.path("other/x.pt"));
  EXPECT_EQ(refusal([&] { catalog.lora_path("x"); }).message, "there are several LoRAs \"x\"");
}

TEST(Catalog, ControlNetsAreFilesAndFolders) {
  const Folder folder;
  for (const char* name : {"canny.safetensors", "sdxl/depth/config.json",
                           "sdxl/depth/diffusion_pytorch_model.safetensors", "readme.txt"})
    folder.add(name);
  const Catalog catalog(unread("", "", folder.path()));
  EXPECT_EQ(catalog.controls(), (Names{"canny", "sdxl/depth"}));
  EXPECT_EQ(catalog.control_path("depth"), folder.path("sdxl/depth"));
  EXPECT_EQ(catalog.name_of(folder.path("canny.safetensors")), "canny");
  const Refusal none = refusal([&] { catalog.control_path("../canny"); });
  EXPECT_EQ(std::pair(none.status, none.param), std::pair(404, std::string("control_net")));
  EXPECT_EQ(none.message, "there is no ControlNet \"../canny\", expected canny, sdxl/depth");
}

// Only their heads are read; what they lack is said once to whoever started the server, and to who asks.
TEST(Catalog, WhatCannotBeReadIsLeftOut) {
  const Folder folder;
  for (const char* name : {"a/broken.safetensors", "good.safetensors", "net.safetensors"}) folder.add(name);
  Names said;
  CatalogOptions options = unread(folder.path(), "", folder.path("a"));
  options.read_model = [](const std::string& path) {
    check(path.find("broken") == path.npos, ErrorKind::input, path, ": it holds nothing");
  };
  options.read_control = read_as_control_net;
  options.say = [&](const std::string& message) { said.push_back(message); };
  Catalog catalog(options);
  EXPECT_EQ(catalog.models(), (Names{"good", "net"}));
  EXPECT_EQ(catalog.usual(), Names{"good"});
  EXPECT_TRUE(catalog.controls().empty());
  ASSERT_EQ(said.size(), 3u);
  EXPECT_EQ(said[0], "--models-dir: \"a/broken\" is left out: " + folder.path("a/broken.safetensors") +
                         ": it holds nothing");
  EXPECT_TRUE(said[1].starts_with("--control-dir: \"broken\" is left out: ")) << said[1];
  EXPECT_EQ(said[2], "--control-dir holds no ControlNet");
  said.clear();
  catalog.refresh();
  EXPECT_EQ(said, Names{"--control-dir holds no ControlNet"});
  const Refusal of_model = refusal([&] { catalog.split("a/broken"); }),
                of_net = refusal([&] { catalog.control_path("broken"); });
  for (const Refusal& one : {of_model, of_net}) {
    EXPECT_EQ(one.status, 404);
    EXPECT_NE(one.message.find("cannot be read: "), one.message.npos) << one.message;
    EXPECT_EQ(one.message.find(folder.path()), one.message.npos) << one.message;
  }
}

// People have all kinds in one folder: what is plainly another kind is no news, what is broken is.
TEST(Catalog, OfOtherKindsNothingIsSaid) {
  const Folder folder;
  const auto put = [&](const std::string& name, const Names& tensors) {
    folder.add(name);
    std::map<std::string, Tensor> all;
    for (const std::string& tensor : tensors) all.emplace(tensor, Tensor({1, 1}, DType::f32));
    write_safetensors(folder.path(name), all, {});
  };
  put("fox.safetensors", {"lora_unet_a.lora_down.weight", "lora_unet_a.lora_up.weight"});
  put("new.safetensors", {"lora_unet_a.lora_down.weight", "lora_unet_a.lora_sideways.weight"});
  put("unet.safetensors", {"conv_in.weight"});
  put("adapter.safetensors", {"adapter.body.0.weight"});
  put("pipe/unet/x.safetensors", {"conv_in.weight"});
  folder.add("pipe/model_index.json");
  put("encoder/model.safetensors", {"text_model.embeddings.token_embedding.weight"});
  std::ofstream(folder.path("encoder/config.json")) << R"({"architectures": ["CLIPTextModel"]})";
  folder.add("lost/config.json");
  std::ofstream(folder.path("lost/config.json")) << R"({"_class_name": "ControlNetModel"})";
  folder.add("broken.safetensors");

  Names said;
  CatalogOptions options{
      .models = {}, .models_dir = folder.path(), .lora_dir = folder.path(), .control_dir = folder.path()};
  options.read_model = [](const std::string& path) {
    for (const char* none : {"fox", "new", "encoder", "broken"})
      check(path.find(none) == path.npos, ErrorKind::input, "no model");
  };
  options.say = [&](const std::string& message) {
    said.push_back(message.substr(0, message.find(" is left out")));
  };
  Catalog catalog(options);
  EXPECT_EQ(catalog.models(), (Names{"pipe", "unet"}));
  EXPECT_EQ(catalog.loras(), Names{"fox"});
  EXPECT_TRUE(catalog.controls().empty());
  const Names expected = {"--models-dir: \"broken\"",   "--models-dir: \"encoder\"",
                          "--lora-dir: \"broken\"",     "--lora-dir: \"new\"",
                          "--control-dir: \"adapter\"", "--control-dir: \"broken\"",
                          "--control-dir: \"lost\"",    "--control-dir holds no ControlNet"};
  EXPECT_EQ(said, expected);
  // Who asks is told.
  EXPECT_EQ(refusal([&] { catalog.lora_path("cat"); }).message, "there is no LoRA \"cat\", expected fox");
  for (const char* name : {"unet", "pipe/unet/x", "adapter", "new"}) {
    const Refusal r = refusal([&] { catalog.lora_path(name); });
    EXPECT_EQ(r.status, 404);
    EXPECT_TRUE(r.message.starts_with(concat("the LoRA \"", name, "\" cannot be read: "))) << r.message;
    EXPECT_EQ(r.message.find(folder.path()), r.message.npos) << r.message;
  }
  EXPECT_NE(refusal([&] { catalog.control_path("fox"); }).message.find("this is a LoRA"), std::string::npos);
}

// By its last part as those are that can be read.
TEST(Catalog, WhatIsLeftOutIsFoundByItsOwnName) {
  const Folder folder;
  folder.add("more/broken.safetensors");
  CatalogOptions options = unread("", "", folder.path());
  options.read_control = read_as_control_net;
  const Catalog catalog(options);
  for (const char* name : {"broken", "more/broken"}) {
    const Refusal r = refusal([&] { catalog.control_path(name); });
    EXPECT_EQ(r.status, 404);
    EXPECT_TRUE(r.message.starts_with("the ControlNet \"more/broken\" cannot be read: ")) << r.message;
  }
}

// A passing want of memory says nothing of the models.
TEST(Catalog, KeepsWhatItHasWhereThereIsNoMemory) {
  const Folder folder;
  folder.add("one.safetensors");
  bool scarce = false;
  CatalogOptions options = unread(folder.path());
  options.read_model = [&](const std::string&) {
    if (scarce) throw std::bad_alloc();
  };
  Catalog catalog(options);
  scarce = true;
  EXPECT_THROW(catalog.refresh(), std::bad_alloc);
  EXPECT_EQ(catalog.models(), Names{"one"});
  EXPECT_EQ(catalog.usual(), Names{"one"});
}

TEST(Catalog, FoldersMayEndInASlash) {
  const Folder folder;
  folder.add("a/broken.safetensors");
  CatalogOptions options = unread(folder.path() + "//", folder.path() + "/", folder.path("a/"));
  options.read_model = read_as_model;
  const Catalog catalog(options);
  EXPECT_EQ(catalog.lora_path("broken"), folder.path("a/broken.safetensors"));
  const std::string message = refusal([&] { catalog.split("a/broken"); }).message;
  EXPECT_EQ(message.find(folder.path()), message.npos) << message;
  EXPECT_NE(message.find("a/broken.safetensors"), message.npos) << message;
}

TEST(Catalog, AFolderWithoutModelsSaysSo) {
  const Folder folder;
  Names said;
  CatalogOptions options = unread(folder.path());
  options.say = [&](const std::string& message) { said.push_back(message); };
  const Catalog catalog(options);
  EXPECT_EQ(said, Names{"--models-dir holds no model"});
  EXPECT_TRUE(catalog.usual().empty());
  EXPECT_EQ(refusal([&] { catalog.split("fashion-s"); }).message, "there is no model here");
}

TEST(Catalog, WhatStandsBesideAModelIsNone) {
  const Folder folder;
  for (const char* name : {"whole.safetensors", "big-00001-of-00002.safetensors", "one-of-us.safetensors",
                           "vae/config.json", "unet/config.json"})
    folder.add(name);
  std::ofstream(folder.path("vae/config.json")) << R"({"_class_name": "AutoencoderKL"})";
  std::ofstream(folder.path("unet/config.json")) << R"({"_class_name": "UNet2DConditionModel"})";
  write_safetensors(folder.path("decoder.safetensors"),
                    {{"decoder.conv_in.weight", Tensor({1, 1, 3, 3}, DType::f32)}}, {});
  const Catalog catalog(unread(folder.path()));
  EXPECT_EQ(catalog.models(), (Names{"one-of-us", "unet", "whole"}));
}

TEST(Catalog, LinksMayLeadRoundInCircles) {
  const Folder folder;
  folder.add("sub/one.safetensors");
  fs::create_directory_symlink(folder.path(), folder.path("sub/up"));
  fs::create_symlink(folder.path("nowhere"), folder.path("broken.safetensors"));
  const Catalog catalog(unread(folder.path()));
  EXPECT_EQ(catalog.models(), Names{"sub/one"});
}

TEST(Catalog, NoMessageSaysWhereTheFolderIs) {
  const std::string nowhere = "/nowhere/of/anybody";
  try {
    Catalog{unread(nowhere)};
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(std::string(error.what()), "--models-dir cannot be read: No such file or directory");
  }
  // The longer path first; of what lies below a known one the rest stays.
  EXPECT_EQ(with_names("/m/a/b.pt and /m/a/c.pt", {{"/m/a", "a"}, {"/m/a/b.pt", "b"}}), "b and a/c.pt");
}

TEST(Catalog, LooksAgainWhenAsked) {
  const Folder folder;
  folder.add("one.safetensors");
  Catalog catalog(unread(folder.path()));
  folder.add("two.safetensors");
  EXPECT_EQ(catalog.models(), Names{"one"});
  catalog.refresh();
  EXPECT_EQ(catalog.models(), (Names{"one", "two"}));
}

TEST(Catalog, AFolderThatIsGoneIsSaidToBothAndMayComeBack) {
  const Folder folder;
  folder.add("models/one.safetensors");
  Names said;
  CatalogOptions options = unread(folder.path("models"));
  options.say = [&](const std::string& message) { said.push_back(message); };
  Catalog catalog(options);
  fs::rename(folder.path("models"), folder.path("away"));
  const Refusal gone = refusal([&] { catalog.refresh(); });
  EXPECT_EQ(std::tuple(gone.status, gone.code, gone.retry_after),
            std::tuple(503, std::string("refresh_failed"), 10));
  EXPECT_EQ(gone.message, "--models-dir cannot be read: No such file or directory");
  EXPECT_EQ(said, Names{"looking again failed: " + gone.message});
  EXPECT_EQ(catalog.models(), Names{"one"});
  fs::rename(folder.path("away"), folder.path("models"));
  catalog.refresh();
  EXPECT_EQ(catalog.models(), Names{"one"});
}

TEST(Catalog, WaitingDoesNotPartTwoModelsOfOneName) {
  const Folder folder;
  folder.add("one.safetensors");
  folder.add("models/two.safetensors");
  CatalogOptions options = unread(folder.path("models"));
  options.models = {folder.path("one.safetensors")};
  Catalog catalog(options);
  folder.add("models/one.safetensors");
  const Refusal both = refusal([&] { catalog.refresh(); });
  EXPECT_EQ(std::pair(both.status, both.retry_after), std::pair(503, 0));
  EXPECT_EQ(both.message,
            "\"one.safetensors\" and another model are both called \"one\": give one another name");
  EXPECT_EQ(catalog.models(), (Names{"one", "two"}));
  EXPECT_EQ(catalog.model_path("one"), folder.path("one.safetensors"));
}

}  // namespace
}  // namespace tstitch::serve
