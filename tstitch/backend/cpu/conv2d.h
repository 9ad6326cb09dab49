// Convolutions. A strip of rows of the input is normalised, activated and surrounded by zeros in memory of
// the thread, small enough for its caches; its products with the panels of the weight need no other copy. Of
// 8-bit weights the strip holds 8-bit numbers, too.
#pragma once

#include "tstitch/backend/backend.h"
#include "tstitch/backend/cpu/int8.h"
#include "tstitch/backend/cpu/isa.h"

namespace tstitch::cpu {

class Conv2d : public PackedConv2d {
 public:
  int64_t inputs() const override { return inputs_; }
  int64_t outputs() const override { return outputs_; }
  Extent2d kernel() const override { return kernel_; }
  int64_t bytes() const override {
    return panels_.elements() * size_of(dtype_) + bias_.elements() * 4 + int8_.bytes();
  }

  // out (N, rows wanted, W', M) = the convolution, or with what is there by the epilogue `act`.
  void run(Tensor& out, const Tensor& x, const Conv2dPath& path, Epilogue act, int threads) const;

 protected:
  // w: (M, C, kh, kw) of the type to compute with, or the values of `int8`; inputs are padded with zeros to a
  // multiple of `input_multiple`.
  Conv2d(const Kernels& kernels, const Tensor& w, const Tensor& b, const Int8Weight& int8,
         int64_t panel_columns, int64_t input_multiple);

  // The rows (outputs) of w as (M, kh kw C'), C' the padded inputs.
  Tensor as_matrix(const Tensor& w, int threads) const;
  // Output pixels begin..end of one panel.
  virtual void multiply(const ConvJob& job, int64_t panel, int64_t begin, int64_t end) const = 0;

  const Kernels& kernels_;
  DType dtype_;
  int64_t inputs_, outputs_;
  Extent2d kernel_;
  int64_t padded_inputs_, panel_columns_;
  int64_t block_pixels_ = 1;  // of a row of the output that multiply() may read together, past its end
  Tensor panels_;             // (panels, elements of a panel)
  Tensor bias_;               // whole panels

 private:
  // Where a thread puts rows of the padded input.
  struct Strip {
    std::byte* to;
    int64_t pixel, columns;  // elements from pixel to pixel, pixels of a row
    // Of int8: that of the picture; or for each pixel its own, and memory for a row of f32 on the way there.
    Uint8Range range = {};
    float* scales = nullptr;
    int32_t* zeros = nullptr;
    float* row = nullptr;
  };
  // What is asked for, and what follows from it.
  struct Call {
    Tensor& out;
    const Tensor& x;
    const Conv2dPath& path;
    Epilogue act;
    int threads;
    Tensor biases;                      // the bias, or for each image one
    int64_t pixel = 0, columns = 0;     // of strips
    int64_t row_bytes = 0, beyond = 0;  // of strips, and what may be read behind one
    bool by_pixel = false;              // int8 with a range of each pixel
    Uint8Range* ranges = nullptr;       // or of each image
  };
  // Whole images, as many as the cache holds beside each other: threads fill their strips together, then
  // share out the panels, so that weights are read once for all of them.
  void run_images(const Call& call) const;
  // Strips of larger ones, each by one thread.
  void run_strips(const Call& call) const;
  // Of a strip for `rows` rows of the output.
  int64_t strip_bytes(const Call& call, int64_t rows) const;
  // The product of a strip that makes the output of image n from row `begin` on.
  ConvJob job_of(const Call& call, const Strip& strip, int64_t n, int64_t begin) const;
  // Rows first ... first + rows of the padded input of image n.
  void fill(const Strip& strip, const Tensor& x, int64_t n, int64_t first, int64_t rows,
            const Conv2dPath& path) const;
  // What all numbers that are read of each image lie in: ranges (N).
  void find_ranges(const Tensor& x, const Conv2dPath& path, int threads, Uint8Range* ranges) const;

  Int8Columns int8_;
};

// w: f32, bf16, or the values of `int8`.
std::unique_ptr<Conv2d> make_conv2d(const Isa& isa, int threads, const Tensor& w, const Tensor& b,
                                    const Int8Weight& int8 = {});

}  // namespace tstitch::cpu
