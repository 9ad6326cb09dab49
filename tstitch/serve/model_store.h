// The networks, autoencoders and ControlNets that are in memory, for as long as it suffices.
#pragma once

#include <cstdint>
#include <functional>
#include <future>
#include <list>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <vector>

#include "tstitch/engine/engine.h"
#include "tstitch/engine/memory_check.h"

namespace tstitch::serve {

// Loads each on the thread that asks first, while others go on; the others who ask for it wait for that. What
// nobody uses stays until its memory is wanted, and what was used longest ago leaves first.
class ModelStore final : public ModelKeeper {
 public:
  // budget: bytes of all that is in memory and of what claims hold beside it; 0: any number.
  ModelStore(std::shared_ptr<Backend> backend, int64_t budget);

  // A network, the autoencoder that comes with it, or a ControlNet that steers it.
  struct Part {
    ModelInfo info;
    std::string vae = {};  // of an autoencoder
    bool with_encoder = false;
    std::shared_ptr<const ControlNetInfo> control = {};  // of a ControlNet
    bool operator==(const Part& other) const;
  };

  // Holds what a job needs until it is destroyed: its models, which do not leave, and memory for its work.
  class Claim {
   public:
    Claim(const Claim&) = delete;
    Claim& operator=(const Claim&) = delete;
    ~Claim();

   private:
    friend class ModelStore;
    explicit Claim(ModelStore& store) : store_(store) {}
    ModelStore& store_;
    std::vector<Part> parts_;
    int64_t bytes_ = 0;
  };

  // Makes room for a job with those of `models` that `used` says; null where that has to wait until others
  // have ended. vae: "" where there is none. Must not outlive the store.
  std::unique_ptr<Claim> claim(std::span<const ModelInfo> models, const std::vector<bool>& used,
                               const std::string& vae, bool with_encoder, const BackendOptions& device,
                               const MemoryNeed& need);
  // Throws Refusal{422} where the job would not fit alone either.
  void check_fits(const MemoryNeed& need) const;

  Model model(const ModelInfo& info) override;
  std::shared_ptr<const Autoencoder> autoencoder(const std::string& path, const ModelInfo& model,
                                                 bool with_encoder) override;
  std::shared_ptr<const ControlNetwork> control_net(const ControlNetInfo& net,
                                                    const ModelInfo& base) override;

  struct Statistics {
    int64_t bytes = 0, claimed_bytes = 0;  // of models, and of work beside them
    int64_t models = 0, loads = 0, evictions = 0;
  };
  Statistics statistics() const;
  Backend& backend() const { return *backend_; }

 private:
  struct Entry {
    Part part;
    int64_t bytes = 0;
    int users = 0;
    bool loading = false;                               // or loaded
    std::shared_future<std::shared_ptr<void>> content;  // a Model, Autoencoder or ControlNetwork
  };
  using Entries = std::list<Entry>;  // used last first

  Entries::iterator find(const Part& part);
  // Loads what nobody has yet; who comes meanwhile waits.
  std::shared_ptr<void> get(const Part& part, const std::function<std::shared_ptr<void>()>& load);
  int64_t bytes_of_all() const;
  void release(const Claim& claim);

  const std::shared_ptr<Backend> backend_;
  const int64_t budget_;
  mutable std::mutex mutex_;
  Entries entries_;
  int64_t claimed_ = 0, loads_ = 0, evictions_ = 0;
};

}  // namespace tstitch::serve
