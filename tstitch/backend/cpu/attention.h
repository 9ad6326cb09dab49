// Attention over images and heads, shared out to threads.
#pragma once

#include "tstitch/backend/cpu/isa.h"
#include "tstitch/base/function_ref.h"

namespace tstitch::cpu {

// softmax(q k^T / sqrt(d)) v of every image and head, where job_of(n) has everything of image n. All jobs are
// of one type and one d, and have T queries.
void attend(const Isa& isa, int threads, int64_t images, int64_t heads, int64_t T,
            FunctionRef<AttentionJob(int64_t n)> job_of);

// The same where query t sees the keys 0 ... t. Made for texts of some hundred tokens: every row is an
// attention of its own, by the vector kernels.
void attend_causally(const Isa& isa, int threads, int64_t images, int64_t heads, int64_t T,
                     FunctionRef<AttentionJob(int64_t n)> job_of);

}  // namespace tstitch::cpu
