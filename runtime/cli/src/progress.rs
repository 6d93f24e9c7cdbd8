//! Display of a run's progress on standard error.

use std::time::{Duration, Instant};

use faa_search::Event;
use faa_search::environment::Environment;
use faa_search::event::Plan;
use faa_search::layout::TrainingId;
use faa_search::results::{JobRates, Rates};
use indicatif::{HumanCount, HumanDuration};

use crate::display::Display;

/// The maximum number of policies of a rung that are named.
const MAX_NAMES: usize = 12;

/// The state of the display.
pub(crate) struct Progress {
    display: Display,
    rates: Rates,
    /// The part of the planned time that is done, in milliseconds at the plan's rates.
    done: u64,
    started: Instant,
}

impl Progress {
    pub(crate) fn new() -> Self {
        let mut new = Self {
            display: Display::new(),
            rates: Rates::new(1.0, 1.0),
            done: 0,
            started: Instant::now(),
        };
        // The first event takes a while with a large network.
        new.line("loading images and measuring the speed of this machine …");
        new
    }

    pub(crate) fn show(&mut self, event: &Event) {
        match event {
            Event::Planned(plan) => self.begin(plan),
            Event::EpochDone { training, epoch } => {
                self.advance(epoch.images as f64 / self.rates.train);
                self.step(&format!(
                    "{}, epoch {}: loss {:.3}, {:.0} images/s",
                    short(*training),
                    epoch.epoch + 1,
                    epoch.loss,
                    epoch.images as f64 / epoch.seconds,
                ));
            }
            Event::TrainingDone {
                training,
                evaluation,
                resumed,
            } => {
                let on = match training {
                    TrainingId::Audit | TrainingId::Fold(_) | TrainingId::Halving { .. } => {
                        "held-out"
                    }
                    TrainingId::Final { .. } => "test",
                };
                let loss = match training {
                    TrainingId::Halving { .. } => format!("loss {:.4}, ", evaluation.loss),
                    _ => String::new(),
                };
                let note = if *resumed { " (already finished)" } else { "" };
                let error = 100.0 * evaluation.error;
                self.line(&format!(
                    "{}: {on} {loss}error {error:.1} %{note}",
                    short(*training)
                ));
            }
            Event::EnvironmentChanged { recorded, current } => {
                for warning in warnings(recorded, current) {
                    self.warn(&warning);
                }
            }
            Event::DataMoved { .. } | Event::NotLocked { .. } => {
                if let Some(notice) = notice(event) {
                    self.line(&notice);
                }
            }
            Event::TrainingStarted {
                training,
                epochs,
                resumed,
            } if *resumed > 0 && resumed < epochs => {
                let training = short(*training);
                self.line(&format!(
                    "{training}: continuing after {resumed} of {epochs} epochs"
                ));
            }
            Event::TrainingDiverged {
                training,
                divergence,
            } => self.line(&format!(
                "{}: {divergence}; the run continues without it",
                short(*training)
            )),
            Event::RoundStarted {
                fold,
                round,
                trials,
                resumed,
            } if *resumed > 0 => {
                self.line(&format!(
                    "fold {fold}, round {round}: continuing after {resumed} of {trials} trials"
                ));
            }
            Event::TrialDone {
                fold,
                round,
                trial,
                reward,
                best,
                images,
                seconds,
                ..
            } => {
                self.advance(*images as f64 / self.rates.classify);
                self.step(&format!(
                    "fold {fold}, round {round}, trial {}: reward {reward:.4}, best {best:.4}, {:.0} images/s",
                    trial + 1,
                    *images as f64 / seconds,
                ));
            }
            Event::TrialRescored {
                fold,
                round,
                trial,
                first,
                reward,
                done,
                candidates,
                images,
                seconds,
            } => {
                self.advance(*images as f64 / self.rates.classify);
                self.step(&format!(
                    "fold {fold}, round {round}, scoring again {done} of {candidates}: trial {}, reward \
                     {first:.4}, then {reward:.4}, {:.0} images/s",
                    trial + 1,
                    *images as f64 / seconds,
                ));
            }
            Event::ReliabilityMeasured(reliability) => {
                self.line(&format!("reward reliability: {reliability}"));
            }
            Event::AuditStarted { points, resumed } if *resumed > 0 => {
                self.line(&format!(
                    "audit: continuing after {resumed} of {points} measurements"
                ));
            }
            Event::PointDone {
                op,
                value,
                images,
                correct,
                seconds,
            } => {
                self.advance(*images as f64 / self.rates.classify);
                let value = value.map_or(String::new(), |value| format!(" {value}"));
                let images = *images as f64;
                self.step(&format!(
                    "{op}{value}: accuracy {:.1} %, {:.0} images/s",
                    100.0 * *correct as f64 / images,
                    images / seconds,
                ));
            }
            Event::RungStarted {
                rung,
                rungs,
                entrants,
                epochs,
                seeds,
            } => {
                let more = entrants.len().saturating_sub(MAX_NAMES);
                let mut names = entrants[..entrants.len() - more].join(", ");
                if more > 0 {
                    names += &format!(" and {more} more");
                }
                let seeds = counted(*seeds, "seed");
                self.line(&format!(
                    "rung {} of {rungs}: {names}; {epochs} epochs, {seeds}",
                    rung + 1,
                ));
            }
            Event::PolicyWritten { file, sub_policies } => self.line(&match sub_policies {
                0 => format!("policy written to {}", file.display()),
                _ => format!("{sub_policies} sub-policies written to {}", file.display()),
            }),
            Event::Finished(_) => self.end(),
            _ => {}
        }
    }

