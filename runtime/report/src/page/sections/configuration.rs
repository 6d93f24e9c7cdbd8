//! How the run was configured, and where it comes from.

use faa_search::environment::Environment;
use maud::{Markup, html};
use serde_json::Value;

use super::scrolling;
use crate::page::record::Record;
use crate::page::text::count;

/// Of more settings than this, the rest is only counted.
const MAX_ROWS: usize = 200;
/// Of more environments than this, the rest is only counted.
const MAX_ENVIRONMENTS: usize = 20;

/// Tables of all settings, one for each group, and of the hardware.
pub(in crate::page) fn body(record: &Record) -> Markup {
    let config = serde_json::to_value(record.config()).expect("a configuration has a JSON form");
    let mut groups = vec![("provenance", provenance(record))];
    for (group, value) in config.as_object().into_iter().flatten() {
        let mut rows = Vec::new();
        if !value.is_null() {
            flatten("", value, &mut rows);
        }
        groups.push((group.as_str(), rows));
    }
    html! {
        div.settings {
            @for (caption, rows) in groups.iter().filter(|(_, rows)| !rows.is_empty()) {
                (table(caption, rows))
            }
        }
        @if !record.environments.is_empty() { (hardware(&record.environments)) }
    }
}

type Row = (&'static str, fn(&Environment) -> String);

const HARDWARE: [Row; 7] = [
    ("build", |environment| environment.build.clone()),
    ("device", |environment| environment.device.clone()),
    ("threads", |environment| environment.threads.to_string()),
    ("jobs", |environment| environment.jobs.to_string()),
    ("scoring", |environment| environment.scoring.clone()),
    ("training", |environment| environment.training.clone()),
    ("processor", |environment| environment.processor.clone()),
];

/// What the run was worked on with, with a column for each change.
fn hardware(environments: &[Environment]) -> Markup {
    let shown = &environments[..environments.len().min(MAX_ENVIRONMENTS)];
    let more = environments.len() - shown.len();
    let table = html! {
        table {
            caption { "Hardware" }
            @if shown.len() > 1 {
                thead {
                    tr {
                        td {}
                        th scope="col" { "Started on" }
                        @for _ in 1..shown.len() { th scope="col" { "Continued on" } }
                    }
                }
            }
            tbody {
                @for (name, value) in HARDWARE {
                    tr {
                        th scope="row" { code { (name) } }
                        @for environment in shown { td { (value(environment)) } }
                    }
                }
            }
        }
    };
    html! {
        (scrolling("Hardware", false, &table))
        @if more > 0 { p.note { "… and " (count(more)) " more changes of hardware." } }
        @if shown.len() > 1 {
            @if environments.iter().any(|it| it.build != environments[0].build) {
                p.note { "This run was continued by a different build; results may differ." }
            }
            p.note { "This run was continued on different hardware; results may differ by rounding." }
        }
    }
}

/// What else `run.json` has, and what the policy states about its origin.
fn provenance(record: &Record) -> Vec<(String, String)> {
    let mut rows = vec![
        ("version".to_owned(), record.run.version.clone()),
        ("data_digest".to_owned(), record.run.data_digest.clone()),
    ];
    for provenance in record.policy.iter().map(|policy| &policy.provenance) {
        for key in provenance.keys() {
            // Only texts: the configuration is shown in separate tables.
            if let Some(text) = provenance.get(key) {
                rows.push((format!("policy.{key}"), text));
            }
        }
    }
    rows
}

/// Adds a row for every value in a tree, under the path of its keys.
fn flatten(path: &str, value: &Value, rows: &mut Vec<(String, String)>) {
    let below = |key: &str| match path {
        "" => key.to_owned(),
        _ => format!("{path}.{key}"),
    };
    match value {
        // A policy has a separate table.
        _ if value["format"] == "faa-policy" => {
            rows.push((path.to_owned(), "see the policy below".to_owned()));
        }
        Value::Object(map) => {
            for (key, value) in map {
                flatten(&below(key), value, rows);
            }
        }
        Value::Array(list) if list.iter().any(|item| item.is_object() || item.is_array()) => {
            for (index, item) in list.iter().enumerate() {
                flatten(&format!("{path}[{index}]"), item, rows);
            }
        }
        _ => rows.push((path.to_owned(), words(value))),
    }
}

fn words(value: &Value) -> String {
    match value {
        Value::Null => "–".to_owned(),
        Value::Bool(true) => "yes".to_owned(),
        Value::Bool(false) => "no".to_owned(),
        Value::String(text) => text.clone(),
        Value::Array(list) => list.iter().map(words).collect::<Vec<_>>().join(", "),
        other => other.to_string(),
    }
}

fn table(caption: &str, rows: &[(String, String)]) -> Markup {
    let more = rows.len().saturating_sub(MAX_ROWS);
    html! {
        table {
            caption { (caption) }
            tbody {
                @for (key, value) in rows.iter().take(MAX_ROWS) {
                    tr {
                        th scope="row" { code { (key) } }
                        td { (value) }
                    }
                }
                @if more > 0 {
                    tr { td colspan="2" { "… and " (count(more)) " more" } }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::slice;

    use serde_json::json;

    use super::*;

    #[test]
    fn a_tree_becomes_rows() {
        let mut rows = Vec::new();
        let tree = json!({
            "a": {"b": 1, "c": [true, "x"]},
            "d": null,
            "e": [{"op": "Fade"}],
            "f": {"given": {"format": "faa-policy", "sub_policies": [[]]}},
        });
        flatten("", &tree, &mut rows);
        let rows: Vec<_> = (rows.iter())
            .map(|(key, value)| (key.as_str(), value.as_str()))
            .collect();
        let expected = [
            ("a.b", "1"),
            ("a.c", "yes, x"),
            ("d", "–"),
            ("e[0].op", "Fade"),
            ("f.given", "see the policy below"),
        ];
        assert_eq!(rows, expected);
    }

    fn environment(device: &str, threads: usize) -> Environment {
        let mut it = Environment::default();
        (it.device, it.processor) = (device.to_owned(), "any".to_owned());
        (it.scoring, it.training) = ("bf16".to_owned(), "float32".to_owned());
        (it.threads, it.jobs) = (threads, 1);
        it
    }

    #[test]
    fn hardware_has_a_row_for_each_property_and_a_column_for_each_change() {
        let one = environment("cpu", 2);
        let page = hardware(slice::from_ref(&one)).into_string();
        assert!(page.contains("<caption>Hardware</caption>"), "{page}");
        assert!(
            page.contains("<code>threads</code></th><td>2</td></tr>"),
            "{page}"
        );
        assert!(!page.contains("<thead>") && !page.contains("different hardware"));

        let page = hardware(&[one, environment("cuda", 4)]).into_string();
        for row in [
            "<code>device</code></th><td>cpu</td><td>cuda</td></tr>",
            "<code>jobs</code></th><td>1</td><td>1</td></tr>",
            "<code>threads</code></th><td>2</td><td>4</td></tr>",
        ] {
            assert!(page.contains(row), "{row} is not in {page}");
        }
        assert!(page.contains("results may differ by rounding"), "{page}");
    }

    #[test]
    fn changes_of_hardware_beyond_what_a_run_has_are_counted() {
        let many: Vec<_> = (0..MAX_ENVIRONMENTS + 3)
            .map(|threads| environment("cpu", threads))
            .collect();
        let page = hardware(&many).into_string();
        let continued = page.matches(">Continued on</th>").count();
        assert_eq!(continued, MAX_ENVIRONMENTS - 1);
        assert!(page.contains("… and 3 more changes of hardware."), "{page}");
    }
}
