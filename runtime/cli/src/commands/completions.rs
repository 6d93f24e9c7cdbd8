use anyhow::Result;
use clap::Args;
use clap_complete::Shell;

/// Print a shell script that completes commands and options.
#[derive(Args)]
#[command(after_help = "\
Examples:
  faa-runtime completions bash > ~/.local/share/bash-completion/completions/faa-runtime
  faa-runtime completions fish > ~/.config/fish/completions/faa-runtime.fish")]
pub(crate) struct Completions {
    /// Shell.
    shell: Shell,
}

impl Completions {
    /// `program` makes the whole program's command line.
    pub(crate) fn run(self, program: fn() -> clap::Command) -> Result<()> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut program(), "faa-runtime", &mut script);
        super::print(&String::from_utf8(script)?)
    }
}