    pub(crate) fn warn(&mut self, text: &str) {
        self.line(&format!("warning: {text}"));
    }

    /// Removes the bar.
    pub(crate) fn end(&self) {
        self.display.end();
    }

    fn begin(&mut self, plan: &Plan) {
        let [train, test] = plan.images;
        let [width, height] = plan.size;
        self.line(&format!(
            "{train} training and {test} test images of {width}×{height} in {} classes, on {}",
            plan.classes, plan.device
        ));
        let mut parts = Vec::new();
        if plan.points > 0 {
            parts.push(format!("{} measurements of ops", plan.points));
        }
        if plan.folds > 0 {
            parts.push(format!(
                "{}, {} trials, up to {} candidates scored again",
                counted(plan.folds, "fold"),
                plan.trials,
                plan.rescorings
            ));
        }
        if plan.rung_trainings > 0 {
            parts.push(counted(plan.rung_trainings, "short training"));
        }
        // A single job has none, unless it is one.
        if plan.final_trainings > 0 || parts.is_empty() {
            parts.push(counted(plan.final_trainings, "final training"));
        }
        let (parts, run) = (parts.join(", "), plan.run.display());
        self.line(&format!("{parts}; run directory {run}"));
        let images = [plan.images_to_train, plan.images_to_classify];
        if let Some(line) = jobs_line(plan.jobs, &plan.measured, images) {
            self.line(&line);
        }
        if let Some(seeds) = &plan.seed_count {
            let option = match (plan.folds, plan.rung_trainings) {
                (0, 0) => "--seeds",
                _ => "--final-seeds",
            };
            self.line(&format!("{seeds} ({option} overrides this in a new run)"));
        }
        let time = seconds(plan.estimated_seconds);
        self.line(&format!("estimated time: {}", HumanDuration(time)));
        self.rates = plan.rates;
        // It is less than the estimate if not all jobs work all the time.
        let length = seconds_of(images, plan.rates);
        self.display.set_length((length * 1000.0) as u64);
        self.started = Instant::now();
    }

    fn advance(&mut self, seconds: f64) {
        self.done += (seconds * 1000.0) as u64;
        self.display.set_position(self.done);
    }

    /// Shows the current step, with the remaining time.
    fn step(&mut self, what: &str) {
        // The time comes first, so that a narrow terminal does not cut it off.
        let text = format!("{} left; {what}", HumanDuration(self.remaining()));
        self.display.status(&text);
    }

    /// The remaining time, at the pace so far.
    fn remaining(&self) -> Duration {
        let total = self.display.length().max(self.done);
        let pace = self.started.elapsed().as_secs_f64() / self.done.max(1) as f64;
        seconds((total - self.done) as f64 * pace)
    }

    fn line(&mut self, text: &str) {
        self.display.line(text);
    }
}

/// A number of things, such as `2 folds`.
fn counted(number: usize, noun: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {noun}{plural}")
}

/// The number of jobs, and how fast other numbers of them are at the work that remains; `None` if there is
/// no choice to tell about.
fn jobs_line(jobs: usize, measured: &[JobRates], images: [usize; 2]) -> Option<String> {
    if jobs == 1 && measured.len() < 2 {
        return None;
    }
    let parallel = if jobs == 1 { "" } else { " in parallel" };
    let total = images[0] as f64 + images[1] as f64;
    let rates: Vec<String> = (measured.iter().enumerate())
        .map(|(index, it)| {
            let rate = HumanCount((total / seconds_of(images, it.rates)).round() as u64);
            match index {
                0 if it.jobs == 1 => format!("1 job {rate} images/s"),
                0 => format!("{} jobs {rate} images/s", it.jobs),
                _ => format!("{} {rate}", it.jobs),
            }
        })
        .collect();
    Some(match rates.is_empty() {
        true => format!("jobs: {jobs}{parallel}"),
        false => format!("jobs: {jobs}{parallel} (measured: {})", rates.join(", ")),
    })
}

