// What tch has no functions for, with a C interface. Every function returns null, or a message that
// the caller gives back to `faa_free`. Nothing here links against CUDA: streams are reached through
// the interface that libtorch's CUDA half registers when it is loaded.

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

// What is told where there is no room for a message.
char no_memory[] = "out of memory";

char* copy_of(const char* message) {
    char* copy = strdup(message);
    return copy ? copy : no_memory;
}

template <typename Work>
char* guarded(Work work) {
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
using Word = std::optional<std::string_view>;

at::Tensor convolution(const at::Tensor& x, const at::Tensor& weight,
                       const std::optional<at::Tensor>& bias, int64_t stride, int64_t padding,
                       bool relu) {
    using Function = at::Tensor(const at::Tensor&, const at::Tensor&,
                                const std::optional<at::Tensor>&, at::IntArrayRef, at::IntArrayRef,
                                at::IntArrayRef, int64_t, std::string_view, Scalars, Word);
    static const auto function = c10::Dispatcher::singleton()
                                     .findSchemaOrThrow("mkldnn::_convolution_pointwise", "")
                                     .typed<Function>();
    const int64_t paddings[] = {padding, padding}, strides[] = {stride, stride}, ones[] = {1, 1};
    return function.call(x, weight, bias, paddings, strides, ones, 1, relu ? "relu" : "none",
                         Scalars(), Word(""));
}

void convolution_add(at::Tensor& sum, const at::Tensor& x, const at::Tensor& weight,
                     int64_t padding) {
    using Function = at::Tensor&(at::Tensor&, const at::Tensor&, const at::Tensor&,
                                 const std::optional<at::Tensor>&, at::IntArrayRef, at::IntArrayRef,
                                 at::IntArrayRef, int64_t, std::string_view,
                                 std::optional<at::Scalar>, Word, Scalars, Word);
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

// oneDNN's convolution with bias and ReLU in the same pass. `bias` may be null.
char* faa_convolution(at::Tensor** out, at::Tensor* x, at::Tensor* weight, at::Tensor* bias,
                      int64_t stride, int64_t padding, bool relu) {
    return guarded([&] {
        std::optional<at::Tensor> shift;
        if (bias) shift = *bias;
        *out = new at::Tensor(convolution(*x, *weight, shift, stride, padding, relu));
    });
}

// oneDNN's convolution, added to `sum` in the same pass.
char* faa_convolution_add(at::Tensor* sum, at::Tensor* x, at::Tensor* weight, int64_t padding) {
    return guarded([&] { convolution_add(*sum, *x, *weight, padding); });
}

// Nesterov's step in one kernel; the momentum is updated in place.
char* faa_fused_sgd(at::Tensor* weights, at::Tensor* gradient, at::Tensor* momentum, double factor,
                    double weight_decay, double learning_rate) {
    return guarded([&] {
        at::NoGradGuard no_grad;
        at::_fused_sgd_({*weights}, {*gradient}, {*momentum}, weight_decay, factor, learning_rate,
                        /*dampening=*/0, /*nesterov=*/true, /*maximize=*/false,
                        /*is_first_step=*/false, std::nullopt, std::nullopt);
    });
}

// From now on, this thread's convolutions and linear layers calculate in bf16, or no longer.
char* faa_autocast_bf16(bool cuda, bool on) {
    return guarded([&] {
        const auto device = cuda ? at::kCUDA : at::kCPU;
        if (on) {
            at::autocast::set_autocast_dtype(device, at::kBFloat16);
            at::autocast::set_autocast_cache_enabled(true);
        } else {
            // Weights that were converted for one step are old in the next.
            at::autocast::clear_cache();
        }
        at::autocast::set_autocast_enabled(device, on);
    });
}

// Convolutions of 32-bit floats on CUDA calculate with all of their bits, not in TF32.
char* faa_disable_tf32() {
    return guarded([] { at::globalContext().setAllowTF32CuDNN(false); });
}

// A new tensor in pinned memory, from which a GPU copies beside everything else.
char* faa_pinned(at::Tensor** out, const int64_t* size, int64_t dimensions, bool bytes) {
    return guarded([&] {
        const auto kind = at::dtype(bytes ? at::kByte : at::kLong).pinned_memory(true);
        *out = new at::Tensor(at::empty(at::IntArrayRef(size, dimensions), kind));
    });
}

// Gives this thread a stream of its own, so that its work runs beside that of other threads. Its
// backward passes then run on it, too, and not on the one thread that libtorch has for a device.
char* faa_own_stream(int64_t device) {
    return guarded([&] {
        const c10::impl::VirtualGuardImpl cuda(at::kCUDA);
        const at::Device place(at::kCUDA, static_cast<c10::DeviceIndex>(device));
        cuda.setDevice(place);
        cuda.exchangeStream(cuda.getStreamFromGlobalPool(place));
        c10::AutogradState::get_tls_state().set_multithreading_enabled(false);
    });
}
}
