//! The kernels of `kernels.cu`.

use std::ffi::{CString, c_void};
use std::fmt;
use std::sync::{Mutex, PoisonError};

use tch::{Device, Kind, TchError, Tensor};

use super::driver::{Argument, Driver, Function};
use crate::layout::{channels_last, is_channels_last};
use crate::shim;

const SOURCE: &str = include_str!("kernels.cu");
/// As in the source.
const THREADS: u32 = 256;
/// The size of a pack, in bytes.
const PACK: i64 = 16;
/// Enough to hide the latency of memory, and few enough to add to the same sums. On an H200, 2 to 4 differ by
/// up to 4 %; 8 are slower, and so is 1 with large batches.
const BLOCKS_PER_MULTIPROCESSOR: u32 = 3;

/// The kernels of one device, for images of one format.
///
/// Images are `[images, channels, height, width]`, channels last in memory. All tensors of a call are on the
/// device, and those that are not images are of the format for parameters: 64-bit floats for images of these,
/// otherwise 32-bit floats.
pub(crate) struct Kernels {
    device: usize,
    kind: Kind,
    multiprocessors: u32,
    add_and_sum: Function,
    normalise_relu: Function,
    sum_gradient: Function,
    gradient_of_x: Function,
    add_affine_relu: Function,
}

impl fmt::Debug for Kernels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Kernels")
            .field("device", &self.device)
            .field("kind", &self.kind)
            .finish_non_exhaustive()
    }
}

/// Running mean and variance.
type RunningStatistics<'a> = [&'a Tensor; 2];

