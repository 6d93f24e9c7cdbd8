//! Chooses the device, and loads libtorch's CUDA library if it is installed.

use std::error::Error;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use faa_search::device::DeviceName;
use libloading::os::unix::{Library, RTLD_GLOBAL, RTLD_NOW};
use tch::{Cuda, Device, Kind, TchError, Tensor};

use crate::shim;

/// The library that holds libtorch's CUDA kernels.
const CUDA_LIBRARY: &str = "libtorch_cuda.so";

/// Libtorch's CUDA library: the number of devices if it is loaded, 0 without a driver, and otherwise the
/// reason why it is not, for people.
#[derive(Debug)]
pub struct CudaSupport(Result<usize, String>);

/// The requested device is not available.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no device `{wanted}`: {why}; `--device cpu` works everywhere")]
pub struct DeviceError {
    kind: DeviceErrorKind,
    wanted: DeviceName,
    why: String,
}

/// Why a device is not available.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DeviceErrorKind {
    /// The libtorch in use has no CUDA, or it cannot be loaded.
    NoCuda,
    /// There is no driver, or no device of this number.
    NoDevice,
}

impl DeviceError {
    /// Why the device is not available.
    pub fn kind(&self) -> DeviceErrorKind {
        self.kind
    }
}

impl CudaSupport {
    /// Loads libtorch's CUDA library, if it is in the folder of the libtorch in use.
    ///
    /// To be called before any other use of CUDA through libtorch, which looks only once for the
    /// functions that the library registers. The program is not linked against it, so that the same
    /// program works with and without CUDA.
    pub fn load() -> Self {
        Self(load_library())
    }

    /// The device of a name.
    ///
    /// # Errors
    ///
    /// [`DeviceError`] if there is no such device.
    pub fn choose(&self, name: DeviceName) -> Result<Device, DeviceError> {
        match name {
            DeviceName::Auto if self.devices() > 0 => Ok(Device::Cuda(0)),
            DeviceName::Auto | DeviceName::Cpu => Ok(Device::Cpu),
            DeviceName::Cuda(index) if index < self.devices() => Ok(Device::Cuda(index)),
            _ => Err(DeviceError {
                kind: match self.0 {
                    Ok(_) => DeviceErrorKind::NoDevice,
                    Err(_) => DeviceErrorKind::NoCuda,
                },
                wanted: name,
                why: self.to_string(),
            }),
        }
    }

    /// The number of available CUDA devices.
    pub fn devices(&self) -> usize {
        *self.0.as_ref().unwrap_or(&0)
    }
}

impl fmt::Display for CudaSupport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Ok(0) => f.write_str("libtorch has CUDA, but finds no driver or no device"),
            Ok(devices) => write!(f, "libtorch has CUDA and finds {devices} device(s)"),
            Err(reason) => write!(f, "this libtorch has no CUDA ({reason})"),
        }
    }
}

fn load_library() -> Result<usize, String> {
    let library = beside_libtorch(CUDA_LIBRARY);
    let library = library.ok_or("the libtorch in use cannot be located")?;
    if !library.exists() {
        return Err(format!("there is no {}", library.display()));
    }
    // SAFETY: The library is in the folder of the libtorch_cpu.so that this process has loaded,
    // and an installation's libraries are of one build, so its initialisers find the libtorch
    // that they were made for. It is never unloaded, so no finaliser runs early.
    #[expect(unsafe_code, reason = "loading a library runs its initialisers")]
    let library = unsafe { Library::open(Some(library), RTLD_NOW | RTLD_GLOBAL) };
    // Never unloaded, since libtorch keeps pointers into it.
    std::mem::forget(library.map_err(|error| root_cause(&error))?);
    Ok(usize::try_from(Cuda::device_count()).unwrap_or(0))
}

/// Configures CUDA for this process: float32 convolutions do not use TF32, which would round their factors
/// to eleven bits. cuDNN's choice of algorithms stays that of its heuristics; trying them all out gained
/// nothing on an H200, and took most of the first epoch.
///
/// To be called before a backend is created: libtorch does not synchronise these settings between
/// threads.
///
/// # Errors
///
/// Those of libtorch.
pub fn prepare_cuda() -> Result<(), TchError> {
    shim::disable_tf32()
}

