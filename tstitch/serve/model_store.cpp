#include "tstitch/serve/model_store.h"

#include <algorithm>

#include "tstitch/base/error.h"
#include "tstitch/engine/controls.h"
#include "tstitch/engine/memory_check.h"
#include "tstitch/serve/refusal.h"
#include "tstitch/zoo/latents.h"

namespace tstitch::serve {
ModelStore::ModelStore(std::shared_ptr<Backend> backend, int64_t budget)
    : backend_(std::move(backend)), budget_(budget) {}

ModelStore::Claim::~Claim() { store_.release(*this); }

bool ModelStore::Part::operator==(const Part& other) const {
  if (vae != other.vae || with_encoder != other.with_encoder || !control != !other.control) return false;
  const bool same_file = info.files.path == other.info.files.path && info.modified == other.info.modified;
  // What is stored as a difference is another for every network that it is added to.
  if (control)
    return control->files.path == other.control->files.path && control->content == other.control->content &&
           (!control->is_difference || (same_file && info.weights == other.info.weights));
  // An autoencoder was checked against the latents of the model it came for.
  return vae.empty() ? same_network(info, other.info) : same_file;
}

ModelStore::Entries::iterator ModelStore::find(const Part& part) {
  return std::ranges::find(entries_, part, &Entry::part);
}

int64_t ModelStore::bytes_of_all() const {
  int64_t bytes = 0;
  for (const Entry& entry : entries_) bytes += entry.bytes;
  return bytes;
}

void ModelStore::check_fits(const MemoryNeed& need) const {
  const int64_t bytes = need.networks + need.text_encoder + need.autoencoder + need.work;
  if (budget_ == 0 || bytes <= budget_) return;
  const auto [needed, allowed] = amounts_apart(bytes, budget_);
  throw Refusal(422, "needs_too_much_memory",
                concat("the job needs ", needed, " of memory, and this server may use ", allowed,
                       ": expected smaller models or pictures"));
}

std::unique_ptr<ModelStore::Claim> ModelStore::claim(std::span<const ModelInfo> models,
                                                     const std::vector<bool>& used, const std::string& vae,
                                                     bool with_encoder, const BackendOptions& device,
                                                     const MemoryNeed& need) {
  std::vector<std::pair<Part, int64_t>> wanted;
  const auto is_wanted = [&](const Part& part) {
    return std::ranges::any_of(wanted, [&](const auto& one) { return one.first == part; });
  };
  const auto want = [&](const Part& part, int64_t bytes) {
    if (!is_wanted(part)) wanted.emplace_back(part, bytes);
  };
  for (size_t i = 0; i < models.size(); ++i)
    if (used[i]) want({.info = models[i]}, network_bytes(models[i], device));
  if (!vae.empty()) want({.info = models.back(), .vae = vae, .with_encoder = with_encoder}, need.autoencoder);

  for (const auto& [net, base, numbers] : needed_controls(models, used))
    want({.info = *base, .control = net}, control_net_bytes(*net, device));

  std::unique_ptr<Claim> claim(new Claim(*this));
  claim->parts_.reserve(wanted.size());  // who has counted a user finds the place to remember it
  const std::lock_guard lock(mutex_);
  const int64_t work = need.text_encoder + need.work;
  int64_t more = work;
  for (const auto& [part, bytes] : wanted)
    if (find(part) == entries_.end()) more += bytes;
  const auto fits = [&](int64_t freed) {
    return budget_ == 0 || bytes_of_all() + claimed_ + more - freed <= budget_;
  };
  int64_t idle = 0;
  for (const Entry& entry : entries_)
    if (entry.users == 0 && !is_wanted(entry.part)) idle += entry.bytes;
  if (!fits(idle)) return nullptr;
  for (auto entry = entries_.end(); !fits(0);) {
    --entry;
    if (entry->users > 0 || is_wanted(entry->part)) continue;
    entry = entries_.erase(entry);
    ++evictions_;
    backend_->memory().trim();
  }
  for (const auto& [part, bytes] : wanted) {
    auto entry = find(part);
    if (entry == entries_.end())
      entry = entries_.insert(entries_.begin(), Entry{.part = part, .bytes = bytes, .content = {}});
    entries_.splice(entries_.begin(), entries_, entry);
    claim->parts_.push_back(part);
    ++entry->users;
  }
  claim->bytes_ = work;
  claimed_ += work;
  return claim;
}

void ModelStore::release(const Claim& claim) {
  const std::lock_guard lock(mutex_);
  claimed_ -= claim.bytes_;
  for (const Part& part : claim.parts_) {
    const auto entry = find(part);
    if (--entry->users == 0 && !entry->loading) entries_.erase(entry);  // it never came to that, or failed
  }
}

std::shared_ptr<void> ModelStore::get(const Part& part, const std::function<std::shared_ptr<void>()>& load) {
  std::promise<std::shared_ptr<void>> promise;
  std::shared_future<std::shared_ptr<void>> content;
  bool first = false;
  {
    const std::lock_guard lock(mutex_);
    const auto entry = find(part);
    check_internal(entry != entries_.end(), "a model that nobody claimed");
    first = !std::exchange(entry->loading, true);
    if (first) entry->content = promise.get_future().share(), ++loads_;
    content = entry->content;
  }
  if (first) try {
      promise.set_value(load());
    } catch (...) {
      promise.set_exception(std::current_exception());
      const std::lock_guard lock(mutex_);
      find(part)->loading = false;  // the next may try again
    }
  return content.get();
}

Model ModelStore::model(const ModelInfo& info) {
  const auto found =
      get({.info = info}, [&] { return std::make_shared<Model>(load_model(info, *backend_)); });
  Model model = *std::static_pointer_cast<Model>(found);
  model.info = info;
  return model;
}

std::shared_ptr<const Autoencoder> ModelStore::autoencoder(const std::string& path, const ModelInfo& model,
                                                           bool with_encoder) {
  return std::static_pointer_cast<Autoencoder>(
      get({.info = model, .vae = path, .with_encoder = with_encoder},
          [&] { return std::shared_ptr<Autoencoder>(load_decoder(*backend_, path, model, with_encoder)); }));
}

std::shared_ptr<const ControlNetwork> ModelStore::control_net(const ControlNetInfo& net,
                                                              const ModelInfo& base) {
  const Part part{.info = base, .control = std::make_shared<const ControlNetInfo>(net)};
  return std::static_pointer_cast<ControlNetwork>(get(
      part, [&] { return std::const_pointer_cast<ControlNetwork>(load_control_net(net, base, *backend_)); }));
}

ModelStore::Statistics ModelStore::statistics() const {
  const std::lock_guard lock(mutex_);
  Statistics s{.bytes = bytes_of_all(), .claimed_bytes = claimed_, .loads = loads_, .evictions = evictions_};
  for (const Entry& entry : entries_) s.models += entry.loading;
  return s;
}

}  // namespace tstitch::serve
