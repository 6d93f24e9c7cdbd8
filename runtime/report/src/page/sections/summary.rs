//! The top of the page.

use faa_search::config::Augmentation;
use faa_search::results::Epoch;
use faa_search::summary::{Comparison, ComparisonResult, FinalResult, comparisons};
use maud::{Markup, html};

use super::{Section, Sign, callout, final_trainings, halving, ops, where_it_diverged};
use crate::page::evidence::Evidence;
use crate::page::record::Record;
use crate::page::text::{count, counted, duration, out_of, percent, sub_policies};

/// What the page is about.
pub(in crate::page) fn title(record: &Record) -> String {
    let task = match record.config() {
        config if config.is_search() => "Search",
        config if config.audit.is_some() => "Audit",
        _ => "Training",
    };
    format!("{task} on {}", record.config().common.short_data())
}

/// The heading, the contents, and what there is to know at a glance.
pub(in crate::page) fn header(
    record: &Record,
    evidence: &Evidence<'_>,
    sections: &[Section],
) -> Markup {
    html! {
        header {
            h1 { (title(record)) }
            p.note { "By faa-runtime " (record.run.version) "." }
        }
        nav aria-label="Contents" {
            ul {
                @for section in sections {
                    li { a href={ "#" (section.id) } { (section.heading) } }
                }
            }
        }
        dl.facts {
            @for (name, words, more) in facts(record, evidence) {
                div {
                    dt { (name) }
                    dd {
                        (words)
                        @if !more.is_empty() { small { (more) } }
                    }
                }
            }
        }
        (diverged_folds(record))
        @if let (Some(activity), None) = (&evidence.activity, &record.config().halving) {
            (ops::finding_box(activity.finding(), &html! { a href="#ops" { "Why" } }))
        }
    }
}