/// Whether the CPU scores candidates faster in bf16 than in float32, as far as it was measured: with Intel's
/// AMX about three times, and with AMD's AVX512-BF16 1.8 times (WRN-16-2). Known from the processor rather than
/// measured when a run starts, since a run that continues must compute as it began.
pub(crate) fn multiplies_bf16_fast() -> bool {
    let (vendor, flags) = (cpu_info("vendor_id"), cpu_info("flags"));
    let has = |wanted| flags.split_whitespace().any(|flag| flag == wanted);
    has("amx_bf16") || (vendor == "AuthenticAMD" && has("avx512_bf16"))
}

/// The processor's name.
pub fn processor() -> String {
    match cpu_info("model name") {
        name if name.is_empty() => "unknown".to_owned(),
        name => name,
    }
}

/// The value of a key in Linux's description of the first processor; empty on other systems.
fn cpu_info(key: &str) -> String {
    let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let line = info.lines().find(|line| line.starts_with(key));
    let value = line.and_then(|line| line.split_once(':'));
    value.map_or_else(String::new, |(_, value)| value.trim().to_owned())
}

/// Whether this CPU can compute in bf16: oneDNN needs AVX-512 or AVX-NE-CONVERT for that. oneDNN itself
/// is asked, by a small convolution.
pub fn cpu_has_bf16() -> bool {
    let convolution = || {
        let options = (Kind::BFloat16, Device::Cpu);
        let image = Tensor::f_zeros([1, 16, 4, 4], options)?;
        let weight = Tensor::f_zeros([16, 16, 1, 1], options)?;
        shim::convolution(&image, &weight, None, [1, 0], false)
    };
    convolution().is_ok()
}

/// Sets libtorch to one thread for calls from this thread. Threads of this crate divide the images among them, rather
/// than each operation: they then wait for each other less often.
pub(crate) fn use_one_thread() {
    // A thread's first query makes libtorch adopt the count that any thread has set last, which
    // would undo a setting made before it.
    let _ = tch::get_num_threads();
    tch::set_num_threads(1);
}

/// The name of a device on the command line.
pub fn name(device: Device) -> String {
    match device {
        Device::Cuda(index) => DeviceName::Cuda(index),
        _ => DeviceName::Cpu,
    }
    .to_string()
}

/// The path of a file in the folder from which this process has loaded libtorch.
pub(crate) fn beside_libtorch(name: &str) -> Option<PathBuf> {
    let maps = fs::read_to_string("/proc/self/maps").ok()?;
    let libtorch = maps
        .lines()
        .filter_map(|line| line.find('/').map(|start| Path::new(&line[start..])))
        .find(|path| {
            path.file_name()
                .is_some_and(|name| name == "libtorch_cpu.so")
        })?;
    Some(libtorch.with_file_name(name))
}

/// The message of the loader, which `libloading` wraps in its own error.
fn root_cause(error: &dyn Error) -> String {
    error.source().map_or_else(|| error.to_string(), root_cause)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_become_devices() {
        let two = CudaSupport(Ok(2));
        assert_eq!(two.choose(DeviceName::Auto), Ok(Device::Cuda(0)));
        assert_eq!(two.choose(DeviceName::Cuda(1)), Ok(Device::Cuda(1)));
        assert_eq!(two.choose(DeviceName::Cpu), Ok(Device::Cpu));
        let none = CudaSupport(Err("no such file".into()));
        assert_eq!(none.choose(DeviceName::Auto), Ok(Device::Cpu));
        let error = none.choose(DeviceName::Cuda(0)).unwrap_err();
        assert_eq!(error.kind(), DeviceErrorKind::NoCuda);
        assert!(error.to_string().contains("no such file"), "{error}");
        let error = two.choose(DeviceName::Cuda(2)).unwrap_err();
        assert_eq!(error.kind(), DeviceErrorKind::NoDevice);
    }
}
