"""Which names of TensorRT's Python module the backend calls, and which versions have them.

`trt_api.json` lists, for each version, the members of the classes below as its own binding lists
them. To renew it, once for each version:

    python -m tests.backends.trt_api tensorrt_bindings >> trt_api.json

The bindings need three libraries to be imported; empty ones with the names that they look for
will do, for a class is described without being used.
"""

from __future__ import annotations

import importlib
import json
import sys

# What forensics/backends/trt*.py calls, by class; "" is the module itself.
CALLED: dict[str, set[str]] = {
    "": {
        "Builder",
        "BuilderFlag",
        "ILogger",
        "IProgressMonitor",
        "NetworkDefinitionCreationFlag",
        "OnnxParser",
        "Runtime",
        "TensorIOMode",
        "float32",
    },
    "Builder": {
        "build_serialized_network",
        "create_builder_config",
        "create_network",
        "create_optimization_profile",
    },
    "BuilderFlag": {"TF32"},
    "IBuilderConfig": {
        "add_optimization_profile",
        "clear_flag",
        "create_timing_cache",
        "progress_monitor",
        "set_timing_cache",
    },
    "ICudaEngine": {
        "create_execution_context",
        "get_tensor_dtype",
        "get_tensor_mode",
        "get_tensor_name",
        "num_io_tensors",
    },
    "IExecutionContext": {
        "execute_async_v3",
        "get_tensor_shape",
        "set_input_shape",
        "set_optimization_profile_async",
        "set_tensor_address",
    },
    "ILogger": {"ERROR", "INTERNAL_ERROR", "WARNING", "log"},
    "INetworkDefinition": {"get_output", "num_inputs", "num_outputs", "unmark_output"},
    "IOptimizationProfile": {"set_shape"},
    "IProgressMonitor": {"phase_finish", "phase_start", "step_complete"},
    "ITimingCache": {"serialize"},
    "NetworkDefinitionCreationFlag": {"STRONGLY_TYPED"},
    "OnnxParser": {"get_error", "num_errors", "parse"},
    "ParserError": {"desc"},
    "Runtime": {"deserialize_cuda_engine"},
    "TensorIOMode": {"OUTPUT"},
}
# Called of TensorRT-RTX only.
CALLED_OF_RTX: dict[str, set[str]] = {
    "": {"ComputeCapability", "DynamicShapesKernelSpecializationStrategy"},
    "ComputeCapability": {"SM75", "SM80", "SM86", "SM89", "SM120"},
    "DynamicShapesKernelSpecializationStrategy": {"EAGER"},
    "IBuilderConfig": {"num_compute_capabilities", "set_compute_capability"},
    "ICudaEngine": {"create_runtime_config"},
    "IExecutionContext": {"is_stream_capturable"},
    "IRuntimeCache": {"deserialize", "serialize"},
    "IRuntimeConfig": {
        "create_runtime_cache",
        "dynamic_shapes_kernel_specialization_strategy",
        "set_runtime_cache",
    },
}


def members(module: str) -> dict[str, list[str]]:
    """Public members of each class in `CALLED` that `module` has, and of the module itself."""
    trt = importlib.import_module(module)
    found = {}
    for name in CALLED:
        owner = getattr(trt, name, None) if name else trt
        if owner is not None:
            found[name] = sorted(member for member in dir(owner) if not member.startswith("_"))
    return found


if __name__ == "__main__":
    chosen = importlib.import_module(sys.argv[1])
    print(json.dumps({chosen.__version__: members(sys.argv[1])}))
