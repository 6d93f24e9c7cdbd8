//! How long jobs take on many GPUs.

/// A measured training: images per batch, jobs on the GPU, and images per second of all jobs together.
pub(crate) type Measured = (f64, f64, f64);

/// WRN-40-2 on 32×32 pixels in bf16 on an NVIDIA H200 (`runtime/torch/RESULTS.md`).
pub(crate) const TRAININGS: [Measured; 4] = [
    (128.0, 1.0, 34_900.0),
    (512.0, 1.0, 64_400.0),
    (128.0, 5.0, 68_000.0),
    (512.0, 5.0, 84_100.0),
];
/// Images per second of scoring, augmentation included (likewise).
const SCORED_PER_SECOND: f64 = 311_400.0;
/// What two runs took beyond their work at the measured rates: a search of 5 folds, and two calls of `train`
/// (likewise), in seconds per start of a process.
pub(crate) const STARTS: [f64; 2] = [
    111.0 - (34.0 + 16e6 / SCORED_PER_SECOND),
    (640.0 - 590.0) / 2.0,
];

/// The constants of the model, in seconds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Model {
    /// The GPU's work on one image of 32×32 pixels in training.
    pub(crate) train: f64,
    /// What a training step costs whatever its batch: launching, clipping, the optimizer's step.
    pub(crate) step: f64,
    /// The GPU's work on one image of 32×32 pixels in scoring.
    pub(crate) score: f64,
    /// From the start of a process to its first step: libtorch, CUDA, images, recording the step.
    pub(crate) start: f64,
    /// Bytes per second of the file system that all machines share. Assumed.
    pub(crate) shared_bandwidth: f64,
}

impl Model {
    /// Fits a line to the measured trainings: `jobs` jobs make one step each in `step + train × jobs × batch`
    /// seconds. Relative errors are what is small, by weighted least squares.
    pub(crate) fn fitted() -> Self {
        let mut sums = [0.0; 5];
        for (batch, jobs, rate) in TRAININGS {
            let (x, y) = (batch * jobs, batch * jobs / rate);
            let weight = 1.0 / (y * y);
            for (sum, value) in sums.iter_mut().zip([1.0, x, y, x * x, x * y]) {
                *sum += weight * value;
            }
        }
        let [n, x, y, xx, xy] = sums;
        let train = (n * xy - x * y) / (n * xx - x * x);
        Self {
            train,
            step: (y - train * x) / n,
            score: 1.0 / SCORED_PER_SECOND,
            start: STARTS.iter().sum::<f64>() / STARTS.len() as f64,
            shared_bandwidth: 5e9,
        }
    }

    /// Images per second of this many trainings on one GPU together.
    pub(crate) fn training_rate(&self, batch: f64, jobs: f64) -> f64 {
        batch * jobs / (self.step + self.train * jobs * batch)
    }
}

/// A part of a job.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Part {
    /// The start of its process.
    Start,
    /// Training on this many images, epochs included.
    Train(f64),
    /// The scoring of candidates, counted in augmented images.
    Score(f64),
}

#[derive(Clone, Debug)]
pub(crate) struct Job {
    /// It starts when all jobs of earlier phases are done, if it needs them.
    pub(crate) phase: usize,
    pub(crate) needs_earlier: bool,
    pub(crate) parts: Vec<Part>,
    /// The number of candidates that are proposed together, of `TRIALS`; 0 for a job that is no fold.
    pub(crate) batch_proposals: usize,
}

/// A run as jobs, and what its images are like.
#[derive(Clone, Debug)]
pub(crate) struct Workload {
    pub(crate) jobs: Vec<Job>,
    /// Batch size.
    pub(crate) batch: f64,
    /// Pixels per image, as a multiple of 32×32: the network is convolutional, so its work is proportional.
    pub(crate) pixels: f64,
    /// The size of the data set, which every machine reads once.
    pub(crate) bytes: f64,
}

/// Trials per round.
pub(crate) const TRIALS: usize = 200;
/// GPUs per machine. Candidates of a fold are scored by one process, on one machine.
pub(crate) const GPUS_PER_MACHINE: usize = 8;

/// How the jobs of a run use GPUs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Placement {
    pub(crate) gpus: usize,
    /// The number of jobs that share a GPU.
    pub(crate) jobs_per_gpu: usize,
    /// The number of GPUs that a fold has for itself, at most [`GPUS_PER_MACHINE`].
    pub(crate) gpus_per_fold: usize,
}

impl Workload {
    /// The duration in seconds with the fastest placement, and that placement.
    pub(crate) fn fastest(&self, model: &Model, gpus: usize) -> (f64, Placement) {
        let batches = self.jobs.iter().map(|it| it.batch_proposals);
        let max = batches.max().unwrap_or(0).clamp(1, gpus);
        let widths = [1, 2, 4, GPUS_PER_MACHINE]
            .into_iter()
            .filter(|it| *it <= max);
        let placements = widths.flat_map(|gpus_per_fold| {
            [1, 2, 3, 5].map(|jobs_per_gpu| Placement {
                gpus,
                jobs_per_gpu,
                gpus_per_fold,
            })
        });
        let timed = placements.map(|it| (self.seconds(model, it), it));
        let fastest = timed.min_by(|a, b| a.0.total_cmp(&b.0));
        fastest.expect("there are placements")
    }

