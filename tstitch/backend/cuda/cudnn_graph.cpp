#include "tstitch/backend/cuda/cudnn_graph.h"

#include <cuda_runtime_api.h>

#include <algorithm>
#include <array>

#include "tstitch/base/error.h"

namespace tstitch::cuda {
namespace {

constexpr int64_t kMostProposals = 64;  // of engines, from one mode of the heuristics

constexpr std::array kRefused = {CUDNN_NUMERICAL_NOTE_DOWN_CONVERT_INPUTS,
                                 CUDNN_NUMERICAL_NOTE_REDUCED_PRECISION_REDUCTION,
                                 CUDNN_NUMERICAL_NOTE_FFT,
                                 CUDNN_NUMERICAL_NOTE_NONDETERMINISTIC,
                                 CUDNN_NUMERICAL_NOTE_WINOGRAD,
                                 CUDNN_NUMERICAL_NOTE_WINOGRAD_TILE_4x4,
                                 CUDNN_NUMERICAL_NOTE_WINOGRAD_TILE_6x6,
                                 CUDNN_NUMERICAL_NOTE_WINOGRAD_TILE_13x13};

// On f32 the tensor cores compute with TF32's 10 bits.
bool refused(cudnnBackendNumericalNote_t note, bool f32) {
  return (f32 && note == CUDNN_NUMERICAL_NOTE_TENSOR_CORE) ||
         std::ranges::find(kRefused, note) != kRefused.end();
}

// Statuses of the category "not supported" that are of the installation and not of what was asked.
constexpr std::array kInstallation = {CUDNN_STATUS_NOT_SUPPORTED_RUNTIME_PREREQUISITE_MISSING,
                                      CUDNN_STATUS_NOT_SUPPORTED_SUBLIBRARY_UNAVAILABLE};

cudnnDataType_t type_of(DType dtype) { return dtype == DType::f32 ? CUDNN_DATA_FLOAT : CUDNN_DATA_BFLOAT16; }

}  // namespace

CudnnLibrary::CudnnLibrary() {
  tstitch::check(version() >= CUDNN_VERSION, ErrorKind::device, library.path(), " is version ", version(),
                 ", expected ", CUDNN_VERSION, " or later");
  const size_t cuda = cudart_version() / 1000;
  tstitch::check(cuda == CUDART_VERSION / 1000, ErrorKind::device, library.path(), " is for CUDA ", cuda,
                 ", expected one for CUDA ", CUDART_VERSION / 1000);
}

std::string CudnnLibrary::describe(cudnnStatus_t status) const {
  std::array<char, 512> detail = {};
  last_error_string(detail.data(), detail.size());
  return concat(error_string(status), detail[0] ? ", " : "", printable(detail.data(), detail.size()));
}

void CudnnLibrary::check(cudnnStatus_t status, std::string_view call) const {
  if (status != CUDNN_STATUS_SUCCESS)
    fail(ErrorKind::device, "cuDNN ", version(), ": ", call, ": ", describe(status));
}

bool CudnnLibrary::supports(cudnnStatus_t status, std::string_view call) const {
  if (CUDNN_STATUS_CATEGORY(status) == CUDNN_STATUS_NOT_SUPPORTED &&
      std::ranges::find(kInstallation, status) == kInstallation.end())
    return false;
  check(status, call);
  return true;
}

Descriptor::Descriptor(const CudnnLibrary& cudnn, cudnnBackendDescriptorType_t type) : cudnn_(&cudnn) {
  cudnnBackendDescriptor_t handle = nullptr;
  cudnn.check(cudnn.create(type, &handle), concat("cudnnBackendCreateDescriptor ", static_cast<int>(type)));
  handle_.reset(handle, Destroyer{cudnn.destroy});
}

void Descriptor::set(cudnnBackendAttributeName_t name, cudnnBackendAttributeType_t type, int64_t count,
                     const void* values) {
  const cudnnStatus_t status = cudnn_->set(get(), name, type, count, values);
  if (status != CUDNN_STATUS_SUCCESS)
    cudnn_->check(status, concat("cudnnBackendSetAttribute ", static_cast<int>(name)));
}

Descriptor& Descriptor::set(cudnnBackendAttributeName_t name, std::span<const Descriptor> values) {
  std::vector<cudnnBackendDescriptor_t> handles;
  for (const Descriptor& value : values) handles.push_back(value.get());
  set(name, CUDNN_TYPE_BACKEND_DESCRIPTOR, std::ssize(handles), handles.data());
  return *this;
}

int64_t Descriptor::get(cudnnBackendAttributeName_t name, cudnnBackendAttributeType_t type, int64_t count,
                        void* values) const {
  int64_t there = 0;
  const cudnnStatus_t status = cudnn_->get(get(), name, type, count, &there, values);
  if (status != CUDNN_STATUS_SUCCESS)
    cudnn_->check(status, concat("cudnnBackendGetAttribute ", static_cast<int>(name)));
  return there;
}

std::vector<Descriptor> Descriptor::get(cudnnBackendAttributeName_t name, cudnnBackendDescriptorType_t type,
                                        int64_t most) const {
  std::vector<Descriptor> values;  // which the library fills
  std::vector<cudnnBackendDescriptor_t> handles;
  for (int64_t i = 0; i < most; ++i) handles.push_back(values.emplace_back(*cudnn_, type).get());
  const int64_t there = get(name, CUDNN_TYPE_BACKEND_DESCRIPTOR, most, handles.data());
  values.erase(values.begin() + std::min(there, most), values.end());
  return values;
}

bool Descriptor::try_finalize(cudnnStatus_t& status) {
  status = cudnn_->finalize(get());
  return cudnn_->supports(status, "cudnnBackendFinalize");
}

Descriptor& Descriptor::finalize() {
  cudnn_->check(cudnn_->finalize(get()), "cudnnBackendFinalize");
  return *this;
}

Descriptor tensor(const CudnnLibrary& cudnn, const TensorOf& x) {
  Descriptor tensor(cudnn, CUDNN_BACKEND_TENSOR_DESCRIPTOR);
  tensor.set(CUDNN_ATTR_TENSOR_UNIQUE_ID, x.uid)
      .set(CUDNN_ATTR_TENSOR_DATA_TYPE, type_of(x.dtype))
      .set(CUDNN_ATTR_TENSOR_DIMENSIONS, x.dimensions)
      .set(CUDNN_ATTR_TENSOR_STRIDES, x.strides)
      .set(CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT, x.alignment);
  if (x.kind == TensorOf::by_value) tensor.set(CUDNN_ATTR_TENSOR_IS_BY_VALUE, true);
  if (x.kind == TensorOf::between_operations) tensor.set(CUDNN_ATTR_TENSOR_IS_VIRTUAL, true);
  return tensor.finalize();
}

Descriptor operation_graph(const PlanTarget& target, std::span<const Descriptor> operations) {
  Descriptor graph(target.cudnn, CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR);
  if (target.handle) graph.set(CUDNN_ATTR_OPERATIONGRAPH_HANDLE, target.handle);
  return graph.set(CUDNN_ATTR_OPERATIONGRAPH_OPS, operations).finalize();
}

std::vector<EngineChoice> find_engines(const PlanTarget& target, const Descriptor& graph, bool f32) {
  std::vector<EngineChoice> choices;
  for (const cudnnBackendHeurMode_t mode : {CUDNN_HEUR_MODE_A, CUDNN_HEUR_MODE_FALLBACK}) {
    Descriptor heuristics(target.cudnn, CUDNN_BACKEND_ENGINEHEUR_DESCRIPTOR);
    heuristics.set(CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH, graph).set(CUDNN_ATTR_ENGINEHEUR_MODE, mode);
    if (target.properties) heuristics.set(CUDNN_ATTR_ENGINEHEUR_DEVICEPROP, *target.properties);
    if (cudnnStatus_t status; !heuristics.try_finalize(status)) continue;  // none for this graph
    for (const Descriptor& config :
         heuristics.get(CUDNN_ATTR_ENGINEHEUR_RESULTS, CUDNN_BACKEND_ENGINECFG_DESCRIPTOR, kMostProposals)) {
      const Descriptor engine =
          config.get(CUDNN_ATTR_ENGINECFG_ENGINE, CUDNN_BACKEND_ENGINE_DESCRIPTOR, 1).at(0);
      const auto notes = engine.get<cudnnBackendNumericalNote_t>(CUDNN_ATTR_ENGINE_NUMERICAL_NOTE,
                                                                 CUDNN_NUMERICAL_NOTE_TYPE_COUNT);
      if (std::ranges::any_of(notes, [&](auto note) { return refused(note, f32); })) continue;
      EngineChoice choice = {.engine = engine.get<int64_t>(CUDNN_ATTR_ENGINE_GLOBAL_INDEX, 1).at(0),
                             .workspace = config.get<int64_t>(CUDNN_ATTR_ENGINECFG_WORKSPACE_SIZE, 1).at(0),
                             .knobs = {}};
      for (const Descriptor& knob : config.get(CUDNN_ATTR_ENGINECFG_KNOB_CHOICES,
                                               CUDNN_BACKEND_KNOB_CHOICE_DESCRIPTOR, CUDNN_KNOB_TYPE_COUNTS))
        choice.knobs.emplace_back(knob.get<cudnnBackendKnobType_t>(CUDNN_ATTR_KNOB_CHOICE_KNOB_TYPE, 1).at(0),
                                  knob.get<int64_t>(CUDNN_ATTR_KNOB_CHOICE_KNOB_VALUE, 1).at(0));
      choices.push_back(std::move(choice));
    }
  }
  return choices;
}

std::optional<Descriptor> configure(const PlanTarget& target, const Descriptor& graph,
                                    const EngineChoice& choice, cudnnStatus_t& status) {
  Descriptor engine(target.cudnn, CUDNN_BACKEND_ENGINE_DESCRIPTOR);
  engine.set(CUDNN_ATTR_ENGINE_OPERATION_GRAPH, graph).set(CUDNN_ATTR_ENGINE_GLOBAL_INDEX, choice.engine);
  if (target.properties) engine.set(CUDNN_ATTR_ENGINE_DEVICEPROP, *target.properties);
  if (!engine.try_finalize(status)) return std::nullopt;

  std::vector<Descriptor> knobs;
  for (const auto& [type, value] : choice.knobs)
    knobs.push_back(Descriptor(target.cudnn, CUDNN_BACKEND_KNOB_CHOICE_DESCRIPTOR)
                        .set(CUDNN_ATTR_KNOB_CHOICE_KNOB_TYPE, type)
                        .set(CUDNN_ATTR_KNOB_CHOICE_KNOB_VALUE, value)
                        .finalize());
  Descriptor config(target.cudnn, CUDNN_BACKEND_ENGINECFG_DESCRIPTOR);
  config.set(CUDNN_ATTR_ENGINECFG_ENGINE, engine);
  if (!knobs.empty()) config.set(CUDNN_ATTR_ENGINECFG_KNOB_CHOICES, std::span<const Descriptor>(knobs));
  return config.try_finalize(status) ? std::optional(config) : std::nullopt;
}

std::optional<Plan> make_plan(const PlanTarget& target, const Descriptor& graph, const EngineChoice& choice,
                              cudnnStatus_t& status) {
  const auto config = configure(target, graph, choice, status);
  if (!config) return std::nullopt;
  Descriptor plan(target.cudnn, CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR);
  plan.set(CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG, *config);
  if (target.handle) plan.set(CUDNN_ATTR_EXECUTION_PLAN_HANDLE, target.handle);
  if (target.properties) plan.set(CUDNN_ATTR_EXECUTION_PLAN_DEVICEPROP, *target.properties);
  if (!plan.try_finalize(status)) return std::nullopt;
  return Plan{.descriptor = plan,
              .config = *config,
              .workspace = plan.get<int64_t>(CUDNN_ATTR_EXECUTION_PLAN_WORKSPACE_SIZE, 1).at(0)};
}

void execute(const PlanTarget& target, const Plan& plan, std::initializer_list<Binding> tensors,
             void* workspace) {
  std::vector<int64_t> uids;
  std::vector<void*> addresses;
  for (const Binding& tensor : tensors) {
    uids.push_back(tensor.uid);
    addresses.push_back(tensor.at);
  }
  Descriptor pack(target.cudnn, CUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR);
  pack.set(CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS, std::span<const int64_t>(uids))
      .set(CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS, std::span<void* const>(addresses))
      .set(CUDNN_ATTR_VARIANT_PACK_WORKSPACE, workspace)
      .finalize();
  target.cudnn.check(target.cudnn.execute(target.handle, plan.descriptor.get(), pack.get()),
                     "cudnnBackendExecute");
}

}  // namespace tstitch::cuda
