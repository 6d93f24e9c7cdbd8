//! What the policy is worth, and the number of seeds.

use serde_json::{Value, json};

use super::{Run, assert_has, epochs, search};

/// The evaluation of a network with these numbers of wrong answers to 10 images of each class.
fn by_class(errors: &[usize]) -> String {
    let class = |(number, errors): (usize, &usize)| {
        let class = format!("<b>\u{202e}class {number}");
        json!({"class": class, "images": 10, "errors": errors})
    };
    let classes: Vec<Value> = errors.iter().enumerate().map(class).collect();
    let error = errors.iter().sum::<usize>() as f64 / (10 * errors.len()) as f64;
    json!({"error": error, "loss": 1.0, "by_class": classes}).to_string()
}

#[test]
fn the_policy_is_compared_with_each_baseline_and_by_class() {
    let evaluated = |run: Run, training: &str, errors: &[usize]| {
        run.put(&format!("final/{training}/epochs.jsonl"), &epochs())
            .put(
                &format!("final/{training}/evaluation.json"),
                &by_class(errors),
            )
    };
    let trainings: [(&str, &[usize]); 6] = [
        ("cutout-0", &[4, 6, 2]),
        ("cutout-1", &[4, 6, 3]),
        ("random-0", &[1, 3, 3]),
        ("random-1", &[3, 3, 3]),
        ("policy-0", &[2, 1, 4]),
        ("policy-1", &[2, 2, 4]),
    ];
    let run = |trainings: &[(&str, &[usize])]| {
        let put = |run, (training, errors): &(&str, &[usize])| evaluated(run, training, errors);
        trainings
            .iter()
            .fold(Run::new("folder:/no/such/folder"), put)
    };
    let page = run(&trainings).page();
    assert_has(
        &page,
        &[
            // Errors of 12/30, 13/30 against 7/30, 8/30; and of 7/30, 9/30. By SciPy.
            "<td class=\"number\">−16.67 (−26.81 to −6.53)</td>",
            "<li>The policy is better than Cutout by 6.53 to 26.81 points (95 %).</li>",
            "<li>The policy is equal to a random policy within noise (−24.73 to 21.40 points).</li>",
            "<dd>better than 1, equal within noise to 1<small>points (95 %): \
             cutout −16.67 (−26.81 to −6.53), random −1.67 (−24.73 to 21.40)</small></dd>",
            "<th scope=\"row\">&lt;b&gt; class 1</th><td class=\"number\">10</td>\
             <td class=\"number\">60.00\u{a0}%</td><td class=\"number\">15.00\u{a0}%</td>\
             <td class=\"number\">−45.00</td>",
            "<td class=\"number\">15.00</td></tr></tbody>",
        ],
    );
    assert!(!page.contains("these are the 20"));

    let many: Vec<_> = (0..101).map(|class| class % 10).collect();
    let page = run(&[("none-0", &[5; 101]), ("policy-0", &many)]).page();
    let words = "Of 101 classes, these are the 20 that gain and the 20 that lose most.";
    assert_has(
        &page,
        &[words, "one seed: no interval; differences within about"],
    );
    assert_eq!(page.matches("&lt;b&gt; class ").count(), 40);
}

#[test]
fn the_number_of_seeds_that_a_run_chose_is_shown() {
    let mut config = search("folder:/no/such/folder");
    config.final_trainings.seeds = None;
    assert_has(
        &Run::of(&config).page(),
        &["0 of 60 trials, 0 final trainings"],
    );
    let chosen = r#"{"seeds": 3, "estimated_seconds": 600.0}"#;
    let page = Run::of(&config).put("seeds.json", chosen).page();
    let words = "There are 3 seeds per final training, because all of them with 3 seeds were estimated \
                 at 10 min, under an hour.";
    assert_has(&page, &[words, "0 of 12 final trainings"]);
}
