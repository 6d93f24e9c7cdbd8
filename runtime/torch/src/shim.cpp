// Functions of libtorch that tch does not bind, with a C interface.
//
// A tensor argument points to an `at::Tensor` that the caller keeps alive during the call; only `bias`
// may be null. A tensor result is a new `at::Tensor` that the caller deletes, as `at_free` of torch-sys
// does. Every function returns null on success, and otherwise an error message, which the caller
// releases with `faa_free`. No exception leaves a function.
//
// Nothing here links against CUDA: streams are set through the interface that libtorch_cuda registers
// when it is loaded, and the functions of its graphs are looked up by name.

#include <ATen/ATen.h>
#include <ATen/Context.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <c10/core/impl/VirtualGuardImpl.h>

#include <dlfcn.h>
#ifdef __GLIBC__
#include <malloc.h>
#endif

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <memory>
#include <mutex>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>

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

// The methods of `at::cuda::CUDAGraph` of libtorch 2.11, whose header needs those of CUDA. They are called as
// functions whose first argument is the object, as the ABI of x86-64 and AArch64 permits.
struct GraphMethods {
    using Pool = std::pair<unsigned long long, unsigned long long>;
    void (*construct)(void*, bool);
    void (*destroy)(void*);
    void (*capture_begin)(void*, Pool, int);
    void (*capture_end)(void*);
    void (*replay)(void*);

    static const GraphMethods& get() {
        static const GraphMethods methods = {
            find<void (*)(void*, bool)>("_ZN2at4cuda9CUDAGraphC1Eb"),
            find<void (*)(void*)>("_ZN2at4cuda9CUDAGraphD1Ev"),
            find<void (*)(void*, Pool, int)>(
                "_ZN2at4cuda9CUDAGraph13capture_beginESt4pairIyyE21cudaStreamCaptureMode"),
            find<void (*)(void*)>("_ZN2at4cuda9CUDAGraph11capture_endEv"),
            find<void (*)(void*)>("_ZN2at4cuda9CUDAGraph6replayEv"),
        };
        return methods;
    }

  private:
    template <typename Function>
    static Function find(const char* name) {
        void* function = dlsym(RTLD_DEFAULT, name);
        if (!function) throw std::runtime_error(std::string("libtorch_cuda has no ") + name);
        return reinterpret_cast<Function>(function);
    }
};

// Every graph registers itself with the device's random generator, which all threads share and libtorch does
// not lock.
std::mutex generator_of_graphs;

class Graph {
  public:
    Graph() : methods_(GraphMethods::get()) {
        methods_.construct(object_, false);
    }
    Graph(const Graph&) = delete;
    ~Graph() {
        const std::lock_guard lock(generator_of_graphs);
        methods_.destroy(object_);
    }
    void begin() {
        const std::lock_guard lock(generator_of_graphs);
        // The pool {0, 0} stands for a new one. Other threads may allocate memory meanwhile:
        // cudaStreamCaptureModeThreadLocal.
        methods_.capture_begin(object_, {0, 0}, 1);
    }
    void end() {
        const std::lock_guard lock(generator_of_graphs);
        methods_.capture_end(object_);
    }
    void replay() {
        methods_.replay(object_);
    }

  private:
    const GraphMethods& methods_;
    // Several times the size of a `CUDAGraph`.
    alignas(std::max_align_t) char object_[4096];
};

}  // namespace

extern "C" {

void faa_free(char* message) {
    if (message != no_memory) free(message);
}

// Sets glibc's parameters of `malloc`, except those that the environment sets. The values of
// `mallopt` have no other type than int.
void faa_keep_memory() {
#ifdef __GLIBC__
    const auto set = [](const char* variable, int parameter, int value) {
        if (!std::getenv(variable)) mallopt(parameter, value);
    };
    const auto threads = static_cast<int>(std::min(std::thread::hardware_concurrency(), 512u));
    set("MALLOC_ARENA_MAX", M_ARENA_MAX, threads + 1);
    set("MALLOC_MMAP_MAX_", M_MMAP_MAX, 0);
    set("MALLOC_TRIM_THRESHOLD_", M_TRIM_THRESHOLD, 1 << 30);
#endif
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
// place. The learning rate is a tensor, so that a captured step can be replayed with a different one.
char* faa_fused_sgd(at::Tensor* weights, at::Tensor* gradient, at::Tensor* momentum_buffer,
                    double momentum, double weight_decay, at::Tensor* learning_rate) {
    return catch_exceptions([&] {
        at::_fused_sgd_({*weights}, {*gradient}, {*momentum_buffer}, weight_decay, momentum,
                        *learning_rate, /*dampening=*/0, /*nesterov=*/true, /*maximize=*/false,
                        /*is_first_step=*/false, std::nullopt, std::nullopt);
    });
}

// The gradients of a convolution without bias with respect to `x`, where `x_gradient` is not null, and
// to its weights, where `weight_gradient` is not null.
char* faa_convolution_backward(at::Tensor** x_gradient, at::Tensor** weight_gradient,
                               at::Tensor* gradient, at::Tensor* x, at::Tensor* weight,
                               int64_t stride, int64_t padding) {
    return catch_exceptions([&] {
        const std::array<bool, 3> wanted = {x_gradient != nullptr, weight_gradient != nullptr, false};
        auto [dx, dw, _] = at::convolution_backward(
            *gradient, *x, *weight, std::nullopt, {stride, stride}, {padding, padding}, {1, 1},
            /*transposed=*/false, {0, 0}, /*groups=*/1, wanted);
        if (x_gradient) *x_gradient = new at::Tensor(std::move(dx));
        if (weight_gradient) *weight_gradient = new at::Tensor(std::move(dw));
    });
}

// Copies to a tensor of the same size, without waiting for the device if the source is pinned.
char* faa_copy(at::Tensor* target, at::Tensor* source) {
    return catch_exceptions([&] {
        target->copy_(*source, /*non_blocking=*/true);
    });
}

// The handle of this thread's current stream: a `cudaStream_t`.
char* faa_stream(void** out, int64_t device) {
    return catch_exceptions([&] {
        const c10::impl::VirtualGuardImpl cuda(at::kCUDA);
        *out = cuda.getStream(at::Device(at::kCUDA, static_cast<c10::DeviceIndex>(device)))
                   .native_handle();
    });
}

// Starts to record the work of this thread's current stream into a new graph, instead of doing it.
char* faa_graph_begin(Graph** out) {
    return catch_exceptions([&] {
        auto graph = std::make_unique<Graph>();
        graph->begin();
        *out = graph.release();
    });
}

char* faa_graph_end(Graph* graph) {
    return catch_exceptions([&] { graph->end(); });
}

char* faa_graph_replay(Graph* graph) {
    return catch_exceptions([&] { graph->replay(); });
}

char* faa_graph_delete(Graph* graph) {
    return catch_exceptions([&] { delete graph; });
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
// with that of other threads.
char* faa_set_stream(int64_t device) {
    return catch_exceptions([&] {
        const c10::impl::VirtualGuardImpl cuda(at::kCUDA);
        const at::Device target(at::kCUDA, static_cast<c10::DeviceIndex>(device));
        cuda.setDevice(target);
        cuda.exchangeStream(cuda.getStreamFromGlobalPool(target));
    });
}
}