/// A name, its value, and details in small letters.
type Fact = (&'static str, String, String);

fn facts(record: &Record, evidence: &Evidence<'_>) -> Vec<Fact> {
    let data = record.config().common.short_data();
    let mut facts = vec![state(record), ("Data set", data, String::new())];
    if record.is_search() {
        facts.extend(best_reward(record));
        facts.extend(halving::winner(record));
    }
    if let Some(policy) = &evidence.policy {
        let size = match policy.sampler() {
            Some(sampler) => counted(sampler.ops.len(), "op"),
            None => sub_policies(policy.sub_policies().len()),
        };
        facts.push(("Policy", size, policy.name.clone()));
    }
    let results = final_trainings::results(record);
    facts.extend(final_errors(&results));
    facts.extend(worth(&comparisons(&results)));
    facts.push(time(record));
    facts
}

fn state(record: &Record) -> Fact {
    let words = match record.finished {
        true => "finished",
        false => "unfinished",
    };
    let mut done = Vec::new();
    let config = record.config();
    if let Some(search) = &config.search {
        let counts = [search.folds.count, search.rounds, search.trials].map(usize::from);
        let planned = counts.into_iter().fold(1, usize::saturating_mul);
        let trials = record.trials().count();
        done.push(format!("{} trials", out_of(trials, planned)));
    }
    if let Some(audit) = &config.audit {
        let points = record.audit.as_ref().map_or(0, |it| it.points.len());
        let planned = audit.points().count();
        done.push(format!("{} measurements", out_of(points, planned)));
    }
    if config.halving.is_some() {
        done.push(counted(record.rung_results().len(), "short training"));
    }
    let finished = (record.final_trainings.iter())
        .filter(|run| run.training.evaluation.is_some() || run.training.diverged.is_some())
        .count();
    let augmentations = config.final_trainings.augmentations.len();
    let planned = (record.seeds()).map(|seeds| seeds.saturating_mul(augmentations));
    let counts = planned.map_or_else(|| count(finished), |planned| out_of(finished, planned));
    done.push(format!("{counts} final trainings"));
    ("State", words.to_owned(), done.join(", "))
}

fn best_reward(record: &Record) -> Option<Fact> {
    // In reverse, so that the earliest of equals is named.
    let trials: Vec<_> = record.trials().collect();
    let (fold, best) = (trials.iter().rev()).max_by(|a, b| a.1.reward.total_cmp(&b.1.reward))?;
    let which = format!("fold {fold}, round {}, trial {}", best.round, best.trial);
    Some(("Best reward", format!("{:.4}", best.reward), which))
}

fn final_errors(results: &[FinalResult]) -> Option<Fact> {
    let mean = |result: &FinalResult| Some((result.augmentation, result.mean?));
    let mut errors: Vec<_> = results.iter().filter_map(mean).collect();
    // The sort is stable.
    errors.sort_by_key(|(augmentation, _)| *augmentation != Augmentation::Policy);
    let words = |(augmentation, error): (Augmentation, f64)| {
        format!("{} {}", augmentation.name(), percent(error, 2))
    };
    let mut words = errors.into_iter().map(words);
    let main = words.next()?;
    Some(("Test error", main, words.collect::<Vec<_>>().join(", ")))
}

/// What the policy is worth: how many baselines it is better than, and by how much.
fn worth(comparisons: &[Comparison]) -> Option<Fact> {
    let counted = |(result, words): (ComparisonResult, &str)| {
        let count = comparisons.iter().filter(|it| it.result == result).count();
        (count > 0).then(|| format!("{words} {count}"))
    };
    let counts = [
        (ComparisonResult::Better, "better than"),
        (ComparisonResult::Worse, "worse than"),
        (ComparisonResult::EqualWithinNoise, "equal within noise to"),
        (ComparisonResult::Undecided, "undecided against"),
    ];
    let counts: Vec<String> = counts.into_iter().filter_map(counted).collect();
    let points = |it: &Comparison| format!("{} {}", it.baseline.name(), it.points());
    let points: Vec<String> = comparisons.iter().map(points).collect();
    let more = format!("points (95 %): {}", points.join(", "));
    (!counts.is_empty()).then(|| ("Policy against baselines", counts.join(", "), more))
}

/// How long everything that was logged took; parallel jobs count each.
fn time(record: &Record) -> Fact {
    let seconds = |epoch: &Epoch| epoch.seconds;
    let epochs = record.folds.iter().flat_map(|fold| &fold.training.epochs);
    let folds: f64 = epochs.map(seconds).sum();
    let epochs = (record.final_trainings.iter()).flat_map(|run| &run.training.epochs);
    let final_trainings: f64 = epochs.map(seconds).sum();
    let trials: f64 = record.trials().map(|(_, trial)| trial.seconds).sum();
    let epochs = (record.rung_trainings.iter()).flat_map(|run| &run.training.epochs);
    let rungs: f64 = epochs.map(seconds).sum();
    let config = record.config();
    let mut parts = vec![format!("final trainings {}", duration(final_trainings))];
    if config.halving.is_some() {
        parts.insert(0, format!("short trainings {}", duration(rungs)));
    }
    let mut audited = 0.0;
    if let Some(audit) = &record.audit {
        let training: f64 = audit.training.epochs.iter().map(seconds).sum();
        let points: f64 = audit.points.iter().map(|point| point.seconds).sum();
        parts.insert(0, format!("measurements {}", duration(points)));
        parts.insert(0, format!("training for the audit {}", duration(training)));
        audited = training + points;
    }
    if config.search.is_some() {
        parts.insert(0, format!("trials {}", duration(trials)));
        parts.insert(0, format!("fold trainings {}", duration(folds)));
    }
    let all = duration(audited + folds + trials + rungs + final_trainings);
    let more = format!("summed over jobs: {}", parts.join(", "));
    ("Time in the logs", all, more)
}

fn diverged_folds(record: &Record) -> Markup {
    html! {
        @for fold in &record.folds {
            @if let Some(divergence) = fold.training.diverged {
                @let heading = format!("The training of fold {} diverged", fold.number);
                @let body = html! {
                    (where_it_diverged(divergence)) " "
                    @if fold.trials.is_empty() {
                        "The fold has no trials and adds nothing to the policy."
                    } @else {
                        "The fold still has " (count(fold.trials.len())) " trials."
                    }
                };
                (callout(Sign::Warning, &heading, &body))
            }
        }
    }
}