/// The time for training on and for classifying these numbers of images, at these rates.
fn seconds_of([train, classify]: [usize; 2], rates: Rates) -> f64 {
    train as f64 / rates.train + classify as f64 / rates.classify
}

/// What there is to know about the directory of a run before it begins; `None` for other events.
fn notice(event: &Event) -> Option<String> {
    match event {
        Event::DataMoved { recorded, current } => Some(format!(
            "the data set has moved from {recorded} to {current}; its images are the same"
        )),
        Event::NotLocked { run } => Some(faa_system::without_locks(run)),
        _ => None,
    }
}

/// What a run should know that continues in a different environment.
fn warnings(recorded: &Environment, current: &Environment) -> Vec<String> {
    let mut warnings = Vec::new();
    let (was, now) = (&recorded.build, &current.build);
    if was != now {
        warnings.push(format!(
            "this run last ran with build {was} and continues with build {now}; results may differ from \
             those of a run with one build"
        ));
    }
    let (was, now) = (recorded.to_string(), current.to_string());
    if was != now {
        warnings.push(format!(
            "this run last ran on {was} and continues on {now}; results may differ by rounding"
        ));
    }
    warnings
}

fn short(training: TrainingId) -> String {
    match training {
        TrainingId::Audit => "training for the audit".to_owned(),
        TrainingId::Fold(fold) => format!("training fold {fold}"),
        TrainingId::Halving {
            rung,
            entrant,
            seed,
        } => format!("rung {}, entrant {entrant}, seed {seed}", rung + 1),
        TrainingId::Final { augmentation, seed } => {
            format!("final training with {}, seed {seed}", augmentation.name())
        }
    }
}

/// A duration; one that is too long to be represented comes from records that state impossible times.
fn seconds(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_of_jobs_is_reported_with_what_was_measured() {
        let measured = [(1, 20_000.0), (2, 31_000.0), (4, 38_000.4)];
        let measured = measured.map(|(jobs, rate)| JobRates::new(jobs, Rates::new(rate, rate)));
        let line = |jobs, measured: &[JobRates]| jobs_line(jobs, measured, [100, 200]);
        let all = "(measured: 1 job 20,000 images/s, 2 31,000, 4 38,000)";
        assert_eq!(
            line(4, &measured).unwrap(),
            format!("jobs: 4 in parallel {all}")
        );
        assert_eq!(line(1, &measured).unwrap(), format!("jobs: 1 {all}"));
        let only = "jobs: 4 in parallel (measured: 4 jobs 38,000 images/s)";
        assert_eq!(line(4, &measured[2..]).unwrap(), only);
        assert_eq!(line(4, &[]).unwrap(), "jobs: 4 in parallel");
        assert_eq!((line(1, &[]), line(1, &measured[..1])), (None, None));
    }

    #[test]
    fn a_moved_data_set_and_a_file_system_without_locks_are_reported_in_words() {
        let moved = Event::DataMoved {
            recorded: "folder:/a".to_owned(),
            current: "tar:/b.tar".to_owned(),
        };
        let expected =
            "the data set has moved from folder:/a to tar:/b.tar; its images are the same";
        assert_eq!(notice(&moved).as_deref(), Some(expected));
        let not_locked = Event::NotLocked {
            run: "runs/a".into(),
        };
        let expected = "warning: the file system of runs/a has no locks, so do not start a second \
                        process on this folder";
        assert_eq!(notice(&not_locked).as_deref(), Some(expected));
    }

    #[test]
    fn a_different_build_and_different_hardware_are_told_apart() {
        let environment = |build: &str, threads| {
            let mut environment = Environment::default();
            (environment.build, environment.threads) = (build.to_owned(), threads);
            environment
        };
        let recorded = environment("0.1.0+a", 2);
        let of = |current: &Environment| warnings(&recorded, current);
        let build =
            "last ran with build 0.1.0+a and continues with build 0.1.0+b; results may differ";
        assert!(of(&environment("0.1.0+b", 2))[0].contains(build));
        assert_eq!(of(&environment("0.1.0+b", 2)).len(), 1);
        let rounding = of(&environment("0.1.0+a", 4));
        assert!(rounding[0].contains("by rounding") && rounding.len() == 1);
        assert_eq!(of(&environment("0.1.0+b", 4)).len(), 2);
        assert!(of(&recorded).is_empty());
    }
}
