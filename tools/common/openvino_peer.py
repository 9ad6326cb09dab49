"""A PyTorch network as OpenVINO's CPU plugin runs it, static shapes: f32, bf16, or int8 after NNCF's post-training quantisation.

Needs `pip install openvino==2026.4.0 nncf==3.4.0`; no other tool does.
"""
import os
import tempfile

import numpy as np
import openvino
import torch
from openvino.frontend.pytorch.patch_model import __make_16bit_traceable as make_16bit_traceable


def compiled(model, inputs, dtype, threads, calibration=None):
    """A function that evaluates `model`, on `inputs` (tensors by position) or others of their shapes, and returns a NumPy array.

    model: in f32, or bf16 where f32 does not fit; it has no weights afterwards, which go by way of a file, so that no more than two
    copies are in memory. int8: weights, activations, convolutions and attention as NNCF's transformer preset chooses, its ranges found
    on `calibration` (a list of inputs) or `inputs` themselves; what is left runs in bf16."""
    if next(model.parameters()).dtype != torch.float32:
        make_16bit_traceable(model)
    with torch.no_grad():
        graph = openvino.convert_model(model, example_input=tuple(inputs), input=[tuple(value.shape) for value in inputs])
    def arrays_of(values):
        return [value.numpy() for value in values]

    samples = [arrays_of(values) for values in calibration or [inputs]]
    if dtype == "int8":
        import nncf
        graph = nncf.quantize(graph, nncf.Dataset(samples), model_type=nncf.ModelType.TRANSFORMER, subset_size=len(samples),
                              preset=nncf.QuantizationPreset.MIXED)
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "graph.xml")
        openvino.save_model(graph, path, compress_to_fp16=False)
        del graph
        for parameter in model.parameters():
            parameter.data = torch.empty(0)
        request = openvino.Core().compile_model(path, "CPU", {
            "INFERENCE_PRECISION_HINT": "f32" if dtype == "f32" else "bf16", "INFERENCE_NUM_THREADS": threads,
            "PERFORMANCE_HINT": "LATENCY", "NUM_STREAMS": 1, "ENABLE_CPU_PINNING": False}).create_infer_request()
    return lambda values=inputs: np.array(request.infer(arrays_of(values))[0])
