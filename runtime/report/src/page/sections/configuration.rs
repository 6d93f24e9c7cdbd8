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
    let mut config =
        serde_json::to_value(record.config()).expect("a configuration has a JSON form");
    if let Some(audit) = &record.config().audit {
        // Their values are in the curves.
        config["audit"]["ops"] = audit.ops.iter().map(|it| it.op.as_str()).collect();
    }
    let mut groups = vec![("provenance", provenance(record))];
    let values = config.as_object().into_iter().flatten();
    let values = values.filter(|(_, value)| !value.is_null());
    groups.extend(values.map(|(group, value)| (group.as_str(), rows(value))));
    html! {
        div.settings {
            @for (caption, rows) in groups.iter().filter(|(_, rows)| !rows.is_empty()) {
                (table(caption, rows))
            }
        }
        @if !record.environments.is_empty() { (hardware(&record.environments)) }
    }
}

/// What the run was worked on with, with a column for each change.
fn hardware(environments: &[Environment]) -> Markup {
    let shown = &environments[..environments.len().min(MAX_ENVIRONMENTS)];
    let more = environments.len() - shown.len();
    let as_rows = |environment| rows(&serde_json::to_value(environment).expect("it is JSON"));
    let columns: Vec<Vec<Row>> = shown.iter().map(as_rows).collect();
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
                @for (row, (name, _)) in columns[0].iter().enumerate() {
                    tr {
                        th scope="row" { code { (name) } }
                        @for column in &columns { td { (column[row].1) } }
                    }
                }
            }
        }
    };
    html! {
        (scrolling("Hardware", false, &table))
        @if more > 0 { p.note { "… and " (count(more)) " more changes of hardware." } }
        @if environments.iter().any(|it| it.build != environments[0].build) {
            p.note { "This run was continued by a different build; results may differ." }
        }
        // The text is that of the hardware alone.
        @if environments.iter().any(|it| it.to_string() != environments[0].to_string()) {
            p.note { "This run was continued on different hardware; results may differ by rounding." }
        }
    }
}

/// What else `run.json` has, and what the policy states about its origin.
fn provenance(record: &Record) -> Vec<Row> {
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

/// A path of keys, and the value there in words.
type Row = (String, String);

/// A row for every value in a tree.
fn rows(tree: &Value) -> Vec<Row> {
    let mut rows = Vec::new();
    flatten("", tree, &mut rows);
    rows
}

fn flatten(path: &str, value: &Value, rows: &mut Vec<Row>) {
    let below = |key: &str| match path {
        "" => key.to_owned(),
        _ => format!("{path}.{key}"),
    };
    match value {
        // A policy has a separate table.
        _ if value["format"] == "faa-policy" => {
            rows.push((path.to_owned(), "see the policy below".to_owned()));
        }
        // The range of an op is one row.
        _ if value["op"].is_string() && value["values"]["unit"].is_string() => {
            let [op, unit] = [&value["op"], &value["values"]["unit"]].map(words);
            let [low, high] = ["low", "high"].map(|end| words(&value["values"][end]));
            rows.push((path.to_owned(), format!("{op}, {low} to {high} {unit}")));
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

fn table(caption: &str, rows: &[Row]) -> Markup {
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
        let rows = rows(&json!({
            "a": {"b": 1, "c": [true, "x"]},
            "d": null,
            "e": [{"op": "Fade"}],
            "g": {"ops": [{"op": "Rotate", "values": {"low": 0.0, "high": 135.0, "unit": "degrees"}}]},
            "f": {"given": {"format": "faa-policy", "sub_policies": [[]]}},
        }));
        let rows: Vec<_> = (rows.iter())
            .map(|(key, value)| format!("{key}: {value}"))
            .collect();
        let expected = "a.b: 1; a.c: yes, x; d: –; e[0].op: Fade; f.given: see the policy below; \
                        g.ops[0]: Rotate, 0.0 to 135.0 degrees";
        assert_eq!(rows.join("; "), expected);
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
        for part in [
            "<caption>Hardware</caption>",
            "<code>threads</code></th><td>2</td></tr>",
        ] {
            assert!(page.contains(part), "{page}");
        }
        assert!(!page.contains("<thead>") && !page.contains("different hardware"));

        let page = hardware(&[one, environment("cuda", 4)]).into_string();
        for row in [
            "<code>device</code></th><td>cpu</td><td>cuda</td></tr>",
            "<code>jobs</code></th><td>1</td><td>1</td></tr>",
            "<code>threads</code></th><td>2</td><td>4</td></tr>",
            "results may differ by rounding",
        ] {
            assert!(page.contains(row), "{row} is not in {page}");
        }
    }

    #[test]
    fn changes_of_hardware_beyond_what_a_run_has_are_counted() {
        let many = (0..MAX_ENVIRONMENTS + 3).map(|threads| environment("cpu", threads));
        let page = hardware(&many.collect::<Vec<_>>()).into_string();
        let continued = page.matches(">Continued on</th>").count();
        assert_eq!(continued, MAX_ENVIRONMENTS - 1);
        assert!(page.contains("… and 3 more changes of hardware."), "{page}");
    }
}
