//! Choosing the device, and loading CUDA where it is there.

use std::error::Error;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use faa_search::device::DeviceName;
use libloading::os::unix::{Library, RTLD_GLOBAL, RTLD_NOW};
use tch::{Cuda, Device, TchError};

use crate::shim;

/// The library that holds libtorch's CUDA kernels.
const CUDA_LIBRARY: &str = "libtorch_cuda.so";

/// What became of libtorch's CUDA half.
#[derive(Debug)]
pub enum CudaSupport {
    /// It is loaded, and sees this many devices.
    Loaded {
        /// The count of devices; 0 without a driver.
        devices: usize,
    },
    /// There is none beside the libtorch in use, or it cannot be loaded.
    Absent {
        /// The loader's words.
        reason: String,
    },
}

/// A device that was asked for and is not available.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DeviceError {
    /// There is no such CUDA device.
    #[error("there is no device `{wanted}`: {why}; `--device cpu` works everywhere")]
    NoCuda {
        /// What was asked for.
        wanted: DeviceName,
        /// Why it is not there.
        why: String,
    },
}

impl CudaSupport {
    /// Loads the CUDA half of libtorch, if it lies beside the half that is in use.
    ///
    /// To be called before anything else of libtorch's CUDA interface: its kernels register
    /// themselves as the library is loaded, and libtorch asks only once. That is also why this
    /// program is not linked against it, so that one program serves both.
    pub fn load() -> Self {
        let Some(library) = beside_libtorch(CUDA_LIBRARY) else {
            return Self::Absent {
                reason: "the libtorch in use cannot be found".to_owned(),
            };
        };
        if !library.exists() {
            return Self::Absent {
                reason: format!("there is no {}", library.display()),
            };
        }
        // SAFETY: the initialisers of libtorch_cuda.so are made to run at load time, beside the
        // libtorch_cpu.so of the same folder that is already loaded.
        #[expect(unsafe_code, reason = "loading a library runs its initialisers")]
        let library = unsafe { Library::open(Some(library), RTLD_NOW | RTLD_GLOBAL) };
        match library {
            Ok(library) => {
                // It stays for the life of the process: kernels point into it.
                std::mem::forget(library);
                let devices = usize::try_from(Cuda::device_count()).unwrap_or(0);
                Self::Loaded { devices }
            }
            Err(error) => Self::Absent {
                reason: innermost(&error),
            },
        }
    }

    /// The device of a name.
    ///
    /// # Errors
    ///
    /// [`DeviceError`] where there is no such device.
    pub fn choose(&self, name: DeviceName) -> Result<Device, DeviceError> {
        match name {
            DeviceName::Auto if self.devices() > 0 => Ok(Device::Cuda(0)),
            DeviceName::Auto | DeviceName::Cpu => Ok(Device::Cpu),
            DeviceName::Cuda(index) if index < self.devices() => Ok(Device::Cuda(index)),
            DeviceName::Cuda(_) => Err(DeviceError::NoCuda {
                wanted: name,
                why: self.to_string(),
            }),
        }
    }

    /// How many CUDA devices can be used.
    pub fn devices(&self) -> usize {
        match self {
            Self::Loaded { devices } => *devices,
            Self::Absent { .. } => 0,
        }
    }
}

impl fmt::Display for CudaSupport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Loaded { devices: 0 } => {
                f.write_str("libtorch has CUDA, but finds no driver or no device")
            }
            Self::Loaded { devices } => {
                write!(f, "libtorch has CUDA and finds {devices} device(s)")
            }
            Self::Absent { reason } => write!(f, "this libtorch has no CUDA ({reason})"),
        }
    }
}

/// Sets what this process does on CUDA: cuDNN measures every algorithm once, since all images of a run
/// have one size; and float32 keeps all of its bits, which TF32 would round to eleven.
///
/// # Errors
///
/// What libtorch reports.
pub fn prepare_cuda() -> Result<(), TchError> {
    tch::Cuda::cudnn_set_benchmark(true);
    shim::disable_tf32()
}

/// Whether this CPU multiplies tiles of bf16 numbers (Intel's AMX), and this system lets it.
pub(crate) fn has_amx() -> bool {
    cpu_info("flags")
        .split_whitespace()
        .any(|flag| flag == "amx_bf16")
}

/// The processor's name.
pub fn processor() -> String {
    match cpu_info("model name") {
        name if name.is_empty() => "unknown".to_owned(),
        name => name,
    }
}

/// What Linux says of the first processor under a key; nothing elsewhere.
fn cpu_info(key: &str) -> String {
    let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let line = info.lines().find(|line| line.starts_with(key));
    let value = line.and_then(|line| line.split_once(':'));
    value.map_or_else(String::new, |(_, value)| value.trim().to_owned())
}

/// The name of a device, as the command line has it.
pub fn name(device: Device) -> String {
    match device {
        Device::Cuda(index) => format!("cuda:{index}"),
        _ => "cpu".to_owned(),
    }
}

/// A file in the folder from which this process has loaded libtorch.
fn beside_libtorch(name: &str) -> Option<PathBuf> {
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

/// The loader's own words, which stand behind the library's.
fn innermost(error: &dyn Error) -> String {
    error.source().map_or_else(|| error.to_string(), innermost)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_become_devices() {
        let two = CudaSupport::Loaded { devices: 2 };
        assert_eq!(two.choose(DeviceName::Auto), Ok(Device::Cuda(0)));
        assert_eq!(two.choose(DeviceName::Cuda(1)), Ok(Device::Cuda(1)));
        assert_eq!(two.choose(DeviceName::Cpu), Ok(Device::Cpu));
        let none = CudaSupport::Absent {
            reason: "no such file".into(),
        };
        assert_eq!(none.choose(DeviceName::Auto), Ok(Device::Cpu));
        assert!(
            none.choose(DeviceName::Cuda(0))
                .unwrap_err()
                .to_string()
                .contains("no such file")
        );
        assert!(matches!(
            two.choose(DeviceName::Cuda(2)),
            Err(DeviceError::NoCuda { .. })
        ));
    }
}
