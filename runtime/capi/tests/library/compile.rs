//! Compiling programs, and running them.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use tempfile::TempDir;

/// This package's folder.
pub(crate) fn package() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Where cargo has put the library, built with the features of this test.
pub(crate) fn library_folder() -> PathBuf {
    let test = env::current_exe().unwrap();
    test.parent().unwrap().to_owned()
}

#[derive(Clone, Copy)]
pub(crate) enum Link {
    Shared,
    Static,
}

/// A program's compiler, by its source: a C compiler for C99 or a C++ compiler for C++17, with all warnings as
/// errors.
pub(crate) fn compiler(source: &Path) -> Command {
    let is_c = source.extension().is_some_and(|found| found == "c");
    let (variable, usual, standard) = match is_c {
        true => ("CC", "cc", "-std=c99"),
        false => ("CXX", "c++", "-std=c++17"),
    };
    let mut compiler = Command::new(env::var_os(variable).unwrap_or_else(|| usual.into()));
    compiler.args([standard, "-pedantic", "-Wall", "-Wextra", "-Werror"]);
    compiler.args(["-O1", "-g", "-pthread"]);
    for folder in ["include", "tests/c"] {
        compiler.arg("-I").arg(package().join(folder));
    }
    if cfg!(feature = "plugins") {
        compiler.arg("-DFAA_PLUGINS");
    }
    compiler
}

/// A program, which is removed with its folder.
pub(crate) struct Program {
    folder: TempDir,
}

impl Program {
    /// Compiles a file of this package.
    pub(crate) fn new(source: &str, link: Link, flags: &[&str]) -> Self {
        Self::of(&package().join(source), link, flags)
    }

    /// Compiles a text, in a language that an extension names.
    pub(crate) fn of_text(text: &str, extension: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let source = folder.path().join("program").with_extension(extension);
        fs::write(&source, text).unwrap();
        Self::of(&source, Link::Shared, &[])
    }

    fn of(source: &Path, link: Link, flags: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (program, library) = (folder.path().join("program"), library_folder());
        let mut compiler = compiler(source);
        compiler.args(flags).arg(source).arg("-o").arg(&program);
        match link {
            Link::Shared => {
                compiler.arg("-L").arg(&library).arg("-lfaa");
                compiler.arg(format!("-Wl,-rpath,{}", library.display()));
            }
            Link::Static => {
                compiler.arg(library.join("libfaa.a")).args(["-lm", "-ldl"]);
            }
        }
        successful(&mut compiler);
        Self { folder }
    }

    /// The program with these arguments.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(self.folder.path().join("program"));
        command.args(arguments).current_dir(self.folder.path());
        // Cargo's has a folder before the program's own, in which an earlier build may have left a library.
        command.env_remove("LD_LIBRARY_PATH");
        command
    }

    /// What the program prints.
    pub(crate) fn run(&self, arguments: &[&str]) -> String {
        let output = successful(&mut self.command(arguments));
        String::from_utf8(output.stdout).unwrap()
    }
}

/// The output of a command, which must succeed.
pub(crate) fn successful(command: &mut Command) -> Output {
    let output = command.output();
    let output = output.unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "{command:?}: {}\n{error}",
        output.status
    );
    output
}
