use std::cell::RefCell;

use faa_op::text::chain;
use faa_op::{DrawKey, ImageMut, ImageRef};
use faa_policy::{PackedImages, Partners, Plan, Policy, Workspace};
use pyo3::exceptions::{PyOverflowError, PyRuntimeError, PyTypeError, PyValueError};
use pyo3::prelude::*;
use rayon::prelude::*;

use crate::errors::{no_panic, of_apply, of_policy, of_replay};
use crate::images::{Copies, Images, of_shape};
use crate::ops::Ops;
use crate::owned::Owned;
use crate::pools::pool;
use crate::targets::{Draw, Given, Moved, Moving};

/// Calls on this many bytes or more let Python's other threads run meanwhile. On fewer, this would take
/// longer than what it could save.
const DETACHED_BYTES: usize = 16 << 10;

/// A policy that is ready to be applied. Any number of threads may use it at the same time.
#[pyclass(frozen, module = "faa._faa")]
pub(crate) struct Executor {
    inner: Owned<faa_policy::Executor>,
    json: String,
    has_plugins: bool,
    ops: Py<Ops>,
}

#[pymethods]
impl Executor {
    /// A policy from its file's content, with these ops.
    #[new]
    fn new(py: Python<'_>, json: &[u8], ops: Py<Ops>) -> PyResult<Self> {
        let own = ops.get();
        let policy = Policy::parse(json).map_err(|error| of_policy(py, &error))?;
        let executor = faa_policy::Executor::new(&policy, own.set());
        let executor = executor.map_err(|error| of_policy(py, &error))?;
        Ok(Self {
            inner: Owned::new(executor),
            json: policy.to_json(),
            has_plugins: own.has_plugins(),
            ops,
        })
    }

    /// The policy as a file.
    #[getter]
    fn json(&self) -> &str {
        &self.json
    }

    /// The first op that needs partner images.
    #[getter]
    fn partner_op(&self) -> Option<&str> {
        self.inner.partner_op()
    }

    /// Whether this is a copy in a forked child, in which plugins do not work.
    #[getter]
    fn is_inherited(&self) -> bool {
        self.inner.is_inherited()
    }

    /// Writes to `result` what the policy makes of `source`, which may be the same: image `i` has index
    /// `indices[i]`, or else `index + i`. All frames of a clip have `index`.
    #[pyo3(signature = (source, result, layout, seed, epoch, index, indices=None, threads=1, partners=None))]
    #[expect(clippy::too_many_arguments, reason = "Python has keywords")]
    fn apply(
        &self,
        py: Python<'_>,
        source: &Bound<'_, PyAny>,
        result: &Bound<'_, PyAny>,
        layout: &str,
        seed: u64,
        epoch: u32,
        index: u64,
        indices: Option<Vec<u64>>,
        threads: usize,
        partners: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<()> {
        let call = Call::new(source, result, layout, partners)?;
        let keys = Keys {
            seed,
            epoch,
            first: index,
            indices,
            is_clip: is_clip(layout),
        };
        keys.check(call.source.count())?;
        let apply = |offset,
                     source: Option<ImageRef<'_>>,
                     image: &mut ImageMut<'_>,
                     own: &mut Workspace<'_>| {
            match source {
                Some(source) => self.inner.apply_to(source, image, keys.of(offset), own),
                None => self.inner.apply(image, keys.of(offset), own),
            }
        };
        call.run(py, threads, self.has_plugins, apply)?
            .map_err(|error| of_apply(&error))
    }

    /// What `apply` will do to an image, as JSON, if there are this many partners.
    fn plan(&self, seed: u64, epoch: u32, index: u64, partners: u64) -> PyResult<String> {
        check_epoch(epoch)?;
        let key = DrawKey::new(seed, epoch, index);
        let partners = &Counted(partners);
        no_panic(|| {
            self.inner
                .plan(key, &Workspace::with_partners(partners))
                .to_json()
        })
    }

