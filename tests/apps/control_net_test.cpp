// ControlNets from the command line: runs that are continued and repeated.
#include <string>

#include "tests/apps/tiny_pair.h"
#include "tests/support/tiny_control_nets.h"

namespace tstitch {
namespace {

class ControlNetCommand : public OnTinyPair {
 protected:
  void SetUp() override {
    Cli::SetUp();
    write_tiny_control_net(path("net"), "sd");
    write_hint(37);
  }

  void write_hint(int factor) const { write_png(path("hint.png").string(), tiny_hint(factor), {}); }

  // The large network alone is steered.
  static Arguments steered(const Arguments& more) {
    Arguments all = of_pair(
        "sample", {"--control-net", kNet, "--stage", "share=0.4,control=none", "--stage", "control=net"});
    all.insert(all.end(), more.begin(), more.end());
    return all;
  }

  static constexpr const char* kNet = "net,image=hint.png,strength=0.8";
};

TEST_F(ControlNetCommand, APictureIsMadeAgainWhileTheFilesAreTheSame) {
  done(steered({"-o", "a.png"}));
  done(of_pair("sample", {"--ratio", "0.4", "-o", "without.png"}));
  EXPECT_NE(pixels("without.png"), pixels("a.png"));
  done({"sample", "--like", "a.png", "-o", "b.png"});
  EXPECT_EQ(read(path("b.png")), read(path("a.png")));

  const Arguments again = {"sample", "--like", "a.png", "-o", "c.png"};
  write_hint(91);
  expect_refused(3, {"--control-net \"hint.png\" is not what it was for that picture"}, again);
  Arguments said = again;
  said.insert(said.end(), {"--control-net", kNet});
  done(said);
  EXPECT_NE(pixels("c.png"), pixels("a.png"));
  write_hint(37);
  done(again);
  EXPECT_EQ(pixels("c.png"), pixels("a.png"));
  write_tiny_control_net(path("net"), "sd_2");
  expect_refused(3, {"--control-net \"net\" is not what it was for that picture"},
                 {"sample", "--like", "a.png", "-o", "d.png"});
}

TEST_F(ControlNetCommand, WhatIsNotThereIsNamedByTheOption) {
  expect_refused(3, {"--control-net none: "}, of_pair("sample", {"--control-net", "none,image=hint.png"}));
  Arguments all = steered({});
  *std::ranges::find(all, kNet) = "net,image=none.png";
  expect_refused(3, {"--control-net none.png: [IO_NOT_FOUND] no such file"}, all);
}

TEST_F(ControlNetCommand, APlanIsForItsControlNets) {
  const std::string out =
      done(of_pair("plan", {"--control-net", kNet, "--stage", "control=none", "--stage", "control=net",
                            "--speedup", "0.1", "--probes", "2", "-o", "p.json"}))
          .out;
  EXPECT_NE(out.find("`tstitch sample --plan p.json -m "), out.npos) << out;
  EXPECT_NE(out.rfind(concat(" --control-net ", kNet, " -p 'a fox'")), out.npos) << out;
  const auto sample = [&](const Arguments& more) {
    Arguments all = of_pair("sample", {"--plan", "p.json"});
    all.insert(all.end(), more.begin(), more.end());
    return all;
  };
  expect_refused(2, {"control=", "--control-net"}, sample({}));
  expect_refused(2, {"the plan is for --control-net net x 0.8 (", "), not net x 1 (", "), on large"},
                 sample({"--control-net", "net,image=hint.png"}));
  expect_refused(2, {"the plan is for --control-net net x 0.8 (", "), not net x 0.8 in 0:0.5 ("},
                 sample({"--control-net", concat(kNet, ",interval=0:0.5")}));
  write_hint(91);  // what to follow is the run's own
  done(sample({"--control-net", kNet, "-o", "a.png"}));
  write_tiny_control_net(path("net"), "sd_2");
  expect_refused(2, {"the plan is for --control-net net x 0.8 (", "), not net x 0.8 ("},
                 sample({"--control-net", kNet}));
}

TEST_F(ControlNetCommand, ARunIsContinuedWhileTheFilesAreTheSame) {
  const Arguments begun = steered({"-b", "2", "--resume", "-o", "run/"});
  done(begun);
  const std::string whole = read(path("run/000001.png"));
  const auto continued = [&](const Arguments& arguments) {
    fs::remove(path("run/000001.png"));
    done(arguments);
    return read(path("run/000001.png"));
  };
  EXPECT_EQ(continued(begun), whole);
  // The same network elsewhere makes the same pictures; another hint, network or strength does not.
  fs::remove(path("run/000001.png"));
  write_hint(91);
  expect_refused(2, {"000000.png", "not of this run"}, begun);
  write_hint(37);
  Arguments other = begun;
  *std::ranges::find(other, kNet) = "net,image=hint.png";
  expect_refused(2, {"000000.png", "not of this run"}, other);
  write_tiny_control_net(path("net"), "sd_2");
  expect_refused(2, {"000000.png", "not of this run"}, begun);
  write_tiny_control_net(path("net"), "sd");
  EXPECT_EQ(continued(begun), whole);

  // An archive says what is another.
  const auto archive = [](const Arguments& more) {
    Arguments all = steered({"-b", "2", "--batch-size", "1", "--resume", "-o", "a.npz"});
    all.insert(all.end(), more.begin(), more.end());
    return all;
  };
  done(archive({"--rank", "0", "--world-size", "2"}));
  write_hint(91);
  expect_refused(2, {"--control-net is [[", "but the unfinished run has [["}, archive({}));
  write_hint(37);
  write_tiny_control_net(path("net"), "sd_2");
  expect_refused(2, {"--control-net is [\"", " bytes, crc32 "}, archive({}));
  write_tiny_control_net(path("net"), "sd");
  done(archive({}));
}

}  // namespace
}  // namespace tstitch
