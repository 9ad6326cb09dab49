// Attention as in isa/attention.inl, with both products on AMX tiles.
#pragma once

#include "tstitch/backend/cpu/kernels.h"

namespace tstitch::cpu {

constexpr int64_t kAmxQueries = 256;  // most queries at once
constexpr int64_t kAmxKeys = 256;     // a block of keys

// As Kernels::pack_keys and ::attention; the job is bf16.
int64_t amx_attention_panel_bytes(int64_t d, int64_t S);
void amx_pack_keys(const AttentionJob& job, int64_t head, int64_t s0, void* panels);
int64_t amx_attention_scratch_bytes(int64_t d);
void amx_attention(bool emulated, const Kernels& kernels, const AttentionJob& job, int64_t head,
                   int64_t begin, int64_t end, const void* panels, void* scratch);

}  // namespace tstitch::cpu
