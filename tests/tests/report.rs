//! The report of a run, as a file and in a browser.

use std::collections::BTreeMap;
use std::env;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::LazyLock;
use std::thread;
use std::time::{Duration, Instant};

use faa_search::files::with_checksum;
use faa_tests::runs::{data_set, files_in, search_with, write_files};
use faa_tests::workdir::Workdir;
use faa_tests::{assert_contains, assert_fails, stdout_of};
use serde_json::Value;
use tempfile::TempDir;

/// The files of a finished search, including its report, and one that was made again where it ran. They
/// name the folder of its data set, which is gone.
static FINISHED: LazyLock<BTreeMap<PathBuf, Vec<u8>>> = LazyLock::new(|| {
    let folder = data_set();
    let final_trainings = [("--final-trainings", "cutout,policy")];
    stdout_of(&mut search_with(folder.path(), &final_trainings));
    stdout_of(&mut folder.faa_runtime("report run --out run/again.html"));
    files_in(&folder.join("run"))
});

const SECTIONS: &str = "configuration training reward ops policy images final_trainings";

/// A folder with a data set and a finished search on it.
fn finished() -> Workdir {
    let folder = data_set();
    write_files(&folder.join("run"), &FINISHED);
    let run = folder.read("run/run.json");
    let data = format!("folder:{}", folder.join("data").display());
    for page in ["run/report.html", "run/again.html"] {
        folder.write(page, folder.read(page).replace(&data_of(&run), &data));
    }
    folder.write("run/run.json", with_data(&run, &data));
    folder
}

/// The data set that a `run.json` records.
fn data_of(run: &str) -> String {
    let run: Value = serde_json::from_str(run).unwrap();
    let data = run["config"]["common"]["data"].as_str();
    data.unwrap().to_owned()
}

/// A `run.json` with a different data set.
fn with_data(run: &str, data: &str) -> String {
    let run = run.replace(&data_of(run), data);
    let (content, _) = run.split_once(",\n  \"checksum\"").unwrap();
    with_checksum(&format!("{content}\n}}"))
}

#[test]
fn a_search_writes_a_page_that_needs_no_other_files() {
    let folder = finished();
    let written = folder.read("run/report.html");
    let report = "report run --images 6 --out page.html";
    let printed = stdout_of(&mut folder.faa_runtime(report));
    assert_eq!(printed, "page.html\n");
    for name in ["page.html", "run/again.html"] {
        let same = folder.read(name) == written;
        assert!(same, "{name} differs from the page that the search wrote");
    }
    assert_complete(&written);

    stdout_of(&mut folder.faa_runtime("report run --images 0"));
    let page = folder.read("run/report.html");
    assert!(!page.contains("<img ") && page.contains("No images are shown"));
}

/// A run directory names its data set, which may be any folder of the machine that it was copied to.
#[test]
fn a_copied_run_shows_no_images_unless_asked_to() {
    let folder = finished();
    for data in ["folder:data", "folder:data/../data", "glyphs"] {
        let run = with_data(&folder.read("run/run.json"), data);
        folder.write("copy/run.json", run);
        folder.write("copy/origin", folder.read("run/origin"));
        folder.write("copy/policy.json", folder.read("run/policy.json"));
        stdout_of(&mut folder.faa_runtime("report copy"));
        let page = folder.read("copy/report.html");
        let expected = match data {
            "glyphs" => "6 images, ".to_owned(),
            _ => format!("images of {data} are read only on request, with --images 6"),
        };
        assert_contains(&page, &[&expected]);
        assert_eq!(page.contains("<img"), data == "glyphs");
        stdout_of(&mut folder.faa_runtime("report copy --images 2"));
        assert_contains(&folder.read("copy/report.html"), &["<img", "2 images, "]);
    }
}

#[test]
fn a_file_that_is_no_report_is_overwritten_only_with_force() {
    let folder = finished();
    folder.write("thesis.html", "my thesis");
    let report = "report run --images 0 --out thesis.html";
    let refused = ["thesis.html exists and is not a report", "--force"];
    assert_fails(&mut folder.faa_runtime(report), 1, &refused);
    assert_eq!(folder.read("thesis.html"), "my thesis");
    stdout_of(folder.faa_runtime(report).arg("--force"));
    stdout_of(&mut folder.faa_runtime(report));
    assert!(folder.read("thesis.html").starts_with("<!DOCTYPE html>"));
}