    /// The duration in seconds. Every job starts as soon as what it needs is done and a GPU has room, on the GPU
    /// with the fewest others. Jobs share a GPU equally.
    pub(crate) fn seconds(&self, model: &Model, placement: Placement) -> f64 {
        let mut cluster = Cluster::new(self, placement);
        // All machines read the data at once, before the run.
        let mut seconds = cluster.machines() * self.bytes / model.shared_bandwidth;
        while cluster.place() {
            seconds += cluster.advance(model);
        }
        seconds
    }
}

/// The state of a simulation.
struct Cluster<'a> {
    workload: &'a Workload,
    placement: Placement,
    waiting: Vec<&'a Job>,
    running: Vec<Running<'a>>,
    /// How many places of each GPU are taken.
    taken: Vec<usize>,
    /// How many jobs of each phase are not done.
    open: Vec<usize>,
}

struct Running<'a> {
    job: &'a Job,
    gpus: Vec<usize>,
    /// How many places of each it takes.
    places: usize,
    /// The part that it is at, and what is left of it: seconds or images.
    part: usize,
    left: f64,
}

impl<'a> Cluster<'a> {
    fn new(workload: &'a Workload, placement: Placement) -> Self {
        let phases = workload.jobs.iter().map(|it| it.phase + 1).max();
        let mut open = vec![0; phases.unwrap_or(0)];
        workload.jobs.iter().for_each(|it| open[it.phase] += 1);
        Self {
            workload,
            placement,
            waiting: workload.jobs.iter().collect(),
            running: Vec::new(),
            taken: vec![0; placement.gpus],
            open,
        }
    }

    fn machines(&self) -> f64 {
        self.placement.gpus.div_ceil(GPUS_PER_MACHINE) as f64
    }

    /// Starts all jobs for which there is room, and returns whether any runs.
    fn place(&mut self) -> bool {
        let Placement {
            jobs_per_gpu,
            gpus_per_fold,
            ..
        } = self.placement;
        for job in std::mem::take(&mut self.waiting) {
            let width = gpus_per_fold.min(job.batch_proposals.max(1));
            let places = if width > 1 { jobs_per_gpu } else { 1 };
            let has_room = |gpu: &usize| self.taken[*gpu] + places <= jobs_per_gpu;
            let mut gpus: Vec<usize> = (0..self.taken.len()).filter(has_room).collect();
            gpus.sort_by_key(|gpu| self.taken[*gpu]);
            gpus.truncate(width);
            let waits = job.needs_earlier && self.open[..job.phase].iter().any(|it| *it > 0);
            if waits || gpus.len() < width {
                self.waiting.push(job);
                continue;
            }
            gpus.iter().for_each(|gpu| self.taken[*gpu] += places);
            self.running.push(Running {
                job,
                gpus,
                places,
                part: 0,
                left: job.parts[0].amount(),
            });
        }
        !self.running.is_empty()
    }

    /// Lets the running jobs work until a part of one ends, and returns after how many seconds.
    fn advance(&mut self, model: &Model) -> f64 {
        let mut busy = vec![0.0; self.taken.len()];
        for job in &self.running {
            // A process that starts does not use its GPU.
            if !matches!(job.job.parts[job.part], Part::Start) {
                job.gpus.iter().for_each(|gpu| busy[*gpu] += 1.0);
            }
        }
        let workload = self.workload;
        let cost = |job: &Running<'_>| {
            let jobs: f64 = busy[job.gpus[0]];
            match job.job.parts[job.part] {
                Part::Start => model.start,
                Part::Train(_) => {
                    model.step / workload.batch + model.train * workload.pixels * jobs
                }
                Part::Score(_) => {
                    let speedup = speedup(job.job.batch_proposals, job.gpus.len());
                    model.score * workload.pixels * jobs / speedup
                }
            }
        };
        let costs: Vec<f64> = self.running.iter().map(cost).collect();
        let ends = self
            .running
            .iter()
            .zip(&costs)
            .map(|(job, cost)| job.left * cost);
        let step = ends.fold(f64::INFINITY, f64::min);
        for (job, cost) in self.running.iter_mut().zip(&costs) {
            job.left -= step / cost;
            // Of several that end together, rounding must not leave one behind.
            if job.left * cost < 1e-6 {
                job.part += 1;
                job.left = job.job.parts.get(job.part).map_or(0.0, |it| it.amount());
            }
        }
        let (taken, open) = (&mut self.taken, &mut self.open);
        self.running.retain(|job| {
            let is_done = job.part == job.job.parts.len();
            if is_done {
                job.gpus.iter().for_each(|gpu| taken[*gpu] -= job.places);
                open[job.job.phase] -= 1;
            }
            !is_done
        });
        step
    }
}

impl Part {
    /// The number of images, or of starts.
    fn amount(self) -> f64 {
        match self {
            Self::Start => 1.0,
            Self::Train(images) | Self::Score(images) => images,
        }
    }
}

/// How much faster this many GPUs score [`TRIALS`] candidates in batches than one does.
pub(crate) fn speedup(batch: usize, gpus: usize) -> f64 {
    let batch = batch.max(1);
    let batches = (0..TRIALS)
        .step_by(batch)
        .map(|first| batch.min(TRIALS - first));
    let rounds: usize = batches.map(|trials| trials.div_ceil(gpus)).sum();
    TRIALS as f64 / rounds as f64
}