    /// Writes to `result` what a plan makes of `source`.
    #[pyo3(signature = (plan, source, result, layout, partners=None))]
    fn replay(
        &self,
        py: Python<'_>,
        plan: &[u8],
        source: &Bound<'_, PyAny>,
        result: &Bound<'_, PyAny>,
        layout: &str,
        partners: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<()> {
        let plan = Plan::parse(plan).map_err(|error| of_policy(py, &error))?;
        let call = Call::new(source, result, layout, partners)?;
        let ops = self.ops.get().set();
        let replay =
            |_, source: Option<ImageRef<'_>>, image: &mut ImageMut<'_>, own: &mut Workspace<'_>| {
                match source {
                    Some(source) => plan.replay_to(ops, source, image, own),
                    None => plan.replay(ops, image, own),
                }
            };
        call.run(py, 1, self.has_plugins, replay)?
            .map_err(|error| of_replay(py, &error))
    }

    /// Writes to `result` what the policy makes of `source`, an image or a clip, with a key or by a plan, and moves
    /// what moves along: masks in place, and boxes and points as they are returned.
    #[pyo3(signature = (source, result, layout, targets, key=None, plan=None, partners=None))]
    #[expect(clippy::too_many_arguments, reason = "Python has keywords")]
    fn apply_with_targets(
        &self,
        py: Python<'_>,
        source: &Bound<'_, PyAny>,
        result: &Bound<'_, PyAny>,
        layout: &str,
        targets: Given,
        key: Option<(u64, u32, u64)>,
        plan: Option<&[u8]>,
        partners: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Moved> {
        let call = Call::new(source, result, layout, partners)?;
        let is_single = call.source.count() == 1 || is_clip(layout) && call.source.count() > 0;
        if !is_single {
            return Err(PyValueError::new_err(
                "masks, boxes and keypoints move along with a single image or a clip, and not with a batch",
            ));
        }
        let plan = plan.map(Plan::parse).transpose();
        let plan = plan.map_err(|error| of_policy(py, &error))?;
        let draw = match (&plan, key) {
            (Some(plan), None) => Draw::Plan(plan, self.ops.get().set()),
            (None, Some((seed, epoch, index))) => {
                check_epoch(epoch)?;
                Draw::Key(&self.inner, DrawKey::new(seed, epoch, index))
            }
            _ => return Err(PyTypeError::new_err("either a key or a plan is needed")),
        };
        let moving = Moving::new(targets)?;
        let apply = |frame,
                     source: Option<ImageRef<'_>>,
                     image: &mut ImageMut<'_>,
                     own: &mut Workspace<'_>| match frame {
            0 => Moving::apply(&moving, &draw, source, image, own),
            _ => draw.apply(source, image, own),
        };
        call.run(py, 1, self.has_plugins, apply)?
            .map_err(|error| of_replay(py, &error))?;
        Ok(Moving::moved(moving))
    }
}

/// The keys of a call's images.
struct Keys {
    seed: u64,
    epoch: u32,
    first: u64,
    /// In place of those from `first` on.
    indices: Option<Vec<u64>>,
    /// Whether all images have the first.
    is_clip: bool,
}

/// Whether a layout is that of frames which are drawn for as one.
fn is_clip(layout: &str) -> bool {
    layout.starts_with('T')
}

impl Keys {
    fn check(&self, count: usize) -> PyResult<()> {
        check_epoch(self.epoch)?;
        match &self.indices {
            Some(indices) if indices.len() != count => Err(PyValueError::new_err(format!(
                "there are {count} images, but {} indices",
                indices.len()
            ))),
            _ => Ok(()),
        }
    }

    fn of(&self, offset: usize) -> DrawKey {
        let index = match &self.indices {
            Some(indices) => indices[offset],
            None if self.is_clip => self.first,
            None => self.first.wrapping_add(offset as u64),
        };
        DrawKey::new(self.seed, self.epoch, index)
    }
}

/// The last number is set aside for the streams of ops. To Python it is one of those that are too large.
fn check_epoch(epoch: u32) -> PyResult<()> {
    match epoch {
        u32::MAX => Err(PyOverflowError::new_err("epoch")),
        _ => Ok(()),
    }
}

/// The images of a call.
struct Call {
    source: Images,
    result: Images,
    partners: Option<Images>,
}