impl Kernels {
    /// The kernels of a CUDA device, which must be this thread's current one; `None` of another device. The
    /// first call for a device and format compiles them, in about a second.
    pub(crate) fn of(device: Device, kind: Kind) -> Result<Option<&'static Self>, TchError> {
        static ALL: Mutex<Vec<&'static Kernels>> = Mutex::new(Vec::new());
        let Device::Cuda(index) = device else {
            return Ok(None);
        };
        let mut all = ALL.lock().unwrap_or_else(PoisonError::into_inner);
        let is_it = |kernels: &&&Self| (kernels.device, kernels.kind) == (index, kind);
        if let Some(kernels) = all.iter().find(is_it) {
            return Ok(Some(kernels));
        }
        let kernels: &'static Self = Box::leak(Box::new(Self::compile(index, kind)?));
        all.push(kernels);
        Ok(Some(kernels))
    }

    fn compile(device: usize, kind: Kind) -> Result<Self, TchError> {
        let driver = Driver::get()?;
        let properties = driver.properties()?;
        if properties.device != device {
            return Err(misuse("its device is not this thread's current one"));
        }
        let format = match kind {
            Kind::BFloat16 => "BF16",
            Kind::Float => "FLOAT",
            Kind::Double => "DOUBLE",
            other => return Err(misuse(&format!("there is none for images of {other:?}"))),
        };
        let [major, minor] = properties.capability;
        let options = [
            format!("-D{format}"),
            format!("--gpu-architecture=sm_{major}{minor}"),
            "--std=c++17".to_owned(),
        ];
        let source = CString::new(SOURCE).expect("the source has no NUL");
        let cubin = driver.compile(&source, &options)?;
        let names = [
            c"add_and_sum",
            c"normalise_relu",
            c"sum_gradient",
            c"gradient_of_x",
            c"add_affine_relu",
        ];
        let [
            add_and_sum,
            normalise_relu,
            sum_gradient,
            gradient_of_x,
            add_affine_relu,
        ] = driver.load_functions(&cubin, names)?;
        Ok(Self {
            device,
            kind,
            multiprocessors: properties.multiprocessors,
            add_and_sum,
            normalise_relu,
            sum_gradient,
            gradient_of_x,
            add_affine_relu,
        })
    }

    /// `x + added`, or `x`, and `relu(batch_norm(…))` of it. Adds the sums over its pixels, and those of its
    /// squares, to `sums`, `[2, channels]`, and updates the running statistics.
    pub(crate) fn forward(
        &self,
        x: &Tensor,
        added: Option<&Tensor>,
        sums: &Tensor,
        parameters: [&Tensor; 2],
        [mean, var]: RunningStatistics<'_>,
    ) -> Result<(Tensor, Tensor), TchError> {
        let image = |tensor| Some(Part::Image(tensor));
        let [weight, bias] = parameters.map(Some).map(|it| it.map(Part::Vector));
        let running = [mean, var].map(|it| Some(Part::Vector(it)));
        let x = channels_last(x)?;
        let added = added.map(channels_last).transpose()?;
        let sum = match &added {
            None => x.shallow_clone(),
            Some(_) => x.f_empty_like()?,
        };
        let sums = Some(Part::Sums(sums));
        let arguments = [
            image(&x),
            added.as_ref().map(Part::Image),
            image(&sum),
            sums,
        ];
        self.launch(self.add_and_sum, &x, &arguments)?;
        let out = x.f_empty_like()?;
        let [mean, var] = running;
        let arguments = [image(&sum), sums, weight, bias, mean, var, image(&out)];
        self.launch(self.normalise_relu, &x, &arguments)?;
        Ok((sum, out))
    }

    /// The gradient with respect to the input `x` of batch norm, plus `skip`, from that with respect to the
    /// output of ReLU, which is overwritten. `sums` are those of the forward pass; those of the gradient are
    /// added to `gradient_sums`. Writes the gradients of the parameters.
    pub(crate) fn backward(
        &self,
        x: &Tensor,
        gradient: &Tensor,
        skip: Option<&Tensor>,
        [sums, gradient_sums]: [&Tensor; 2],
        parameters: [&Tensor; 2],
        parameter_gradients: [&Tensor; 2],
    ) -> Result<Tensor, TchError> {
        let gradient = channels_last(gradient)?;
        let skip = skip.map(channels_last).transpose()?;
        let image = |tensor| Some(Part::Image(tensor));
        let vector = |tensor| Some(Part::Vector(tensor));
        let [weight, bias] = parameters.map(vector);
        let [weight_gradient, bias_gradient] = parameter_gradients.map(vector);
        let [sums, gradient_sums] = [sums, gradient_sums].map(|it| Some(Part::Sums(it)));
        let (x_part, gradient_part) = (image(x), image(&gradient));
        let arguments = [x_part, gradient_part, sums, weight, bias, gradient_sums];
        self.launch(self.sum_gradient, x, &arguments)?;
        let skip = skip.as_ref().map(Part::Image);
        let arguments = [
            x_part,
            gradient_part,
            skip,
            sums,
            gradient_sums,
            weight,
            bias,
            weight_gradient,
            bias_gradient,
            gradient_part,
        ];
        self.launch(self.gradient_of_x, x, &arguments)?;
        Ok(gradient)
    }

    /// Adds `added` to `x` in place, and returns `relu(scale · x + shift)`.
    pub(crate) fn add_affine_relu(
        &self,
        x: &mut Tensor,
        added: Option<&Tensor>,
        [scale, shift]: [&Tensor; 2],
    ) -> Result<Tensor, TchError> {
        *x = channels_last(x)?;
        let added = added.map(channels_last).transpose()?;
        let out = x.f_empty_like()?;
        let arguments = [
            Some(Part::Image(x)),
            added.as_ref().map(Part::Image),
            Some(Part::Vector(scale)),
            Some(Part::Vector(shift)),
            Some(Part::Image(&out)),
        ];
        self.launch(self.add_affine_relu, x, &arguments)?;
        Ok(out)
    }

    /// Launches a kernel on images of the size of `image`, which all have its layout; `None` is a null
    /// pointer.
    fn launch(
        &self,
        function: Function,
        image: &Tensor,
        parts: &[Option<Part<'_>>],
    ) -> Result<(), TchError> {
        let size = image.size();
        let &[images, channels, height, width] = size.as_slice() else {
            return Err(misuse("images have four dimensions"));
        };
        let lanes = PACK / self.kind.elt_size_in_bytes() as i64;
        if channels % lanes != 0 {
            return Err(misuse(&format!("channels must be a multiple of {lanes}")));
        }
        let (rows, groups) = (images * height * width, channels / lanes);
        // So that the sum of a row's number and of the step to the next one is a 32-bit integer.
        if rows >= 1 << 30 {
            return Err(misuse("a batch has fewer than 2³⁰ pixels"));
        }
        let (rows, groups) = (rows as i32, groups as i32);
        let mut arguments = Vec::with_capacity(parts.len() + 2);
        for part in parts {
            arguments.push(Argument::Pointer(match part {
                None => std::ptr::null_mut(),
                Some(part) => self.pointer(*part, &size)?,
            }));
        }
        arguments.extend([rows, groups].map(Argument::Int));
        let (rows, groups) = (rows.unsigned_abs(), groups.unsigned_abs());
        let groups_per_block = groups.clamp(1, THREADS);
        let blocks = rows.div_ceil(THREADS / groups_per_block);
        let blocks = blocks.min(self.multiprocessors * BLOCKS_PER_MULTIPROCESSOR);
        let grid = [blocks, groups.div_ceil(groups_per_block)];
        let stream = shim::stream(self.device)?;
        #[expect(unsafe_code, reason = "a kernel is launched")]
        // SAFETY: `Part` checks that images and vectors have the sizes that the kernels of `kernels.cu`
        // access, and the callers pass the arguments that each of them takes. Libtorch reuses the memory of
        // a tensor that is dropped only for later work of the same stream.
        unsafe {
            Driver::get()?.launch(function, grid, THREADS, stream, &arguments)
        }
    }

    /// The address of a tensor that has the expected format and layout.
    fn pointer(&self, part: Part<'_>, size: &[i64]) -> Result<*mut c_void, TchError> {
        let parameters = match self.kind {
            Kind::Double => Kind::Double,
            _ => Kind::Float,
        };
        let (tensor, fits) = match part {
            Part::Image(it) => (
                it,
                it.kind() == self.kind && it.size() == size && is_channels_last(it)?,
            ),
            Part::Vector(it) => (it, it.kind() == parameters && it.size() == size[1..2]),
            Part::Sums(it) => (it, it.kind() == parameters && it.size() == [2, size[1]]),
        };
        let pointer = tensor.data_ptr();
        let aligned = pointer.addr() as i64 % PACK == 0;
        let fits = fits && (matches!(part, Part::Image(_)) || tensor.is_contiguous());
        if !fits || !aligned || tensor.device() != Device::Cuda(self.device) {
            let (kind, found) = (tensor.kind(), tensor.size());
            let what = format!("a tensor of {kind:?} and size {found:?} does not fit {size:?}");
            return Err(misuse(&what));
        }
        Ok(pointer)
    }
}

/// An argument of a kernel.
#[derive(Clone, Copy)]
enum Part<'a> {
    Image(&'a Tensor),
    /// A number for each channel.
    Vector(&'a Tensor),
    /// Two numbers for each channel, `[2, channels]`.
    Sums(&'a Tensor),
}

fn misuse(what: &str) -> TchError {
    TchError::Torch(format!("a kernel cannot be launched: {what}"))
}
