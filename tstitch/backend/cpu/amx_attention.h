// Attention as in isa/attention.inl, with both products on AMX tiles.
#pragma once

#include "tstitch/backend/cpu/kernels.h"

namespace tstitch::cpu {

constexpr int64_t kAmxQueries = 256;  // most queries at once

int64_t amx_attention_scratch_bytes(int64_t d);

// One head for the queries begin..end; the job is bf16, scratch aligned to 64 bytes.
void amx_attention(bool emulated, const Kernels& kernels, const AttentionJob& job, int64_t head,
                   int64_t begin, int64_t end, void* scratch);

}  // namespace tstitch::cpu
