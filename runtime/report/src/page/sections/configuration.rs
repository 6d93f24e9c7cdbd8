//! What the run was told, and where it comes from.

use std::collections::{BTreeMap, BTreeSet};

use maud::{Markup, html};
use serde_json::Value;

use super::scrolling;
use crate::page::record::Record;
use crate::page::text::count;

/// A list of settings longer than this is cut off.
const MOST_ROWS: usize = 200;
/// Of more sets of means than this, the others are counted only.
const MOST_MEANS: usize = 20;

/// Tables of all settings, one for every group, and of the means.
pub(in crate::page) fn body(record: &Record) -> Markup {
    let mut groups = vec![("provenance".to_owned(), provenance(record))];
    let mut general = Vec::new();
    if let Value::Object(config) = record.config() {
        for (key, value) in config {
            if value.is_object() && !is_policy(value) {
                let mut rows = Vec::new();
                flatten("", value, &mut rows);
                groups.push((key.clone(), rows));
            } else {
                flatten(key, value, &mut general);
            }
        }
    }
    groups.insert(1, ("general".to_owned(), general));
    html! {
        div.settings {
            @for (caption, rows) in groups.iter().filter(|(_, rows)| !rows.is_empty()) {
                (table(caption, rows))
            }
        }
        @if !record.resources.is_empty() { (worked_on_with(&record.resources)) }
    }
}

/// The means that the run was worked on with: a row for each of them, a column for each set.
fn worked_on_with(resources: &[Value]) -> Markup {
    let set = |resources: &Value| -> BTreeMap<String, String> {
        let mut rows = Vec::new();
        flatten("", resources, &mut rows);
        rows.into_iter().collect()
    };
    let sets: Vec<_> = resources.iter().take(MOST_MEANS).map(set).collect();
    let keys: BTreeSet<_> = sets.iter().flat_map(BTreeMap::keys).collect();
    let more_keys = keys.len().saturating_sub(MOST_ROWS);
    let more_sets = resources.len() - sets.len();
    let table = html! {
        table {
            caption { "Worked on with" }
            @if sets.len() > 1 {
                thead {
                    tr {
                        td {}
                        th scope="col" { "At first" }
                        @for _ in 1..sets.len() { th scope="col" { "Then" } }
                    }
                }
            }
            tbody {
                @for key in keys.iter().take(MOST_ROWS) {
                    tr {
                        th scope="row" { code { (key) } }
                        @for set in &sets {
                            td { (set.get(*key).map_or("–", String::as_str)) }
                        }
                    }
                }
            }
        }
    };
    html! {
        (scrolling("Worked on with", false, &table))
        @if more_keys > 0 { p.note { "… and " (count(more_keys)) " more rows." } }
        @if more_sets > 0 { p.note { "… and " (count(more_sets)) " more sets of resources." } }
        @if resources.len() > 1 {
            p.note { "The run was continued with other resources: figures may differ in rounding." }
        }
    }
}

/// What else `run.json` holds, and what the policy says of its origin.
fn provenance(record: &Record) -> Vec<(String, String)> {
    let mut rows = Vec::new();
    if let Value::Object(run) = &record.run {
        for (key, value) in run.iter().filter(|(key, _)| *key != "config") {
            flatten(key, value, &mut rows);
        }
    }
    let provenance = record.policy.iter().map(|policy| &policy.provenance);
    for (facts, key) in provenance.flat_map(|facts| facts.keys().map(move |key| (facts, key))) {
        // The configuration is shown above.
        if let Some(text) = facts.get(key) {
            rows.push((format!("policy.{key}"), text));
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
        // A policy has a table of its own.
        _ if is_policy(value) => rows.push((path.to_owned(), "see the policy below".to_owned())),
        Value::Object(map) => {
            for (key, value) in map {
                flatten(&below(key), value, rows);
            }
        }
        Value::Array(list) if list.iter().any(|item| item.is_object() || item.is_array()) => {
            for (place, item) in list.iter().enumerate() {
                flatten(&format!("{path}[{place}]"), item, rows);
            }
        }
        _ => rows.push((path.to_owned(), words(value))),
    }
}

fn is_policy(value: &Value) -> bool {
    value["format"] == "faa-policy"
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
    let more = rows.len().saturating_sub(MOST_ROWS);
    html! {
        table {
            caption { (caption) }
            tbody {
                @for (key, value) in rows.iter().take(MOST_ROWS) {
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

    #[test]
    fn means_have_a_row_each_and_a_column_for_every_set() {
        let one = json!({"device": "cpu", "threads": 2});
        let page = worked_on_with(slice::from_ref(&one)).into_string();
        assert!(page.contains("<caption>Worked on with</caption>"), "{page}");
        assert!(
            page.contains("<code>threads</code></th><td>2</td></tr>"),
            "{page}"
        );
        assert!(!page.contains("<thead>") && !page.contains("other resources"));

        let page = worked_on_with(&[one, json!({"device": "cuda", "jobs": 3})]).into_string();
        for row in [
            "<code>device</code></th><td>cpu</td><td>cuda</td></tr>",
            "<code>jobs</code></th><td>–</td><td>3</td></tr>",
            "<code>threads</code></th><td>2</td><td>–</td></tr>",
        ] {
            assert!(page.contains(row), "{row} is not in {page}");
        }
        assert!(page.contains("figures may differ in rounding"), "{page}");
    }

    #[test]
    fn means_beyond_what_a_run_has_are_counted() {
        let many: Vec<Value> = (0..MOST_MEANS + 3)
            .map(|jobs| json!({"jobs": jobs}))
            .collect();
        let page = worked_on_with(&many).into_string();
        assert_eq!(page.matches(">Then</th>").count(), MOST_MEANS - 1);
        assert!(page.contains("… and 3 more sets of resources."), "{page}");
    }
}
