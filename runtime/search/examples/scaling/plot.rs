//! The plot of `docs/scaling.md`.

use std::fmt::Write;

use crate::model::Model;
use crate::workloads::groups;

const WIDTH: f64 = 320.0;
const HEIGHT: f64 = 300.0;
const LEFT: f64 = 54.0;
const TOP: f64 = 40.0;
const BOTTOM: f64 = 36.0;
const COLOURS: [&str; 3] = ["#1f5fa8", "#c4622d", "#3b8c5a"];
const GPUS: [usize; 14] = [1, 2, 4, 8, 16, 24, 32, 40, 64, 128, 256, 512, 768, 1000];

/// Three panels: hours against GPUs, both on logarithmic axes.
pub(crate) fn svg(model: &Model) -> String {
    let width = 3.0 * (LEFT + WIDTH) + 10.0;
    let height = TOP + HEIGHT + BOTTOM + 60.0;
    let mut text = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" font-family=\"sans-serif\" \
         font-size=\"12\">\n<title>Modelled duration of runs against the number of GPUs</title>\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\n"
    );
    for (panel, (name, cases)) in groups().into_iter().enumerate() {
        let left = LEFT + panel as f64 * (LEFT + WIDTH);
        let x = |gpus: f64| left + (WIDTH - 20.0) * gpus.log10() / 3.0;
        // From 3 minutes to 50 hours.
        let y =
            |seconds: f64| TOP + HEIGHT * (1.0 - (seconds / 180.0).log10() / (1_000.0_f64).log10());
        let mut add = |line: String| writeln!(text, "{line}").expect("a string takes all");
        add(format!(
            "<text x=\"{left:.0}\" y=\"24\" font-weight=\"bold\">{name}</text>"
        ));
        for (minutes, label) in [
            (5.0, "5 min"),
            (15.0, "15 min"),
            (60.0, "1 h"),
            (300.0, "5 h"),
            (1_200.0, "20 h"),
        ] {
            let (y, end) = (y(60.0 * minutes), x(1_000.0));
            add(format!(
                "<path d=\"M{left:.1} {y:.1}H{end:.1}\" stroke=\"#dddddd\"/>\
                 <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{label}</text>",
                left - 5.0,
                y + 4.0
            ));
        }
        for gpus in [1, 8, 64, 1_000] {
            let (x, bottom) = (x(gpus as f64), TOP + HEIGHT);
            add(format!(
                "<path d=\"M{x:.1} {TOP}V{bottom}\" stroke=\"#eeeeee\"/>\
                 <text x=\"{x:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{gpus}</text>",
                bottom + 16.0
            ));
        }
        add(format!(
            "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">GPUs</text>",
            x(32.0),
            TOP + HEIGHT + 32.0
        ));
        for (index, case) in cases.iter().enumerate() {
            let colour = COLOURS[index];
            let points = GPUS.map(|gpus| {
                let (seconds, _) = case.workload.fastest(model, gpus);
                format!("{:.1},{:.1}", x(gpus as f64), y(seconds))
            });
            add(format!(
                "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"/>",
                points.join(" ")
            ));
            let legend = TOP + HEIGHT + 50.0 + 14.0 * index as f64;
            add(format!(
                "<path d=\"M{left:.1} {:.1}h18\" stroke=\"{colour}\" stroke-width=\"2\"/>\
                 <text x=\"{:.1}\" y=\"{legend:.1}\">{}</text>",
                legend - 4.0,
                left + 24.0,
                case.name
            ));
        }
    }
    text + "</svg>\n"
}
