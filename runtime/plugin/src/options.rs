use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use faa_op::OpSet;
use serde::{Deserialize, Serialize};

use crate::config::{self, HostConfig, Limits};
use crate::error::{HostError, HostErrorKind};
use crate::folder::Found;
use crate::host::Host;
use crate::native::NativePermission;

/// Which plugins a program uses and what they may do, in a form that can be passed on to another
/// process.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct PluginOptions {
    /// The folders of plugins, loaded one after the other. Without any, no host is started.
    pub folders: Vec<PathBuf>,
    /// Whether native libraries are loaded too. They run without a sandbox.
    pub allow_native: bool,
    /// The memory limit per plugin and thread, in MiB: [`Limits::memory`].
    pub memory_mib: u32,
    /// The memory limit of all plugins and threads together, in MiB: [`Limits::total_memory`].
    pub total_memory_mib: u32,
    /// The time limit per call, in seconds: [`Limits::call_time`].
    pub call_seconds: f64,
}

impl PluginOptions {
    /// The range of [`memory_mib`](Self::memory_mib).
    pub const MEMORY_MIB: RangeInclusive<u32> = config::MEMORY_MIB;
    /// The range of [`total_memory_mib`](Self::total_memory_mib).
    pub const TOTAL_MEMORY_MIB: RangeInclusive<u32> = config::TOTAL_MEMORY_MIB;
    /// The range of [`call_seconds`](Self::call_seconds).
    pub const CALL_SECONDS: RangeInclusive<f64> = config::CALL_SECONDS;

    /// These folders with the default limits, and without native libraries.
    pub fn new(folders: Vec<PathBuf>) -> Self {
        let limits = Limits::default();
        let mib = |bytes: usize| (bytes >> 20) as u32;
        Self {
            folders,
            allow_native: false,
            memory_mib: mib(limits.memory),
            total_memory_mib: mib(limits.total_memory),
            call_seconds: limits.call_time.as_secs_f64(),
        }
    }

    /// Checks that the limits are in range.
    ///
    /// # Errors
    ///
    /// [`HostErrorKind::Memory`], [`TotalMemory`](HostErrorKind::TotalMemory) or
    /// [`Time`](HostErrorKind::Time).
    pub fn check(&self) -> Result<(), HostError> {
        if !Self::MEMORY_MIB.contains(&self.memory_mib) {
            return Err(HostErrorKind::Memory(self.memory_mib).into());
        }
        if !Self::TOTAL_MEMORY_MIB.contains(&self.total_memory_mib) {
            return Err(HostErrorKind::TotalMemory(self.total_memory_mib).into());
        }
        if !Self::CALL_SECONDS.contains(&self.call_seconds) {
            return Err(HostErrorKind::Time(self.call_seconds).into());
        }
        Ok(())
    }

    /// A host with these limits, and the default of every other setting.
    ///
    /// # Errors
    ///
    /// As [`check`](Self::check), and those of [`Host::new`].
    pub fn host(&self) -> Result<Host, HostError> {
        self.check()?;
        let mut config = HostConfig::default();
        // On a 32-bit machine no plugin can have more.
        let bytes = |mib: u32| (mib as usize).saturating_mul(1 << 20);
        config.limits.memory = bytes(self.memory_mib);
        config.limits.total_memory = bytes(self.total_memory_mib);
        config.limits.call_time = Duration::from_secs_f64(self.call_seconds);
        Host::new(config)
    }

    /// The permission to load native libraries, if [`allow_native`](Self::allow_native) is set.
    ///
    /// # Safety
    ///
    /// If it is set, as for [`NativePermission::new`].
    #[expect(unsafe_code, reason = "the caller's duty is passed on")]
    pub unsafe fn native_permission(&self) -> Option<NativePermission> {
        // SAFETY: the caller vouches for the libraries.
        self.allow_native
            .then(|| unsafe { NativePermission::new() })
    }

    /// Starts a host, loads the plugins of all folders and adds their ops to a set. Plugins that could
    /// not be loaded are in [`Found::broken`].
    ///
    /// Native libraries are loaded only with the permission, which
    /// [`native_permission`](Self::native_permission) gives.
    ///
    /// # Errors
    ///
    /// [`HostError`].
    pub fn load_into(
        &self,
        native: Option<NativePermission>,
        set: &mut OpSet,
    ) -> Result<Found, HostError> {
        self.check()?;
        if self.folders.is_empty() {
            return Ok(Found::default());
        }
        self.host()?.load_folders(&self.folders, native, set)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_checked_before_a_host_is_started() {
        let check = |memory_mib, call_seconds| {
            let mut options = PluginOptions::new(Vec::new());
            (options.memory_mib, options.call_seconds) = (memory_mib, call_seconds);
            let loaded = options.load_into(None, &mut OpSet::new());
            assert_eq!(loaded.is_ok(), options.host().is_ok());
            loaded.map(|_| ()).map_err(|error| error.to_string())
        };
        for (memory, seconds) in [(1, 0.01), (256, 10.0), (4096, 86_400.0)] {
            assert_eq!(check(memory, seconds), Ok(()));
        }
        for memory in [0, 4097, u32::MAX] {
            assert!(check(memory, 1.0).unwrap_err().contains("memory limit"));
        }
        for total in [0, (1 << 20) + 1] {
            let mut options = PluginOptions::new(Vec::new());
            options.total_memory_mib = total;
            let error = options.check().unwrap_err().to_string();
            assert!(error.contains("memory limit of all plugins"), "{error}");
        }
        for seconds in [0.0, -1.0, 0.009, 86_400.1, f64::INFINITY, f64::NAN] {
            assert!(check(1, seconds).unwrap_err().contains("time limit"));
        }
    }
}