impl Call {
    fn new(
        source: &Bound<'_, PyAny>,
        result: &Bound<'_, PyAny>,
        layout: &str,
        partners: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Self> {
        let own = Images::new(source, layout)?;
        let result = Images::new(result, layout)?;
        own.check_result(&result)?;
        let partners = partners
            .map(|memory| Images::new(memory, "NHWC"))
            .transpose()?;
        // They would be augmented already when they are mixed in, or while they are.
        if partners.as_ref().is_some_and(|it| it.overlaps(&result)) {
            return Err(PyValueError::new_err(
                "the partners share memory with the result: give a different `out`, or a copy of the partners",
            ));
        }
        Ok(Self {
            source: own,
            result,
            partners,
        })
    }

    /// Changes every image, on this many threads, and returns the first error that is found.
    fn run<E: Send>(
        &self,
        py: Python<'_>,
        threads: usize,
        is_slow: bool,
        change: impl Fn(
            usize,
            Option<ImageRef<'_>>,
            &mut ImageMut<'_>,
            &mut Workspace<'_>,
        ) -> Result<(), E>
        + Sync,
    ) -> PyResult<Result<(), E>> {
        let partners = self.partners()?;
        let one = |index| {
            with_workspace(partners.as_ref(), |workspace, copies| {
                let change = |source: Option<ImageRef<'_>>, image: &mut ImageMut<'_>| {
                    change(index, source, image, workspace)
                };
                self.source.map(&self.result, index, copies, change)
            })
        };
        let count = self.source.count();
        let all = || match threads {
            0 | 1 => Ok((0..count).try_for_each(one)),
            _ => {
                let pool = pool(threads).map_err(|error| PyRuntimeError::new_err(chain(&error)))?;
                Ok(pool.install(|| (0..count).into_par_iter().try_for_each(one)))
            }
        };
        if is_slow || threads > 1 || self.source.bytes() >= DETACHED_BYTES {
            py.detach(|| no_panic(all))?
        } else {
            no_panic(all)?
        }
    }

    fn partners(&self) -> PyResult<Option<PackedImages<'_>>> {
        let Some(partners) = &self.partners else {
            return Ok(None);
        };
        let (samples, width, height, channels) = (partners.packed())
            .ok_or_else(|| PyValueError::new_err("`partners` must be contiguous"))?;
        let partners = PackedImages::new(samples, width, height, channels);
        Ok(Some(partners.map_err(of_shape)?))
    }
}

/// Calls with this thread's working memory, which is kept from call to call.
fn with_workspace<T>(
    partners: Option<&PackedImages<'_>>,
    work: impl FnOnce(&mut Workspace<'_>, &mut Copies) -> T,
) -> T {
    thread_local! {
        static OWN: RefCell<(Workspace<'static>, Copies)> = RefCell::default();
    }
    OWN.with_borrow_mut(|(workspace, copies)| match partners {
        Some(partners) => work(&mut Workspace::with_partners(partners), copies),
        None => work(workspace, copies),
    })
}

/// A number of partners, for plans, which do not look at them.
struct Counted(u64);

impl Partners for Counted {
    fn count(&self) -> u64 {
        self.0
    }

    fn image(&self, _: u64) -> ImageRef<'_> {
        unreachable!("a plan looks at no partner")
    }
}

/// The seed that a frame of an image has, if each is to have a draw of its own.
#[pyfunction]
pub(crate) fn frame_seed(seed: u64, frame: u32) -> u64 {
    // Of the key, it depends on the seed alone.
    DrawKey::new(seed, 0, 0).for_frame(frame).seed
}

/// The shipped policies: name and content of the file.
#[pyfunction]
pub(crate) fn shipped(py: Python<'_>) -> PyResult<Vec<(&'static str, String)>> {
    let all = faa_policy::shipped().iter();
    let json = |shipped: &faa_policy::Shipped| Ok((shipped.name, shipped.policy()?.to_json()));
    let all: Result<_, faa_policy::PolicyError> = all.map(json).collect();
    all.map_err(|error| of_policy(py, &error))
}

/// A policy that a different program wrote, as a file, and what was lost.
#[pyfunction]
pub(crate) fn convert(
    py: Python<'_>,
    json: &[u8],
    name: &str,
    ops: &Bound<'_, Ops>,
) -> PyResult<(String, Vec<String>)> {
    let converted = faa_policy::convert(json, name, ops.get().set());
    let converted = converted.map_err(|error| of_policy(py, &error))?;
    let warnings = converted.warnings.iter().map(ToString::to_string).collect();
    Ok((converted.policy.to_json(), warnings))
}