/// Asserts that the page has all its parts, and loads nothing from elsewhere.
fn assert_complete(page: &str) {
    for section in SECTIONS.split(' ') {
        assert_contains(page, &[&format!("<section id=\"{section}\">")]);
    }
    assert_contains(
        page,
        &[
            "<title>Search on folder:data</title>",
            "<table",
            "<figure",
            "<svg",
        ],
    );
    assert_contains(page, &["<img", "finished", "24 of 24"]);
    let lower = page.to_lowercase();
    for external in ["<script", "<link", "<iframe", "@import", "url(", "://"] {
        assert!(!lower.contains(external), "{external}");
    }
    for (attribute, allowed) in [("src=\"", "data:image/png;base64,"), ("href=\"", "#")] {
        let values: Vec<&str> = page.split(attribute).skip(1).collect();
        assert!(!values.is_empty(), "no {attribute}");
        for value in values {
            let start: String = value.chars().take(40).collect();
            assert!(start.starts_with(allowed), "{attribute}{start}");
        }
    }
}

#[test]
fn the_report_of_a_run_in_progress_does_not_change_the_run() {
    let folder = data_set();
    let run = folder.join("run");
    let mut files = FINISHED.clone();
    files.retain(|name, _| name.starts_with("fold-0") || name.ends_with("run.json"));
    let log = Path::new("fold-0/trials.jsonl");
    let trials = files.get_mut(log).unwrap();
    trials.truncate(trials.len() - 40);
    files.insert(PathBuf::from("lock"), Vec::new());
    write_files(&run, &files);
    let lock = File::create(run.join("lock")).unwrap();
    lock.try_lock().unwrap();

    let printed = stdout_of(&mut folder.faa_runtime("report run"));
    assert_eq!(printed, "run/report.html\n");
    let mut after = files_in(&run);
    let page = after.remove(Path::new("report.html")).unwrap();
    assert!(after == files, "the run has changed");
    let page = String::from_utf8(page).unwrap();
    assert_contains(
        &page,
        &["unfinished", "11 of 24 trials", "0 of 2 final trainings"],
    );
}

#[test]
fn errors_of_report_name_the_file() {
    let folder = finished();
    let report_of = |run: &str| folder.faa_runtime(&format!("report {run}"));
    let no_run = "data holds no run: there is no run.json in it";
    assert_fails(&mut report_of("data"), 1, &[no_run]);

    let log = "run/fold-1/epochs.jsonl";
    folder.write(log, folder.read(log).replacen('{', "", 1));
    let damaged = "run/fold-1/epochs.jsonl, line 1, is damaged (";
    assert_fails(&mut report_of("run"), 1, &[damaged, "move it away"]);

    let content = folder.read("run/run.json");
    let other = content.replace("\"format\": 2", "\"format\": 3");
    folder.write("run/run.json", other);
    let version = "run/run.json was written by version ";
    assert_fails(
        &mut report_of("run"),
        1,
        &[version, ", in format 3; this is version "],
    );
}

#[test]
fn a_browser_shows_the_page_in_light_and_in_dark() {
    let Some(browser) = Browser::find() else {
        return;
    };
    let folder = finished();
    let page = folder.join("run/report.html");
    let shown = browser.show(&["--dump-dom"], &page);
    assert_complete(&String::from_utf8(shown).unwrap());

    for width in [1200, 400] {
        // In Chromium, 0 is dark and 1 is light.
        let [dark, light] = [0, 1].map(|scheme| {
            let file = folder.join(format!("{width}-{scheme}.png"));
            let arguments = [
                format!("--blink-settings=preferredColorScheme={scheme}"),
                format!("--window-size={width},900"),
                format!("--screenshot={}", file.display()),
            ];
            browser.show(&arguments.each_ref().map(String::as_str), &page);
            let image = image::open(&file).unwrap().into_luma8();
            assert_eq!(image.dimensions(), (width, 900));
            let sum: u64 = image.as_raw().iter().copied().map(u64::from).sum();
            sum / image.as_raw().len() as u64
        });
        assert!(light > 200, "{width}: the mean luminance is {light}");
        assert!(dark < 80, "{width}: the mean luminance is {dark}");
    }
}

