//! The resources of a request: images, ops, and one backend per job.

use std::sync::Arc;

use anyhow::{Context, Result, anyhow, bail};
use faa_data::{Dataset, LoadOptions};
use faa_op::OpSet;
use faa_plugin::{Plugin, PluginOptions};
use faa_search::config::{PluginOp, Precision};
use faa_search::device::DeviceName;
use faa_search::environment::Resources;
use faa_torch::device::{self, CudaSupport};
use faa_torch::{BackendConfig, TorchBackend};
use tch::Device;

/// The resources of a request.
pub(crate) struct Session {
    pub(crate) data: Arc<Dataset>,
    pub(crate) ops: OpSet,
    pub(crate) backends: Vec<TorchBackend>,
    /// The names of the devices, for people.
    pub(crate) device: String,
}

impl Session {
    /// Loads images and plugins, and creates the backends. The plugins must include the named ops.
    pub(crate) fn open(
        (data, image_size): (&str, Option<u32>),
        precision: Precision,
        resources: &Resources,
        plugins: Option<(&PluginOptions, &[PluginOp])>,
    ) -> Result<Self> {
        resources.check()?;
        // For decoding and augmentation; it must be set before rayon's pool is first used.
        let pool = rayon::ThreadPoolBuilder::new().num_threads(resources.threads);
        pool.build_global()?;
        let data = Arc::new(Dataset::load(
            &data.parse()?,
            &LoadOptions::sized(image_size),
        )?);
        let mut ops = faa_ops_builtin::builtin_ops();
        if let Some((options, named)) = plugins {
            load_plugins(options, named, &mut ops)?;
        }
        let devices = devices(&resources.devices)?;
        if precision == Precision::Bf16 && devices.contains(&Device::Cpu) && !device::cpu_has_bf16()
        {
            bail!(
                "this CPU cannot compute in bf16, which needs AVX-512: use --precision float32 or auto"
            );
        }
        let jobs = resources.jobs.unwrap_or(devices.len());
        let backends = devices.iter().cycle().take(jobs).map(|device| {
            let config = BackendConfig {
                device: *device,
                threads: (resources.threads / jobs).max(1),
                precision,
            };
            TorchBackend::new(Arc::clone(&data), ops.clone(), config)
        });
        let backends = backends.collect();
        let names: Vec<String> = devices.into_iter().map(device::name).collect();
        Ok(Self {
            data,
            ops,
            backends,
            device: names.join(", "),
        })
    }
}

fn devices(names: &[DeviceName]) -> Result<Vec<Device>> {
    if names.is_empty() {
        bail!("the request names no device");
    }
    if names.iter().all(|name| *name == DeviceName::Cpu) {
        // Loading CUDA takes seconds, and is not needed on the CPU.
        return Ok(vec![Device::Cpu; names.len()]);
    }
    let cuda = CudaSupport::load();
    let devices = names.iter().map(|name| cuda.choose(*name));
    let devices = devices.collect::<Result<Vec<_>, _>>()?;
    if devices.iter().any(|device| device.is_cuda()) {
        device::prepare_cuda()?;
    }
    Ok(devices)
}

/// Adds the ops of plugins, which must include the `named` ones.
fn load_plugins(options: &PluginOptions, named: &[PluginOp], ops: &mut OpSet) -> Result<()> {
    #[expect(unsafe_code, reason = "only the user can vouch for a native library")]
    // SAFETY: `allow_native` is set only by --allow-native, with which the user vouches for the libraries.
    let permission = unsafe { options.native_permission() };
    let found = options.load_into(permission, ops)?;
    for named in named {
        let is_it = |plugin: &Plugin| plugin.has_op(&named.op) && plugin.sha256() == named.sha256;
        if !found.loaded.iter().any(is_it) {
            let broken = found.broken.into_iter().next();
            let error = broken.map_or_else(|| anyhow!("its file is a different one"), Into::into);
            let op = &named.op;
            return Err(error).context(format!("the plugin with the op `{op}` has just changed"));
        }
    }
    Ok(())
}
