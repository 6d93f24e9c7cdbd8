// Functions of libtorch that tch does not bind, with a C interface.
//
// A tensor argument points to an `at::Tensor` that the caller keeps alive during the call; only `bias`
// may be null. A tensor result is a new `at::Tensor` that the caller deletes, as `at_free` of torch-sys
// does. Every function returns null on success, and otherwise an error message, which the caller
// releases with `faa_free`. No exception leaves a function.
//
// Nothing here links against CUDA: streams are set through the interface that libtorch_cuda registers
// when it is loaded.

#include <ATen/ATen.h>
#include <ATen/Context.h>
#include <ATen/autocast_mode.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <c10/core/AutogradState.h>
#include <c10/core/impl/VirtualGuardImpl.h>

#include <cstdlib>
#include <cstring>
#include <exception>
#include <optional>

namespace {

// Returned if there is no memory for a copy of the message.
char no_memory[] = "out of memory";

char* copy_of(const char* message) {
    char* copy = strdup(message);
    return copy ? copy : no_memory;
}

template <typename Work>
char* catch_exceptions(Work work) {
    try {
        work();
        return nullptr;
    } catch (const std::exception& error) {
        return copy_of(error.what());
    } catch (...) {
        return copy_of("an unknown C++ exception");
    }
}

using Scalars = c10::List<std::optional<at::Scalar>>;
using OptionalString = std::optional<std::string_view>;

at::Tensor convolution(const at::Tensor& x, const at::Tensor& weight,
                       const std::optional<at::Tensor>& bias, int64_t stride, int64_t padding,
                       bool relu) {
    using Function = at::Tensor(const at::Tensor&, const at::Tensor&,
                                const std::optional<at::Tensor>&, at::IntArrayRef, at::IntArrayRef,
                                at::IntArrayRef, int64_t, std::string_view, Scalars, OptionalString);
    static const auto function = c10::Dispatcher::singleton()
                                     .findSchemaOrThrow("mkldnn::_convolution_pointwise", "")
                                     .typed<Function>();
    const int64_t paddings[] = {padding, padding}, strides[] = {stride, stride}, ones[] = {1, 1};
    return function.call(x, weight, bias, paddings, strides, ones, 1, relu ? "relu" : "none",
                         Scalars(), OptionalString(""));
}

void convolution_add(at::Tensor& sum, const at::Tensor& x, const at::Tensor& weight,
                     int64_t padding) {
    using Function = at::Tensor&(at::Tensor&, const at::Tensor&, const at::Tensor&,
                                 const std::optional<at::Tensor>&, at::IntArrayRef, at::IntArrayRef,
                                 at::IntArrayRef, int64_t, std::string_view,
                                 std::optional<at::Scalar>, OptionalString, Scalars,
                                 OptionalString);
    static const auto function = c10::Dispatcher::singleton()
                                     .findSchemaOrThrow("mkldnn::_convolution_pointwise_", "binary")
                                     .typed<Function>();
    const int64_t paddings[] = {padding, padding}, ones[] = {1, 1};
    function.call(sum, x, weight, std::nullopt, paddings, ones, ones, 1, "add", at::Scalar(1.0),
                  std::nullopt, Scalars(), std::nullopt);
}

}  // namespace

extern "C" {

void faa_free(char* message) {
    if (message != no_memory) free(message);
}

// oneDNN's convolution, fused with bias and ReLU. `bias` may be null.
char* faa_convolution(at::Tensor** out, at::Tensor* x, at::Tensor* weight, at::Tensor* bias,
                      int64_t stride, int64_t padding, bool relu) {
    return catch_exceptions([&] {
        const auto optional_bias = bias ? std::make_optional(*bias) : std::nullopt;
        *out = new at::Tensor(convolution(*x, *weight, optional_bias, stride, padding, relu));
    });
}

// oneDNN's convolution, added to `sum` in place.
char* faa_convolution_add(at::Tensor* sum, at::Tensor* x, at::Tensor* weight, int64_t padding) {
    return catch_exceptions([&] { convolution_add(*sum, *x, *weight, padding); });
}

// A step of SGD with Nesterov momentum as one kernel, which updates weights and momentum buffer in
// place.
char* faa_fused_sgd(at::Tensor* weights, at::Tensor* gradient, at::Tensor* momentum_buffer,
                    double momentum, double weight_decay, double learning_rate) {
    return catch_exceptions([&] {
        at::NoGradGuard no_grad;
        at::_fused_sgd_({*weights}, {*gradient}, {*momentum_buffer}, weight_decay, momentum,
                        learning_rate, /*dampening=*/0, /*nesterov=*/true, /*maximize=*/false,
                        /*is_first_step=*/false, std::nullopt, std::nullopt);
    });
}

// Turns autocast to bf16 on or off, for this thread's convolutions and linear layers.
char* faa_autocast_bf16(bool cuda, bool on) {
    return catch_exceptions([&] {
        const auto device = cuda ? at::kCUDA : at::kCPU;
        if (on) {
            at::autocast::set_autocast_dtype(device, at::kBFloat16);
            at::autocast::set_autocast_cache_enabled(true);
        } else {
            // The converted weights in the cache are outdated after the next step.
            at::autocast::clear_cache();
        }
        at::autocast::set_autocast_enabled(device, on);
    });
}

// Makes float32 convolutions on CUDA compute in full precision instead of TF32, in the whole process.
char* faa_disable_tf32() {
    return catch_exceptions([] { at::globalContext().setAllowTF32CuDNN(false); });
}

// A new, uninitialised tensor of bytes or 64-bit integers in pinned memory, which a GPU can copy
// asynchronously.
char* faa_pinned(at::Tensor** out, const int64_t* size, int64_t dimensions, bool bytes) {
    return catch_exceptions([&] {
        const auto kind = at::dtype(bytes ? at::kByte : at::kLong).pinned_memory(true);
        *out = new at::Tensor(at::empty(at::IntArrayRef(size, dimensions), kind));
    });
}

// Makes a stream of the device's pool this thread's current one, so that its work runs concurrently
// with that of other threads. Backward passes then run on this thread, too, instead of the single
// thread that libtorch has per device.
char* faa_set_stream(int64_t device) {
    return catch_exceptions([&] {
        const c10::impl::VirtualGuardImpl cuda(at::kCUDA);
        const at::Device target(at::kCUDA, static_cast<c10::DeviceIndex>(device));
        cuda.setDevice(target);
        cuda.exchangeStream(cuda.getStreamFromGlobalPool(target));
        c10::AutogradState::get_tls_state().set_multithreading_enabled(false);
    });
}
}