/// Even if something of a run got into the page unescaped, nothing of it would run.
#[test]
fn the_content_security_policy_stops_scripts() {
    let Some(browser) = Browser::find() else {
        return;
    };
    let folder = finished();
    let page = folder.read("run/report.html");
    let evil = "<main><script>document.body.append('a script ' + 'ran')</script>\
                <img src=x onerror=\"document.body.append('a handler ' + 'ran')\">";
    let policy = "http-equiv=\"Content-Security-Policy\"";
    assert_contains(&page, &[policy, "<main>"]);
    let injected = page.replacen("<main>", evil, 1);
    for (name, page, runs) in [
        ("with.html", injected.clone(), false),
        (
            "without.html",
            injected.replacen(policy, "name=\"none\"", 1),
            true,
        ),
    ] {
        folder.write(name, page);
        let shown = browser.show(&["--dump-dom"], &folder.join(name));
        let shown = String::from_utf8(shown).unwrap();
        for words in ["a script ran", "a handler ran"] {
            assert_eq!(shown.contains(words), runs, "{name}: {words}");
        }
    }
}

/// Content that is too wide scrolls within its own box.
#[test]
fn a_narrow_page_does_not_scroll_sideways() {
    let Some(browser) = Browser::find() else {
        return;
    };
    let folder = finished();
    let wide = "<!DOCTYPE html><div style=\"width: 700px\">wide</div>";
    folder.write("wide.html", wide);
    for (page, width, fits) in [
        ("wide.html", 400, false),
        ("run/report.html", 400, true),
        ("run/report.html", 320, true),
    ] {
        let frame = format!(
            "<!DOCTYPE html><body><iframe src=\"{page}\" style=\"width: {width}px; height: 900px\">\
             </iframe><script>addEventListener('load', () => {{\
             const page = document.querySelector('iframe').contentDocument.documentElement;\
             document.body.append(`fits: ${{page.scrollWidth <= page.clientWidth}}, ` +\
             `sections: ${{page.querySelectorAll('section').length}}`)}})</script>"
        );
        folder.write("frame.html", frame);
        let arguments = ["--allow-file-access-from-files", "--dump-dom"];
        let shown = browser.show(&arguments, &folder.join("frame.html"));
        let sections = if page == "wide.html" { 0 } else { 7 };
        let expected = format!("fits: {fits}, sections: {sections}");
        assert_contains(&String::from_utf8(shown).unwrap(), &[&expected]);
    }
}

/// A headless browser.
struct Browser {
    program: &'static str,
    profile: TempDir,
}

impl Browser {
    /// The installed browser. `None` if there is none and none is required.
    fn find() -> Option<Self> {
        let works = |program: &&str| {
            let output = Command::new(program).arg("--version").output();
            output.is_ok_and(|output| output.status.success())
        };
        let programs = ["chromium", "chromium-browser", "google-chrome"];
        let Some(program) = programs.into_iter().find(works) else {
            let needed = env::var_os("FAA_NEED_CHROMIUM").is_some_and(|value| value == "1");
            assert!(!needed, "there is none of {programs:?}");
            eprintln!("skipped: there is none of {programs:?}");
            return None;
        };
        let profile = tempfile::tempdir().unwrap();
        Some(Self { program, profile })
    }

    /// The browser's output for a page.
    fn show(&self, arguments: &[&str], page: &Path) -> Vec<u8> {
        let printed = self.profile.path().join("printed");
        let errors = self.profile.path().join("errors");
        let mut command = Command::new(self.program);
        command
            .args(["--headless", "--no-sandbox", "--disable-gpu"])
            .args(["--disable-quic", "--disable-sync", "--no-first-run"])
            .args(["--disable-background-networking"])
            .args(["--disable-component-update"])
            .arg(format!("--user-data-dir={}", self.profile.path().display()))
            .args(arguments)
            .arg(format!("file://{}", page.display()))
            .stdin(Stdio::null())
            .stdout(File::create(&printed).unwrap())
            .stderr(File::create(&errors).unwrap());
        let mut child = command.spawn().unwrap();
        let deadline = Instant::now() + Duration::from_secs(120);
        while child.try_wait().unwrap().is_none() && Instant::now() < deadline {
            thread::sleep(Duration::from_millis(10));
        }
        // Killing a process that has ended has no effect.
        child.kill().unwrap();
        let status = child.wait().unwrap();
        let errors = fs::read(errors).unwrap();
        let errors = String::from_utf8_lossy(&errors);
        assert!(status.success(), "{arguments:?}: {status}: {errors}");
        fs::read(printed).unwrap()
    }
}
