//! Choosing the device, and loading CUDA where it is there.

use std::error::Error;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use libloading::os::unix::{Library, RTLD_GLOBAL, RTLD_NOW};
use tch::{Cuda, Device};

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

/// A device that was asked for and is not to be had.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DeviceError {
    /// The word is not a device.
    #[error("`{0}` is not a device: use auto, cpu, cuda, or cuda:N")]
    Unknown(String),
    /// There is no such CUDA device.
    #[error("there is no device `{wanted}`: {why}; `--device cpu` works everywhere")]
    NoCuda {
        /// What was asked for.
        wanted: String,
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
                reason: "the libtorch in use is not to be found".to_owned(),
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

    /// The device for a word of the command line: `auto`, `cpu`, `cuda` or `cuda:N`.
    ///
    /// # Errors
    ///
    /// [`DeviceError`] where there is no such device.
    pub fn choose(&self, word: &str) -> Result<Device, DeviceError> {
        let index = match word {
            "cpu" => return Ok(Device::Cpu),
            "auto" => {
                return Ok(if self.devices() > 0 {
                    Device::Cuda(0)
                } else {
                    Device::Cpu
                });
            }
            "cuda" => 0,
            _ => word
                .strip_prefix("cuda:")
                .and_then(|index| index.parse().ok())
                .ok_or_else(|| DeviceError::Unknown(word.to_owned()))?,
        };
        if index < self.devices() {
            return Ok(Device::Cuda(index));
        }
        let (wanted, why) = (word.to_owned(), self.to_string());
        Err(DeviceError::NoCuda { wanted, why })
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

/// The word for a device, as the command line has it.
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
    fn words_become_devices() {
        let two = CudaSupport::Loaded { devices: 2 };
        assert_eq!(two.choose("auto"), Ok(Device::Cuda(0)));
        assert_eq!(two.choose("cuda:1"), Ok(Device::Cuda(1)));
        assert_eq!(two.choose("cpu"), Ok(Device::Cpu));
        let none = CudaSupport::Absent {
            reason: "no such file".into(),
        };
        assert_eq!(none.choose("auto"), Ok(Device::Cpu));
        assert!(
            none.choose("cuda")
                .unwrap_err()
                .to_string()
                .contains("no such file")
        );
        assert!(matches!(
            two.choose("cuda:2"),
            Err(DeviceError::NoCuda { .. })
        ));
        assert_eq!(two.choose("tpu"), Err(DeviceError::Unknown("tpu".into())));
    }
}
